/* SPDX-License-Identifier: MIT */
/*
 * cgroup v2 directories (Documentation/admin-guide/cgroup-v2.rst). All calls
 * touch cgroupfs only, so none waits for a disk; none allocates. PATH is
 * absolute, like "/sys/fs/cgroup/coracle/hello".
 */
#ifndef CORACLE_CGROUP_H
#define CORACLE_CGROUP_H

#include <stddef.h>

/* Makes PATH and its missing parents and delegates memory, pids, cpu and io down to it as far as the kernel has them.
 * 0, -ENOTSUP where no cgroup2 file system is mounted there, else -errno. */
int cgroup_make(const char *path);

/* Writes VALUE into PATH/KEY ("memory.max"). 0 or -errno. */
int cgroup_write(const char *path, const char *key, const char *value);

/* The same in the open directory DIR. */
int cgroup_write_at(int dir, const char *key, const char *value);

/* Reads PATH/KEY into OUT, ends it with NUL, takes a newline off the end. 0 or -errno. */
int cgroup_read(const char *path, const char *key, char *out, size_t size);

/* SIGKILL to everything in PATH and below (cgroup.kill). 0 also where PATH is gone. */
int cgroup_kill(const char *path);

/* Removes PATH and the groups below it. 0 also where it is gone; -EBUSY while something still runs in it. */
int cgroup_remove(const char *path);

#endif
