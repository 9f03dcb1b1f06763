/* SPDX-License-Identifier: MIT */
/*
 * What of a layer the jail cannot make itself, by canonical path. Whiteouts and opaque directories (image-spec layer.md "Whiteouts") hide what
 * lower layers have, wherever in the archive they stand. Devices: the few that any container has in its /dev anyway, as rootfs
 * archives carry them; a container never opens them, its root is mounted nodev. A bounded set: the paths lie in a nameless file, in memory there
 * are four bytes for each. The launcher reads the same file: records {uint16_t length, char kind, path}, kind 0 where it is not needed after all.
 */
#ifndef CORACLE_MARKS_H
#define CORACLE_MARKS_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "unpack.h"

enum { MARKS_SLOTS = 2 * UNPACK_MARKS_MAX };
/* MARK_DEVICE + n: the nth device of the list in marks.c, for which an empty file with its attributes holds the place. */
enum mark_kind { MARK_WHITEOUT = 'w', MARK_OPAQUE = 'o', MARK_DEVICE = 'A', MARK_DEVICE_END = 'Z' };

struct mark {
	uint32_t at;		/* in the file */
	char kind;
	char path[UNPACK_PATH_MAX];
};

struct marks {
	int fd;			/* of the file, empty at first */
	int code;		/* the first failure to read it: what was said since counts for nothing */
	uint32_t count;
	uint32_t bytes;		/* of the file */
	uint32_t slot[MARKS_SLOTS];	/* place in the file, and some bits of the path's hash; 0: empty */
};

/* Adds one; the same twice is one. -EFBIG over UNPACK_MARKS_MAX or UNPACK_MARK_BYTES_MAX, -errno of the file. */
int marks_add(struct marks *m, enum mark_kind kind, const char *path, struct err *e);
bool marks_has(struct marks *m, enum mark_kind kind, const char *path);
bool marks_has_device(struct marks *m, const char *path);
/* Something else came to lie at PATH. */
int marks_drop_device(struct marks *m, const char *path);

/* The one at m->at, 0 for the first, into *M; m->at + marks_size() is that of the next. 0 at the end, 1, or -errno. */
int marks_read(struct marks *all, struct mark *m);
uint32_t marks_size(const struct mark *m);

/* M becomes KIND; 0: it is not needed. 0 or -errno. */
int marks_turn(struct marks *all, const struct mark *m, char kind);

/* The kind of character device MAJOR:MINOR, or 0 where images may not have it; and back. */
int mark_device(unsigned major, unsigned minor);
bool mark_device_number(char kind, unsigned *major, unsigned *minor);

#endif
