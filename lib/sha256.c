/* SPDX-License-Identifier: MIT */
/* SHA-256 over mbedTLS; its errors can only be wrong arguments, which we do not pass. */
#include "sha256.h"

void sha256_begin(struct sha256 *h)
{
	mbedtls_sha256_init(&h->ctx);
	mbedtls_sha256_starts(&h->ctx, 0);
}

void sha256_add(struct sha256 *h, const void *at, size_t len)
{
	if (len)
		mbedtls_sha256_update(&h->ctx, at, len);
}

struct digest sha256_end(struct sha256 *h)
{
	struct digest d;

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
