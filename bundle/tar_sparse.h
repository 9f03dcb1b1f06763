/* SPDX-License-Identifier: MIT */
/*
 * The map of a sparse file in a tar archive (GNU tar manual, "Storing Sparse Files"): which parts of it the archive holds. Read from the
 * old GNU header ('S') and its extensions, from pax records (0.0, 0.1) or from the beginning of the content (1.0). Offsets rise, parts do
 * not overlap, none goes beyond the size; at most CONFIG_SPARSE_PARTS_MAX of them.
 */
#ifndef CORACLE_TAR_SPARSE_H
#define CORACLE_TAR_SPARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "err.h"
#include "span.h"

struct tar_part {
	uint64_t at, len;
};

struct tar_sparse {
	bool is_there;
	bool is_inside;		/* 1.0: the map is the content's beginning */
	bool has_size;
	uint64_t size;		/* of the whole file */
	uint64_t stored;	/* of all parts so far */
	uint64_t offset;	/* 0.0: given, its length not yet */
	bool has_offset;
	uint32_t count;
	/* While reading the map of 1.0: numbers still to come (0: the count itself), digits so far. */
	uint64_t number, map_bytes;
	uint32_t numbers_left;
	bool has_count, has_digit, is_map_done;
	struct tar_part part[CONFIG_SPARSE_PARTS_MAX];
};

/* One part more. -EFBIG too many, -EBADMSG out of order or beyond the size. */
int tar_sparse_add(struct tar_sparse *s, uint64_t at, uint64_t len, struct err *e);

/* A pax record whose key is GNU.sparse.KEY. 0, -EBADMSG, -EFBIG. */
int tar_sparse_record(struct tar_sparse *s, struct span key, struct span value, struct err *e);

/* The next bytes of the content: takes what belongs to the map of 1.0, and says how many they were; afterwards the parts' bytes follow. */
int tar_sparse_map(struct tar_sparse *s, const uint8_t *at, size_t len, size_t *used, struct err *e);

#endif
