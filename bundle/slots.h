/* SPDX-License-Identifier: MIT */
/*
 * state/slots: which image each unit of the board uses. One small checksummed
 * text file, replaced whole (file_replace), so that a power cut leaves the old
 * state or the new one. Text so that a technician can read it:
 *
 *   coracle-slots 1
 *   unit hello ref=registry.demo:5443/demo/hello:1 current=sha256:... previous=- next=- tries=0 floor=- refused=-
 *   crc32 1a2b3c4d
 *
 * `current` is the image that was last shown to be good. An update stands in `next`: staged where tries is 0, on trial where it is not, and then
 * `tries` of its attempts were begun, each written before it was. `next-ref` follows where it came from elsewhere than `ref`. bundle/slot_steps.h has what may become of a slot.
 */
#ifndef CORACLE_SLOTS_H
#define CORACLE_SLOTS_H

#include "config.h"
#include "err.h"
#include "store.h"
#include "unit_table.h"

struct slot {
	char name[UNIT_NAME_MAX];
	char ref[UNIT_IMAGE_MAX];	/* the Image= that `current` was pulled for */
	char current[DIGEST_TEXT_LEN + 1], previous[DIGEST_TEXT_LEN + 1], next[DIGEST_TEXT_LEN + 1];	/* "" for none */
	uint32_t tries;
	char next_ref[UNIT_IMAGE_MAX];	/* what a release that was ordered from elsewhere than `ref` came from; "": from there */
	uint64_t floor;			/* the lowest signed version that may come in; 0: none yet */
	char refused[UNIT_REFUSED_MAX][DIGEST_TEXT_LEN + 1];	/* that failed here, latest first; in the file with commas between */
};

struct slots {
	uint32_t count;
	struct slot slot[CONFIG_UNITS_MAX];
};

/* An absent file is zero slots. -EUCLEAN for a damaged one. */
int slots_read(struct store *s, struct slots *out, struct err *e);
int slots_write(struct store *s, const struct slots *slots, struct err *e);
/* Holds off other programs that change the file; the descriptor to close, -errno with E filled. Dies with its holder. Makes state/. Blocks. */
int slots_lock(struct store *s, struct err *e);
/* The slot of that unit, or NULL; slots_get makes it (NULL when full). */
struct slot *slots_find(struct slots *slots, const char *name);
struct slot *slots_get(struct slots *slots, const char *name);

#endif
