/* SPDX-License-Identifier: MIT */
/*
 * Puts a run record together in one bounded buffer. Additions never fail in the middle: an overflow
 * is remembered and reported once, by record_build_seal.
 */
#ifndef CORACLE_RECORD_BUILD_H
#define CORACLE_RECORD_BUILD_H

#include "config.h"
#include "record.h"

struct record_build {
	union {
		struct record_head head;
		uint8_t bytes[CONFIG_RECORD_MAX];
		uint64_t align;
	};
	size_t used;
	bool is_full;
};

/* An empty record: all zero but the head's magic and format. About CONFIG_RECORD_MAX bytes: allocate it. */
void record_build_begin(struct record_build *b);

/* Copies TEXT; NULL gives the string that is none. */
struct record_str record_build_str(struct record_build *b, const char *text);

/* Room for COUNT elements of SIZE bytes, zeroed, to be filled by the caller; NULL where COUNT is 0 or the record is full. */
void *record_build_list(struct record_build *b, struct record_list *list, size_t count, size_t size);

/* Size and checksum; then record_check on itself. 0, or -EFBIG, or -EBADMSG (a fault of ours). */
int record_build_seal(struct record_build *b, struct err *e);

/* FNV-1a of the names of the kernel features that the record relies on: the <feature hash> of its file name. */
uint64_t record_build_features(const struct record_head *r);

#endif
