/* SPDX-License-Identifier: MIT */
/* A Merkle tree of SHA-256 that keeps one block a level. Never allocates, never fails. */
#include "verity.h"

#include <string.h>

#include "sha256.h"

/* struct fsverity_descriptor, 256 bytes, little endian. */
struct descriptor {
	uint8_t version, hash_algorithm, log_blocksize, salt_size;
	uint8_t reserved[4];
	uint8_t data_size[8];
	uint8_t root_hash[64];
	uint8_t salt[32];
	uint8_t reserved2[144];
};

static struct digest hash_block(const uint8_t *at)
{
	return sha256_of(span_of(at, VERITY_BLOCK));
}

/* The digest of one block of the level below goes into LEVEL; a full block of digests goes up. */
static void push(struct verity *v, int level, struct digest d)
{
	for (; level < VERITY_LEVELS; level++) {
		memcpy(v->level[level] + v->count[level], d.sha256, sizeof(d.sha256));
		v->count[level] += sizeof(d.sha256);
		v->hashed[level]++;
		if (v->count[level] < VERITY_BLOCK)
			return;
		d = hash_block(v->level[level]);
		v->count[level] = 0;
	}
}

void verity_begin(struct verity *v)
{
	v->size = 0;
	v->fill = 0;
	memset(v->count, 0, sizeof(v->count));
	memset(v->hashed, 0, sizeof(v->hashed));
}

void verity_add(struct verity *v, const void *at, size_t len)
{
	const uint8_t *p = at;

	v->size += len;
	while (len) {
		size_t n = VERITY_BLOCK - v->fill < len ? VERITY_BLOCK - v->fill : len;

		if (v->fill == 0 && len >= 2 * VERITY_BLOCK) {
			struct digest two[2];

			sha256_two((const uint8_t *const[]){ p, p + VERITY_BLOCK }, VERITY_BLOCK, two);
			push(v, 0, two[0]);
			push(v, 0, two[1]);
			n = 2 * VERITY_BLOCK;
		} else if (v->fill == 0 && n == VERITY_BLOCK) {
			push(v, 0, hash_block(p));
		} else {
			memcpy(v->data + v->fill, p, n);
			v->fill += (uint32_t)n;
			if (v->fill == VERITY_BLOCK) {
				push(v, 0, hash_block(v->data));
				v->fill = 0;
			}
		}
		p += n;
		len -= n;
	}
}

/* Pads what is left, level by level, until one digest stands alone: the root. */
static struct digest root_of(struct verity *v)
{
	struct digest root = { { 0 } };

	if (v->fill) {
		memset(v->data + v->fill, 0, VERITY_BLOCK - v->fill);
		push(v, 0, hash_block(v->data));
	}
	for (int level = 0; level < VERITY_LEVELS; level++) {
		if (v->hashed[level] == 1) {
			memcpy(root.sha256, v->level[level], sizeof(root.sha256));
			break;
		}
		if (v->count[level]) {
			memset(v->level[level] + v->count[level], 0, VERITY_BLOCK - v->count[level]);
			v->count[level] = 0;
			push(v, level + 1, hash_block(v->level[level]));
		}
	}
	return root;
}

struct digest verity_end(struct verity *v)
{
	struct descriptor d = { .version = 1, .hash_algorithm = 1, .log_blocksize = 12 };
	struct digest root = root_of(v);

	for (int i = 0; i < 8; i++)
		d.data_size[i] = (uint8_t)(v->size >> 8 * i);
	memcpy(d.root_hash, root.sha256, sizeof(root.sha256));
	return sha256_of(span_of(&d, sizeof(d)));
}
