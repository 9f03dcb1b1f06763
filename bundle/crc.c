/* SPDX-License-Identifier: MIT */
/* Folding as in Gopal and others, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ" (2009), bits reflected. Bytes of a layer, hostile. */
#include "crc.h"

#include <cpuid.h>
#include <immintrin.h>
#include <stdbool.h>

enum { FOLD_MIN = 64, CPU_PCLMUL = 1 << 1, CPU_SSE41 = 1 << 19 };

#define FAST __attribute__((target("pclmul,sse4.1"), optimize("O2")))

static bool can_fold(void)
{
	static int known;	/* 0: not asked yet, 1: no, 2: yes */
	unsigned a, b, c, d;

	if (!known)
		known = __get_cpuid(1, &a, &b, &c, &d) && (c & CPU_PCLMUL) && (c & CPU_SSE41) ? 2 : 1;
	return known == 2;
}

/* BY: x^(n+32) and x^(n-32) modulo the polynomial, n the bits between V and NEXT. */
FAST static inline __m128i fold(__m128i v, __m128i by, __m128i next)
{
	return _mm_xor_si128(next, _mm_xor_si128(_mm_clmulepi64_si128(v, by, 0x00), _mm_clmulepi64_si128(v, by, 0x11)));
}

FAST static inline __m128i load(const uint8_t *at)
{
	return _mm_loadu_si128((const __m128i *)at);
}

/* LEN bytes, a multiple of 16 and at least FOLD_MIN, behind a text whose CRC is CRC: 16 bytes into OUT that have, as a text behind nothing with an
 * initial value of 0, the same remainder. */
FAST static void fold_all(uint32_t crc, const uint8_t *at, size_t len, uint8_t out[16])
{
	const __m128i by_512 = _mm_set_epi64x(0x1c6e41596ll, 0x154442bd4ll), by_128 = _mm_set_epi64x(0x0ccaa009ell, 0x1751997d0ll);
	__m128i v[4];

	for (int i = 0; i < 4; i++)
		v[i] = load(at + 16 * i);
	v[0] = _mm_xor_si128(v[0], _mm_cvtsi32_si128((int)~crc));
	for (at += 64, len -= 64; len >= 64; at += 64, len -= 64)
		for (int i = 0; i < 4; i++)
			v[i] = fold(v[i], by_512, load(at + 16 * i));
	for (int i = 1; i < 4; i++)
		v[i] = fold(v[i - 1], by_128, v[i]);
	for (; len; at += 16, len -= 16)
		v[3] = fold(v[3], by_128, load(at));
	_mm_storeu_si128((__m128i *)out, v[3]);
}

/* Four bits at a time. */
static uint32_t add_few(uint32_t crc, const uint8_t *at, size_t len)
{
	static const uint32_t table[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
		0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};

	for (crc = ~crc; len; len--) {
		crc ^= *at++;
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}

uint32_t crc_add(uint32_t crc, const void *at, size_t len)
{
	size_t folded = len / 16 * 16;
	uint8_t rest[16];

	if (len < FOLD_MIN || !can_fold())
		return add_few(crc, at, len);
	fold_all(crc, at, folded, rest);
	return add_few(add_few(~0u, rest, sizeof(rest)), (const uint8_t *)at + folded, len - folded);
}
