/* SPDX-License-Identifier: MIT */
/*
 * The merged view that a layer is written against: its own staging directory
 * over the published lower layers, less what this layer's whiteouts hide. Image paths are resolved component by component inside it,
 * symlinks scoped to the root (image-spec layer.md; a lower lib -> usr/lib makes an upper lib/x land in usr/lib/x).
 */
#ifndef CORACLE_VIEW_H
#define CORACLE_VIEW_H

#include <stdbool.h>
#include <sys/stat.h>

#include "err.h"
#include "marks.h"
#include "unpack.h"

struct view {
	int stage;
	const int *lower;	/* topmost first */
	int lower_len;
	struct marks *marks;	/* of this layer */
};

/* A resolved name: canonical path of its directory ("" is the root), and the last component, which may be a link. */
struct place {
	char dir[UNPACK_PATH_MAX];
	char name[256];
	bool is_hidden;		/* what lower layers have at dir/name is whited out by this layer */
};

/* PATH as written in an archive into its clean form: no "", "." or "..", no slash at either end; "" is the root. ".." that leaves the root
 * stays at it where IS_SCOPED (targets of hard links), else is -EINVAL. OUT has UNPACK_PATH_MAX bytes. */
int view_clean(const char *path, bool is_scoped, char *out, struct err *e);

/* Canonical directory of clean path DIR (all components followed) into OUT; changes nothing. Components that nobody has are taken as
 * directories to be made. -ENOTDIR, -ELOOP, -ENAMETOOLONG. */
int view_resolve(const struct view *v, const char *dir, char *out, bool *is_hidden, struct err *e);

/* Opens canonical directory DIR in the staging; where missing it is made, with all parents: mode, owner, xattrs and times as the lower layers
 * have it, or 0755, root and the epoch. Times of the parents stay. A descriptor or a negative code. */
int view_open_dir(const struct view *v, const char *dir, struct err *e);

/* A lookup that failed by R met a file or link where a directory would have to be. */
bool view_is_no_way(int r);

enum { LAYER_SILENT, LAYER_HAS, LAYER_HIDES };

/* One layer's say on canonical PATH: it knows nothing, it has it (*ST), it hides what lower layers have there; or -errno. */
int view_layer_says(int layer, const char *path, struct stat *st);

/* What the lower layers, seen together, have at canonical PATH: index of the layer and *ST, -ENOENT, or another -errno. */
int view_lower_find(const struct view *v, const char *path, struct stat *st);

/* Copies owner, mode, xattrs (but overlay's) and times from one open file to another. */
int view_copy_attrs(int from, int to, const struct stat *st);

#endif
