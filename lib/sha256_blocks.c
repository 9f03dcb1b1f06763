/* SPDX-License-Identifier: MIT */
/*
 * x86_64 with the SHA extensions: five times as fast as mbedTLS, which has none of them. On aarch64 mbedTLS uses the processor's own; armv7
 * has none.
 */
#include "sha256_blocks.h"

#ifdef __x86_64__

#include <cpuid.h>
#include <immintrin.h>

enum { CPU_SSSE3 = 1 << 9, CPU_SSE41 = 1 << 19, CPU_SHA = 1 << 29 };

static const uint32_t k[64] __attribute__((aligned(16))) = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

bool sha256_blocks_is_there(void)
{
	static int known;	/* 0: not asked yet, 1: no, 2: yes */
	unsigned a, b, c, d, b7 = 0, c1;

	if (!known) {
		known = 1;
		if (__get_cpuid(1, &a, &b, &c1, &d) && (c1 & CPU_SSSE3) && (c1 & CPU_SSE41) && __get_cpuid_count(7, 0, &a, &b7, &c, &d) &&
		    (b7 & CPU_SHA))
			known = 2;
	}
	return known == 2;
}

/* LANES messages beside each other: the instructions wait for their own results longer than the processor needs to start another. */
#define FAST __attribute__((target("sha,ssse3,sse4.1"), optimize("O2")))
FAST __attribute__((always_inline))
static inline void compress(uint32_t *const state[], const uint8_t *const from[], size_t count, int lanes)
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bll, 0x0405060700010203ll);
	__m128i abef[2], cdgh[2], abef_before[2], cdgh_before[2], m[2][4];

	for (int l = 0; l < lanes; l++) {
		__m128i dcba = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state[l]), 0xb1);
		__m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state[l] + 4)), 0x1b);

		abef[l] = _mm_alignr_epi8(dcba, hgfe, 8);
		cdgh[l] = _mm_blend_epi16(hgfe, dcba, 0xf0);
	}
	for (size_t block = 0; block < count; block++) {
		for (int l = 0; l < lanes; l++) {
			abef_before[l] = abef[l];
			cdgh_before[l] = cdgh[l];
		}
#pragma GCC unroll 16
		for (int i = 0; i < 16; i++) {
#pragma GCC unroll 2
			for (int l = 0; l < lanes; l++) {
				__m128i *w = m[l], msg;

				if (i < 4)	/* the message; then W(t) out of W(t-16), W(t-12), W(t-7) and W(t-4) */
					w[i & 3] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(from[l] + 64 * block + 16 * i)), swap);
				else
					w[i & 3] = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]),
						_mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4)), w[(i + 3) & 3]);
				msg = _mm_add_epi32(w[i & 3], _mm_load_si128((const __m128i *)(k + 4 * i)));
				cdgh[l] = _mm_sha256rnds2_epu32(cdgh[l], abef[l], msg);
				abef[l] = _mm_sha256rnds2_epu32(abef[l], cdgh[l], _mm_shuffle_epi32(msg, 0x0e));
			}
		}
		for (int l = 0; l < lanes; l++) {
			abef[l] = _mm_add_epi32(abef[l], abef_before[l]);
			cdgh[l] = _mm_add_epi32(cdgh[l], cdgh_before[l]);
		}
	}
	for (int l = 0; l < lanes; l++) {
		__m128i dcba = _mm_shuffle_epi32(abef[l], 0x1b), hgfe = _mm_shuffle_epi32(cdgh[l], 0xb1);

		_mm_storeu_si128((__m128i *)state[l], _mm_blend_epi16(dcba, hgfe, 0xf0));
		_mm_storeu_si128((__m128i *)(state[l] + 4), _mm_alignr_epi8(hgfe, dcba, 8));
	}
}

FAST void sha256_blocks(uint32_t state[8], const uint8_t *at, size_t count)
{
	compress(&state, &at, count, 1);
}

FAST void sha256_blocks_two(uint32_t *const state[2], const uint8_t *const at[2], size_t count)
{
	compress(state, at, count, 2);
}

#else

bool sha256_blocks_is_there(void)
{
	return false;
}

void sha256_blocks(uint32_t state[8], const uint8_t *at, size_t count)
{
	(void)state;
	(void)at;
	(void)count;
}

void sha256_blocks_two(uint32_t *const state[2], const uint8_t *const at[2], size_t count)
{
	(void)state;
	(void)at;
	(void)count;
}

#endif
