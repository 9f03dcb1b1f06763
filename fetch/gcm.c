/* SPDX-License-Identifier: MIT */
/*
 * The bytes are a peer's, the arithmetic is the same for all of them: no branch and no table depends on content or key. Runs in the net jail.
 * GHASH is computed as POLYVAL of swapped bytes (RFC 8452, appendix A), whose reduction takes two multiplications.
 */
#include "gcm.h"

#include <string.h>

#ifdef __x86_64__

#include <cpuid.h>
#include <immintrin.h>

enum { CPU_PCLMUL = 1 << 1, CPU_SSSE3 = 1 << 9, CPU_SSE41 = 1 << 19, CPU_AES = 1 << 25, WIDE = 8 };

#define FAST __attribute__((target("aes,pclmul,sse4.1,ssse3"), optimize("O2")))

struct gcm {
	__m128i keys[15], power[WIDE];	/* power[i]: the hash key to the i+1 */
	__m128i counter, hash;
	int rounds;
};

/* Sum of products before its reduction. */
struct product {
	__m128i low, middle, high;
};

bool gcm_is_there(void)
{
	const unsigned all = CPU_PCLMUL | CPU_SSSE3 | CPU_SSE41 | CPU_AES;
	static int known;	/* 0: not asked yet, 1: no, 2: yes; in a virtual machine the question costs much */
	unsigned a, b, c, d;

	if (!known)
		known = __get_cpuid(1, &a, &b, &c, &d) && (c & all) == all ? 2 : 1;
	return known == 2;
}

FAST static inline __m128i swapped(__m128i v)
{
	return _mm_shuffle_epi8(v, _mm_set_epi64x(0x0001020304050607ll, 0x08090a0b0c0d0e0fll));
}

FAST static inline __m128i load(const uint8_t *at)
{
	return _mm_loadu_si128((const __m128i *)at);
}

FAST static inline void add_product(struct product *p, __m128i a, __m128i b)
{
	p->low = _mm_xor_si128(p->low, _mm_clmulepi64_si128(a, b, 0x00));
	p->high = _mm_xor_si128(p->high, _mm_clmulepi64_si128(a, b, 0x11));
	p->middle = _mm_xor_si128(p->middle, _mm_xor_si128(_mm_clmulepi64_si128(a, b, 0x01), _mm_clmulepi64_si128(a, b, 0x10)));
}

/* Modulo x^128 + x^127 + x^126 + x^121 + 1, times x^-128: 64 bits at a time from below. */
FAST static inline __m128i reduce(struct product p)
{
	const __m128i poly = _mm_set_epi64x(0, (long long)0xc200000000000000ull);
	__m128i low = _mm_xor_si128(p.low, _mm_slli_si128(p.middle, 8)), high = _mm_xor_si128(p.high, _mm_srli_si128(p.middle, 8));

	low = _mm_xor_si128(_mm_shuffle_epi32(low, 0x4e), _mm_clmulepi64_si128(low, poly, 0x00));
	low = _mm_xor_si128(_mm_shuffle_epi32(low, 0x4e), _mm_clmulepi64_si128(low, poly, 0x00));
	return _mm_xor_si128(low, high);
}

FAST static __m128i multiply(__m128i a, __m128i b)
{
	struct product p = { _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128() };

	add_product(&p, a, b);
	return reduce(p);
}

/* GHASH's key into POLYVAL's: times x. */
FAST static __m128i times_x(__m128i v)
{
	__m128i carry = _mm_srli_epi64(v, 63), top = _mm_shuffle_epi32(_mm_srai_epi32(v, 31), 0xff);

	v = _mm_or_si128(_mm_slli_epi64(v, 1), _mm_slli_si128(carry, 8));
	return _mm_xor_si128(v, _mm_and_si128(top, _mm_set_epi64x((long long)0xc200000000000000ull, 1)));
}

FAST static __m128i encrypt(const struct gcm *g, __m128i block)
{
	block = _mm_xor_si128(block, g->keys[0]);
	for (int r = 1; r < g->rounds; r++)
		block = _mm_aesenc_si128(block, g->keys[r]);
	return _mm_aesenclast_si128(block, g->keys[g->rounds]);
}

/* The next counter block (SP 800-38D, 6.2: its last 32 bits count, big endian). */
FAST static inline __m128i next(struct gcm *g)
{
	__m128i block = swapped(g->counter);

	g->counter = _mm_add_epi32(g->counter, _mm_set_epi32(0, 0, 0, 1));
	return block;
}

