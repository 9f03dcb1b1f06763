/* SPDX-License-Identifier: MIT */
/*
 * The fs-verity digest of a file (kernel Documentation/filesystems/fsverity.rst: SHA-256, blocks of 4096 bytes, no salt), computed
 * while the bytes go by. It is what `fsverity digest` prints and what a content-addressed store names objects by.
 */
#ifndef CORACLE_VERITY_H
#define CORACLE_VERITY_H

#include "digest.h"

/* 128 digests fill a block: levels 0...5 reach 128^6 blocks, more than a file can have. */
enum { VERITY_BLOCK = 4096, VERITY_LEVELS = 6 };

struct verity {
	uint64_t size;
	uint32_t fill;				/* bytes in data[] */
	uint32_t count[VERITY_LEVELS];		/* bytes in level[i] */
	uint64_t hashed[VERITY_LEVELS];		/* digests that went into that level in all */
	uint8_t data[VERITY_BLOCK];
	uint8_t level[VERITY_LEVELS][VERITY_BLOCK];
};

void verity_begin(struct verity *v);
void verity_add(struct verity *v, const void *at, size_t len);
struct digest verity_end(struct verity *v);

#endif
