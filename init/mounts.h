/* SPDX-License-Identifier: MIT */
/*
 * Mounts as descriptors: made detached, attached later (mounts_fs.c,
 * mounts_root.c, mounts_dev.c, mounts_source.c for stage 1). Every function
 * here returns a close-on-exec descriptor or 0, or -errno, and sends no report:
 * the caller knows the object's name.
 */
#ifndef CORACLE_MOUNTS_H
#define CORACLE_MOUNTS_H

#include "start_inner.h"

enum { MOUNTS_TEXT_MAX = 192 };

/* What the kernel's file system code said about options it refused, or "". */
struct mounts_why {
	char text[MOUNTS_TEXT_MAX];
};

/* A new file system as a detached mount. DATA: comma-separated options or NULL. SB_FLAGS: MS_*, ATTR: MOUNT_ATTR_*. */
int mounts_fs(const char *fstype, const char *source, const char *data, uint64_t sb_flags, uint64_t attr,
	struct mounts_why *why);

struct mounts_bind {
	bool is_recursive, is_idmap_recursive;
	uint64_t attr_set, attr_clear;	/* MOUNT_ATTR_*, of the uppermost mount */
	unsigned propagation;		/* MS_*; 0: private */
	int userns_fd;			/* id-mapped by it, or -1 */
};

/* A detached bind of SOURCE (initial user namespace). -ENOTSUP: its file system cannot be id-mapped by this kernel. */
int mounts_bind(const char *source, const struct mounts_bind *how);

/* MOUNT_ATTR_* on one mount (not the ones below it). */
int mounts_set_attr(int fd, uint64_t set, uint64_t clear);

/* The rootfs of R. Layers: relative names beneath <store>/layers, id-mapped by USERNS_FD unless that is -1; changes the working directory, and
 * moves into a mount namespace of its own where the kernel needs one for it. On failure *OBJECT names what; -ENOTSUP as in mounts_bind. */
int mounts_root(const struct record_head *r, int userns_fd, const char **object);

/* A fresh tmpfs with the default nodes, the record's nodes, the usual links, and directories for the record's mounts below /dev. The record's
 * ids are those inside the user namespace, if there is one. */
int mounts_dev(const struct start_context *c, const char **object, struct mounts_why *why);

/* Is M the place of the record's secrets? Then mounts_secrets makes it, filled; *OBJECT names what it failed on. */
bool mounts_is_secrets(const struct record_head *r, const struct record_mount *m);
int mounts_secrets(const struct start_context *c, const struct record_mount *m, const char **object);

/* Stage 1: fills root_fd, dev_fd and mount_fd[]. Reports. */
int mounts_prepare(struct start_context *c);

/* Is M made in stage 2, inside the program's namespaces? */
bool mounts_is_inner(const struct record_mount *m, const struct record_head *r);

/* Does PATH name or lie below DIR ("/dev")? Duplicate slashes count as one. */
bool mounts_path_below(const char *path, const char *dir);

/* Opens PATH (O_PATH, symlinks scoped to ROOT) as a place to mount on. Missing directories, or an empty file, are made where that is possible. */
int mounts_target(int root, const char *path, bool is_file);

#endif
