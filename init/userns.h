/* SPDX-License-Identifier: MIT */
/*
 * The user namespace of a container, seen from the starter: its id maps, and a namespace with the same maps by which mounts are id-mapped
 * (man 2 mount_setattr, "ID-mapped mounts"), so that layers and volumes keep their ids on disk.
 */
#ifndef CORACLE_USERNS_H
#define CORACLE_USERNS_H

#include "start_inner.h"

/* A descriptor of a new namespace with the record's maps, or -errno: what this kernel says to namespaces, or to those maps. */
int userns_open(const struct record_head *r);

/* Writes the record's maps for process PID, which has a new user namespace. 0 or -errno. */
int userns_map(const struct record_head *r, int pid);

/* What INSIDE is outside, by MAP; UINT32_MAX where it is not mapped. An empty map: the same. */
uint32_t userns_outside(const struct record_head *r, struct record_list map, uint32_t inside);

/* In the program's process, once mapped: root of its namespace (or its first id), so that what it makes has an owner. 0 or -errno. */
int userns_become_root(const struct record_head *r);

/* From here on the starter makes files as the namespace's root, with its own powers. 0 or -errno. */
int userns_own_files(const struct record_head *r);

#endif
