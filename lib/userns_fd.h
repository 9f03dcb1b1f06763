/* SPDX-License-Identifier: MIT */
/* A user namespace without a process: what mounts are id-mapped with (man 2 mount_setattr, "ID-mapped mounts"). */
#ifndef CORACLE_USERNS_FD_H
#define CORACLE_USERNS_FD_H

/* Writes TEXT, lines of "INSIDE OUTSIDE COUNT\n", as uid_map (or gid_map) of process PID. 0 or -errno. */
int userns_fd_map(int pid, const char *name, const char *text);

/* A close-on-exec descriptor of a new namespace with these maps, or -errno: what this kernel says to namespaces, or to those maps. */
int userns_fd_new(const char *uid_map, const char *gid_map);

#endif
