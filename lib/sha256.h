/* SPDX-License-Identifier: MIT */
/* Streaming SHA-256 (FIPS 180-4) by the processor's instructions, or mbedTLS. coracle-init does not link it. */
#ifndef CORACLE_SHA256_H
#define CORACLE_SHA256_H

#include <mbedtls/sha256.h>

#include "digest.h"

struct sha256_fast {
	uint32_t state[8];
	uint64_t len;
	uint8_t block[64];
};

struct sha256 {
	bool is_fast;		/* lib/sha256_blocks.h */
	union {
		struct sha256_fast fast;
		mbedtls_sha256_context ctx;
	};
};

void sha256_begin(struct sha256 *h);
void sha256_add(struct sha256 *h, const void *at, size_t len);
/* Finishes and wipes H. */
struct digest sha256_end(struct sha256 *h);
struct digest sha256_of(struct span s);
/* Of two messages of LEN bytes, a multiple of 64: where the processor can, both at a time. */
void sha256_two(const uint8_t *const at[2], size_t len, struct digest out[2]);

#endif
