/* SPDX-License-Identifier: MIT */
/*
 * A copy of a directory with all below it: contents (shared with the original where the file system can, FICLONE; holes stay holes), owner, mode, times and
 * extended attributes. Sockets and what is mounted there are left out; a hard link becomes a file of its own. What lies there is some container's: no link is
 * followed. It must not change meanwhile.
 */
#ifndef CORACLE_TREE_COPY_H
#define CORACLE_TREE_COPY_H

#include <stdint.h>

#include "err.h"

/* From the directory open at FROM into the one open at TO, which is empty; not synced. Depth is bounded. Blocks on the disk. */
int tree_copy(int from, int to, struct err *e);

/* The room that a copy of it takes which shares nothing, in bytes. */
int tree_size(int from, uint64_t *bytes, struct err *e);

#endif
