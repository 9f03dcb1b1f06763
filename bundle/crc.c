/* SPDX-License-Identifier: MIT */
/* Folding as in Gopal and others, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ" (2009), bits reflected. Bytes of a layer, hostile. */
#include "crc.h"

#ifdef __x86_64__

#include <cpuid.h>
#include <immintrin.h>

enum { CPU_PCLMUL = 1 << 1, CPU_SSE41 = 1 << 19 };

#define FAST __attribute__((target("pclmul,sse4.1"), optimize("O2")))

bool crc_is_there(void)
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

FAST void crc_fold(uint32_t crc, const uint8_t *at, size_t len, uint8_t out[16])
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

#else

bool crc_is_there(void)
{
	return false;
}

void crc_fold(uint32_t crc, const uint8_t *at, size_t len, uint8_t out[16])
{
	(void)crc, (void)at, (void)len, (void)out;
}

#endif
