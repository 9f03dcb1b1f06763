/* SPDX-License-Identifier: MIT */
/*
 * Staged rollout: what is signed says for how many boards of a hundred it is, and each board has a place among them that never changes for one
 * repository. Who raises the share, by signing once more, reaches those below the new mark; nobody who was in falls out.
 */
#ifndef CORACLE_ROLLOUT_H
#define CORACLE_ROLLOUT_H

#include <stdint.h>

#include "find.h"

/* Per cent with up to two decimals ("5", "0.25"), as annotation of the manifest or optional claim of a signature (cosign sign -a). */
#define ROLLOUT_CLAIM "coracle.rollout"

enum { ROLLOUT_ALL = 10000 };

/* A claim's text or number in hundredths of a per cent; 0 for what is none, so that a slip reaches nobody; ROLLOUT_ALL where VALUE is NULL: not said. */
unsigned rollout_read(struct yyjson_val *value);

/* The place of the board DEVICE among ROLLOUT_ALL for REPOSITORY ("host/repo"): SHA-256 of both. */
unsigned rollout_place(const char *device, const char *repository);

/* May this board take what FIND found, for REF, by itself? 0; -EALREADY with both numbers. A board that nothing tells from others is the last. */
int rollout_check(const struct find *f, const struct ref *ref, struct err *e);

#endif
