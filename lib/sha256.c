/* SPDX-License-Identifier: MIT */
/* SHA-256 over the processor's instructions or mbedTLS, whose errors can only be wrong arguments, which we do not pass. */
#include "sha256.h"

#include <string.h>

#include "sha256_blocks.h"

static const uint32_t initial[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

void sha256_begin(struct sha256 *h)
{
	h->is_fast = sha256_blocks_is_there();
	if (h->is_fast) {
		memcpy(h->fast.state, initial, sizeof(initial));
		h->fast.len = 0;
		return;
	}
	mbedtls_sha256_init(&h->ctx);
	mbedtls_sha256_starts(&h->ctx, 0);
}

static void fast_add(struct sha256_fast *f, const uint8_t *at, size_t len)
{
	size_t fill = f->len % 64;

	f->len += len;
	if (fill) {
		size_t n = 64 - fill < len ? 64 - fill : len;

		memcpy(f->block + fill, at, n);
		at += n;
		len -= n;
		if (fill + n < 64)
			return;
		sha256_blocks(f->state, f->block, 1);
	}
	sha256_blocks(f->state, at, len / 64);
	memcpy(f->block, at + len / 64 * 64, len % 64);
}

static struct digest text_of(const uint32_t state[8])
{
	struct digest d;

	for (int i = 0; i < 32; i++)
		d.sha256[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
	return d;
}

static struct digest fast_end(struct sha256_fast *f)
{
	static const uint8_t pad[64] = { 0x80 };
	uint64_t bits = f->len * 8;
	uint8_t tail[8];

	for (int i = 0; i < 8; i++)
		tail[i] = (uint8_t)(bits >> (56 - 8 * i));
	fast_add(f, pad, 64 - (f->len + 8) % 64);
	fast_add(f, tail, sizeof(tail));
	return text_of(f->state);
}

void sha256_add(struct sha256 *h, const void *at, size_t len)
{
	if (len && h->is_fast)
		fast_add(&h->fast, at, len);
	else if (len)
		mbedtls_sha256_update(&h->ctx, at, len);
}

struct digest sha256_end(struct sha256 *h)
{
	struct digest d;

	if (h->is_fast)
		return fast_end(&h->fast);
	mbedtls_sha256_finish(&h->ctx, d.sha256);
	mbedtls_sha256_free(&h->ctx);
	return d;
}

struct digest sha256_of(struct span s)
{
	struct sha256 h;

	sha256_begin(&h);
	sha256_add(&h, s.at, s.len);
	return sha256_end(&h);
}

void sha256_two(const uint8_t *const at[2], size_t len, struct digest out[2])
{
	uint32_t a[8], b[8], *const state[2] = { a, b };
	uint8_t tail[64] = { 0x80 };

	if (!sha256_blocks_is_there()) {
		out[0] = sha256_of(span_of(at[0], len));
		out[1] = sha256_of(span_of(at[1], len));
		return;
	}
	memcpy(a, initial, sizeof(initial));
	memcpy(b, initial, sizeof(initial));
	sha256_blocks_two(state, at, len / 64);
	for (int i = 0; i < 8; i++)
		tail[56 + i] = (uint8_t)((uint64_t)len * 8 >> (56 - 8 * i));
	sha256_blocks_two(state, (const uint8_t *const[]){ tail, tail }, 1);
	out[0] = text_of(a);
	out[1] = text_of(b);
}
