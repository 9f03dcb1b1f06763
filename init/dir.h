/* SPDX-License-Identifier: MIT */
/* Walking a directory by getdents64(2): opendir(3) allocates, and nothing in coracle-init does. */
#ifndef CORACLE_DIR_H
#define CORACLE_DIR_H

/* Calls EACH for every name but "." and ".." until it returns non-zero; returns that, 0, or -errno. */
int dir_walk(const char *path, int (*each)(const char *name, void *arg), void *arg);
int dir_walk_fd(int fd, int (*each)(const char *name, void *arg), void *arg);

#endif
