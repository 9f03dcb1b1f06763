/* SPDX-License-Identifier: MIT */
/*
 * What of a layer the jail cannot make itself, by canonical path. Whiteouts and opaque directories (image-spec layer.md "Whiteouts") hide what
 * lower layers have, wherever in the archive they stand. Devices: the few that any container has in its /dev anyway, as rootfs
 * archives carry them; a container never opens them, its root is mounted nodev. A bounded set in memory.
 */
#ifndef CORACLE_MARKS_H
#define CORACLE_MARKS_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

enum { MARKS_BUCKETS = 1024 };
/* MARK_DEVICE + n: the nth device of the list in marks.c, for which an empty file with its attributes holds the place. */
enum mark_kind { MARK_WHITEOUT = 'w', MARK_OPAQUE = 'o', MARK_DEVICE = 'A', MARK_DEVICE_END = 'Z' };

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
bool marks_has_device(const struct marks *m, const char *path);
/* Something else came to lie at PATH. */
void marks_drop_device(struct marks *m, const char *path);

/* A mark that is not needed is not sent; it stays in its list, of kind 0. */
void marks_forget(struct marks *m, struct mark *mark);

/* The kind of character device MAJOR:MINOR, or 0 where images may not have it; and back. */
int mark_device(unsigned major, unsigned minor);
bool mark_device_number(char kind, unsigned *major, unsigned *minor);

void marks_free(struct marks *m);

#endif
