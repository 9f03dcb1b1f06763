/* SPDX-License-Identifier: MIT */
/*
 * The whiteouts and opaque directories of one layer, by canonical path, as image-spec layer.md "Whiteouts" wants them: they hide what
 * lower layers have, wherever in the archive they stand. A bounded set in memory.
 */
#ifndef CORACLE_MARKS_H
#define CORACLE_MARKS_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

enum { MARKS_BUCKETS = 1024 };
enum mark_kind { MARK_WHITEOUT = 'w', MARK_OPAQUE = 'o' };

struct mark {
	struct mark *next;
	char kind;
	char path[];
};

struct marks {
	struct mark *bucket[MARKS_BUCKETS];
	uint32_t count;
	uint32_t bytes;		/* as they go over the result pipe */
};

/* Adds one; the same twice is one. -EFBIG over UNPACK_MARKS_MAX or UNPACK_MARK_BYTES_MAX. */
int marks_add(struct marks *m, enum mark_kind kind, const char *path, struct err *e);
bool marks_has(const struct marks *m, enum mark_kind kind, const char *path);
void marks_free(struct marks *m);

#endif