FAST static void hash_block(struct gcm *g, __m128i block)
{
	g->hash = multiply(_mm_xor_si128(g->hash, swapped(block)), g->power[0]);
}

/* Up to 16 bytes, padded with zeros. */
FAST static __m128i load_part(const uint8_t *at, size_t len)
{
	uint8_t block[16] = { 0 };

	memcpy(block, at, len);
	return load(block);
}

FAST static void wide(struct gcm *g, const uint8_t *in, uint8_t *out)
{
	struct product p = { _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128() };
	__m128i stream[WIDE];

#pragma GCC unroll 8
	for (int i = 0; i < WIDE; i++)
		stream[i] = _mm_xor_si128(next(g), g->keys[0]);
	for (int r = 1; r < g->rounds; r++) {
		__m128i key = g->keys[r];

#pragma GCC unroll 8
		for (int i = 0; i < WIDE; i++)
			stream[i] = _mm_aesenc_si128(stream[i], key);
	}
#pragma GCC unroll 8
	for (int i = 0; i < WIDE; i++) {
		__m128i c = load(in + 16 * i), s = swapped(c);

		add_product(&p, i ? s : _mm_xor_si128(s, g->hash), g->power[WIDE - 1 - i]);
		_mm_storeu_si128((__m128i *)(out + 16 * i), _mm_xor_si128(c, _mm_aesenclast_si128(stream[i], g->keys[g->rounds])));
	}
	g->hash = reduce(p);
}

FAST static void begin(struct gcm *g, const uint8_t *keys, const uint8_t *iv)
{
	uint8_t first[16] = { 0 };

	memcpy(first, iv, 12);
	first[15] = 1;
	for (int i = 0; i <= g->rounds; i++)
		g->keys[i] = load(keys + 16 * i);
	g->counter = swapped(load(first));
	g->hash = _mm_setzero_si128();
	g->power[0] = times_x(swapped(encrypt(g, _mm_setzero_si128())));
	for (int i = 1; i < WIDE; i++)
		g->power[i] = multiply(g->power[i - 1], g->power[0]);
}

FAST bool gcm_open(const uint8_t *keys, int rounds, const uint8_t *iv, const uint8_t *more, size_t more_len, const uint8_t *tag,
	const uint8_t *in, uint8_t *out, size_t len)
{
	uint8_t made[16], block[16], other = 0;
	size_t at = 0;
	struct gcm g = { .rounds = rounds };
	__m128i mask;

	begin(&g, keys, iv);
	mask = encrypt(&g, next(&g));
	for (size_t i = 0; i < more_len; i += 16)
		hash_block(&g, load_part(more + i, more_len - i < 16 ? more_len - i : 16));
	for (; len - at >= 16 * WIDE; at += 16 * WIDE)
		wide(&g, in + at, out + at);
	for (; at < len; at += 16) {
		size_t n = len - at < 16 ? len - at : 16;
		__m128i c = load_part(in + at, n);

		hash_block(&g, c);
		_mm_storeu_si128((__m128i *)block, _mm_xor_si128(c, encrypt(&g, next(&g))));
		memcpy(out + at, block, n);
	}
	/* The lengths in bits, big endian; swapped() has the first of them on top. */
	g.hash = multiply(_mm_xor_si128(g.hash, _mm_set_epi64x((long long)more_len * 8, (long long)len * 8)), g.power[0]);
	_mm_storeu_si128((__m128i *)made, _mm_xor_si128(swapped(g.hash), mask));
	for (int i = 0; i < 16; i++)
		other |= made[i] ^ tag[i];
	explicit_bzero(&g, sizeof(g));
	explicit_bzero(block, sizeof(block));
	if (other)
		memset(out, 0, len);
	return !other;
}

#else

bool gcm_is_there(void)
{
	return false;
}

bool gcm_open(const uint8_t *keys, int rounds, const uint8_t *iv, const uint8_t *more, size_t more_len, const uint8_t *tag,
	const uint8_t *in, uint8_t *out, size_t len)
{
	(void)keys, (void)rounds, (void)iv, (void)more, (void)more_len, (void)tag, (void)in, (void)out, (void)len;
	return false;
}

#endif

#ifdef __aarch64__

#include <sys/auxv.h>

enum { HAS_AES = 1 << 3, HAS_PMULL = 1 << 4 };	/* of AT_HWCAP; mbedTLS uses them by itself */

bool gcm_is_fast(void)
{
	return (getauxval(AT_HWCAP) & (HAS_AES | HAS_PMULL)) == (HAS_AES | HAS_PMULL);
}

#else

bool gcm_is_fast(void)
{
	return gcm_is_there();
}

#endif
