/* SPDX-License-Identifier: MIT */
/* Signature checks over mbedTLS. The key is the operator's; message and signature are the attacker's until this says otherwise. */
#include "key.h"

#include <errno.h>
#include <string.h>
#include <mbedtls/base64.h>
#include <mbedtls/pk.h>
#include <psa/crypto.h>

enum { SIGNATURE_MAX = 1024, DIGEST_MAX = 48, RSA_BITS_MIN = 2048 };

/* The first twelve bytes of every Ed25519 SubjectPublicKeyInfo (RFC 8410), in base64. */
#define ED25519_START "MCowBQYDK2VwAyEA"

static int parse(mbedtls_pk_context *pk, const char *pem, struct err *e)
{
	psa_crypto_init();
	mbedtls_pk_init(pk);
	if (strstr(pem, "PRIVATE KEY"))
		return err_set(e, -EKEYREJECTED, "it is a private key: a board must have the public one only");
	if (strstr(pem, ED25519_START))
		return err_set(e, -EKEYREJECTED, "it is an Ed25519 key, which is not supported: sign with ECDSA P-256 (cosign generate-key-pair)");
	if (mbedtls_pk_parse_public_key(pk, (const unsigned char *)pem, strlen(pem) + 1) != 0)
		return err_set(e, -EKEYREJECTED, "it is no PEM public key of a supported kind (ECDSA P-256, ECDSA P-384, RSA)");
	if (mbedtls_pk_can_do(pk, MBEDTLS_PK_RSA)) {
		if (mbedtls_pk_get_bitlen(pk) < RSA_BITS_MIN)
			return err_set(e, -EKEYREJECTED, "it is an RSA key of %zu bits: at least %d are wanted", mbedtls_pk_get_bitlen(pk),
				RSA_BITS_MIN);
	} else if (!mbedtls_pk_can_do(pk, MBEDTLS_PK_ECDSA) ||
	    (mbedtls_pk_get_bitlen(pk) != 256 && mbedtls_pk_get_bitlen(pk) != 384)) {
		return err_set(e, -EKEYREJECTED, "it is neither ECDSA P-256, ECDSA P-384 nor RSA");
	}
	return 0;
}

int key_check(const char *pem, struct err *e)
{
	mbedtls_pk_context pk;
	int r = parse(&pk, pem, e);

	mbedtls_pk_free(&pk);
	return r;
}

/* Decodes only what encoding would have made: else a signature would have many texts. */
static int decode(const char *text, unsigned char *out, size_t *len)
{
	unsigned char again[SIGNATURE_MAX * 2];
	size_t again_len, text_len = strlen(text);

	if (mbedtls_base64_decode(out, SIGNATURE_MAX, len, (const unsigned char *)text, text_len) != 0 || *len == 0 ||
	    mbedtls_base64_encode(again, sizeof(again), &again_len, out, *len) != 0)
		return -EKEYREJECTED;
	return again_len == text_len && memcmp(again, text, text_len) == 0 ? 0 : -EKEYREJECTED;
}

/* One INTEGER of X.690 10.2: short length, positive, no byte more than needed. What follows it, or NULL. */
static const unsigned char *integer(const unsigned char *at, const unsigned char *end)
{
	if (end - at < 3 || at[0] != 0x02 || at[1] == 0 || at[1] > 0x7f || end - at - 2 < at[1] || (at[2] & 0x80))
		return NULL;
	if (at[1] > 1 && at[2] == 0 && !(at[3] & 0x80))
		return NULL;
	return at + 2 + at[1];
}

static bool is_strict_der(const unsigned char *sig, size_t len)
{
	const unsigned char *end = sig + len, *s;

	if (len < 8 || sig[0] != 0x30 || sig[1] > 0x7f || sig[1] != len - 2)
		return false;
	s = integer(sig + 2, end);
	return s && integer(s, end) == end;
}

static bool is_made_with(mbedtls_pk_context *pk, mbedtls_md_type_t kind, struct span message, const unsigned char *sig, size_t len)
{
	unsigned char hash[DIGEST_MAX];
	const mbedtls_md_info_t *md = mbedtls_md_info_from_type(kind);

	return md && mbedtls_md(md, message.at, message.len, hash) == 0 &&
		mbedtls_pk_verify(pk, kind, hash, mbedtls_md_get_size(md), sig, len) == 0;
}

int key_verify(const char *pem, struct span message, const char *sig, struct err *e)
{
	unsigned char der[SIGNATURE_MAX];
	mbedtls_pk_context pk;
	size_t len;
	int r = parse(&pk, pem, e);
	bool is_ec = r == 0 && mbedtls_pk_can_do(&pk, MBEDTLS_PK_ECDSA);

	if (r < 0)
		goto out;
	if (decode(sig, der, &len) < 0)
		r = err_set(e, -EKEYREJECTED, "the signature is not base64");
	else if (is_ec && !is_strict_der(der, len))
		r = err_set(e, -EKEYREJECTED, "the signature is not the DER of an ECDSA signature");
	else if (!is_made_with(&pk, MBEDTLS_MD_SHA256, message, der, len) &&
	    !(is_ec && mbedtls_pk_get_bitlen(&pk) == 384 && is_made_with(&pk, MBEDTLS_MD_SHA384, message, der, len)))
		r = err_set(e, -EKEYREJECTED, "made by another key");
out:
	mbedtls_pk_free(&pk);
	return r;
}
