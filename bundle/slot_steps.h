/* SPDX-License-Identifier: MIT */
/*
 * What may become of one slot of state/slots, step by step; nothing here touches a disk. Each step is one replacement of the file by whoever
 * calls (bundle/cmd_slot.c), and can be repeated: a step that was written and whose answer was lost is "already so" the second time.
 *
 *   slot_stage     next = the new image, on disk whole; tries 0
 *   slot_try       tries = 1 (the switch), 2, 3: written before the attempt it counts, never lowered by it
 *   slot_commit    previous = current, current = next, next gone; the version floor rises, here alone
 *   slot_rollback  next gone; or, of an image that was committed, current = previous. With a verdict the image is refused from then on
 *   slot_refuse    an image that never came as far as a trial is refused from then on
 */
#ifndef CORACLE_SLOT_STEPS_H
#define CORACLE_SLOT_STEPS_H

#include <stdbool.h>

#include "slots.h"

enum { SLOT_CHANGED = 0, SLOT_ALREADY = 1 };

/* Each SLOT_CHANGED, SLOT_ALREADY, or -EINVAL, -EKEYREJECTED, -EBUSY with E saying what stands in the way; then S is as it was. DIGEST is the image
 * that the caller means: a step for another one than the slot's is refused. VERSION: the image's signed one, 0 for none. */
int slot_stage(struct slot *s, const char *ref, const char *digest, uint64_t version, struct err *e);
int slot_try(struct slot *s, const char *digest, uint32_t count, struct err *e);
int slot_commit(struct slot *s, const char *digest, uint64_t version, struct err *e);
int slot_rollback(struct slot *s, const char *digest, bool is_verdict, struct err *e);
int slot_refuse(struct slot *s, const char *digest, struct err *e);

bool slot_is_refused(const struct slot *s, const char *digest);

/* May an image of VERSION come in? 0, or -EKEYREJECTED naming both versions. */
int slot_check_floor(const struct slot *s, uint64_t version, struct err *e);

#endif
