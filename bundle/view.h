/* SPDX-License-Identifier: MIT */
/*
 * The merged view that a layer is written against: its own staging directory
 * over the published lower layers. Image paths are resolved component by component inside it, symlinks scoped to
 * the root (image-spec layer.md; a lower lib -> usr/lib makes an upper lib/x land in usr/lib/x).
 */
#ifndef CORACLE_VIEW_H
#define CORACLE_VIEW_H

#include <sys/stat.h>

#include "err.h"
#include "unpack.h"

struct view {
	int stage;
	const int *lower;	/* topmost first */
	int lower_len;
};

/* A place: canonical path of the directory ("" is the root) and the last name. */
struct place {
	char dir[UNPACK_PATH_MAX];
	char name[256];
	int dir_fd;		/* the directory in the staging, made there if need be; owned */
};

/* Resolves PATH as written in an archive. The directory is made in the staging where only a lower layer has it (mode, owner, xattrs
 * and times copied) or nobody has it (0755, root). *IS_ROOT: PATH is the root itself (P is then without a name).
 * -EINVAL for "..", empty, or over-long names, -ENOTDIR, -ELOOP. */
int view_place(struct view *v, const char *path, struct place *p, bool *is_root, struct err *e);
void view_place_close(struct place *p);

/* What the lower layers, seen together, have at canonical PATH: index of the layer and *ST, or -ENOENT. */
int view_lower_find(struct view *v, const char *path, struct stat *st);

/* Copies owner, mode, xattrs (but overlay's) and times from one open file to another. */
int view_copy_attrs(int from, int to, const struct stat *st);

#endif
