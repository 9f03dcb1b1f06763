/* SPDX-License-Identifier: MIT */
/*
 * Files beneath a directory descriptor, and the one way state on disk changes:
 * write aside, fsync, rename, fsync of the directory.
 */
#ifndef CORACLE_FILE_H
#define CORACLE_FILE_H

#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "span.h"

/* openat2(2) with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS and O_CLOEXEC. A descriptor or -errno. */
int file_open_beneath(int dir, const char *path, int flags, mode_t mode);

/* openat2(2) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS: symlinks are scoped to DIR as chroot would. A descriptor or -errno. */
int file_open_in_root(int dir, const char *path, int flags, mode_t mode);

/* The whole of a regular file into memory from malloc(3), with a NUL behind that *LEN does not count; the caller frees.
 * -EFBIG above MAX bytes; -EINVAL where it is not a regular file (a FIFO is never waited for). */
int file_read(int dir, const char *path, size_t max, char **out, size_t *len, struct err *e);
int file_read_fd(int fd, const char *name, size_t max, char **out, size_t *len, struct err *e);

/* Makes PATH (beneath DIR, its directory existing) hold exactly DATA, or leaves the old content: temporary name in the same
 * directory, write, fsync, rename, fsync of the directory. Blocks on the disk. */
int file_replace(int dir, const char *path, struct span data, mode_t mode, struct err *e);

/* Removes from DIR what a file_replace that was cut left beside its file: the process that its name tells of is gone. */
void file_sweep_aside(int dir);

/* All of DATA to FD, over short writes and EINTR. 0 or -errno. */
int file_write_all(int fd, const void *at, size_t len);

/* Up to LEN bytes until end of file. Count or -errno. */
ssize_t file_read_full(int fd, void *at, size_t len);

/* Removes NAME beneath DIR and all below it, never following a link nor crossing a mount. 0 also where it is not there. */
int file_remove_tree(int dir, const char *name, struct err *e);

/* mkdirat for each missing component of PATH beneath DIR. */
int file_make_dirs(int dir, const char *path, mode_t mode, struct err *e);

/* The path of the program NAME beside the running one. 0 or -errno. */
int file_sibling(const char *name, char *out, size_t size);

/* A detached mount of just the directory PATH beneath DIR, with nodev, nosuid, noexec and EXTRA (MOUNT_ATTR_*): ".." does not lead out of it.
 * A descriptor or -errno. */
int file_clone_tree(int dir, const char *path, uint64_t extra);

#endif
