/* SPDX-License-Identifier: MIT */
/*
 * The store's partial/<hex of the digest>: compressed bytes of a layer that was not whole when the pull ended, so that the next pull need not fetch
 * them again. Written as they come, never synced: what a power cut takes is fetched once more, and a short pull never reaches the flash at all. Nothing
 * in it is believed: it is hashed again from its first byte.
 */
#ifndef CORACLE_PARTIAL_H
#define CORACLE_PARTIAL_H

#include <stdbool.h>

#include "digest.h"
#include "err.h"

struct partial {
	int root, fd;		/* FD -1: this layer is fetched without */
	char path[80];
	uint64_t len;		/* bytes in it */
};

/* For a blob of SIZE bytes in the store open at ROOT; one that another pull holds, or that cannot be made, is done without. */
void partial_open(struct partial *p, int root, const struct digest *d, uint64_t size);
/* Appends. Where the disk takes no more the file goes away, and the pull goes on without. */
void partial_add(struct partial *p, const void *at, size_t len);
/* Hands all that is there to SINK, from the first byte on; its negative code, or -EIO. */
int partial_replay(struct partial *p, int (*sink)(void *to, const void *at, size_t len), void *to);
/* Closes; keeps the file unless it is empty, or removes it. Both take one with fd -1. */
void partial_keep(struct partial *p);
void partial_drop(struct partial *p);

/* Removes the oldest of those that nobody holds and that are not among WANTED, until at most KEEP such are left. */
void partial_sweep(int root, const struct digest *const *wanted, size_t wanted_len, size_t keep);

#endif
