/* SPDX-License-Identifier: MIT */
/*
 * Garbage collection of a store: what no slot names goes. An image stays while a slot has it as current, previous or next, or the caller
 * keeps it; a layer while an image that stays has it or a running pull holds it (store_hold); a bundle while its image stays. A bundle whose rootfs is mounted stays with its image.
 */
#ifndef CORACLE_GC_H
#define CORACLE_GC_H

#include <stdbool.h>
#include <stdio.h>

#include "store.h"

enum { GC_KEEP_MAX = 64 };

struct gc_result {
	unsigned images, layers, bundles;
	uint64_t bytes;		/* contents of the layers that went */
};

/* Takes the store's locks, renames victims into trash/ beneath them, deletes without them. Says each on OUT. DRY_RUN: only says. -ETIMEDOUT where
 * the lock does not come, -EUCLEAN where state/slots or an image that stays cannot be read: then nothing is removed. */
int gc_run(struct store *s, const struct digest *keep, size_t keep_len, bool dry_run, FILE *out, struct gc_result *result, struct err *e);

#endif
