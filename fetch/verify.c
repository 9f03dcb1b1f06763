/* SPDX-License-Identifier: MIT */
/*
 * Signature checks in the trusted process. The signature manifest is read by the judge; a payload is parsed here
 * only after a configured key vouched for its bytes. No algorithm comes from the signature: the key decides.
 */
#include "verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <mbedtls/base64.h>
#include <mbedtls/pk.h>
#include <psa/crypto.h>
#include <yyjson.h>

#include "sha256.h"

#define MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"

/* The member named KEY of an object that must hold exactly COUNT different members. */
static yyjson_val *only(yyjson_val *object, const char *key, size_t count)
{
	return yyjson_is_obj(object) && yyjson_obj_size(object) == count ? yyjson_obj_get(object, key) : NULL;
}

/* Strict: the three members of `critical`, each once, none unknown. */
static int read_claims(struct span payload, const struct digest *d, char *signed_ref, struct err *e)
{
	yyjson_doc *doc = yyjson_read((const char *)payload.at, payload.len, 0);
	yyjson_val *critical = yyjson_obj_get(yyjson_doc_get_root(doc), "critical");
	yyjson_val *type = only(critical, "type", 3);
	yyjson_val *name = only(only(critical, "identity", 3), "docker-reference", 1);
	yyjson_val *digest = only(only(critical, "image", 3), "docker-manifest-digest", 1);
	int r = 0;

	if (!yyjson_equals_str(type, "cosign container image signature") || !yyjson_is_str(name) || !yyjson_is_str(digest) ||
	    !span_copy(span_of(yyjson_get_str(name), yyjson_get_len(name)), signed_ref, 600))
		r = err_set(e, -EKEYREJECTED, "the signed payload is not a cosign container image signature");
	else if (!span_is(span_of(yyjson_get_str(digest), yyjson_get_len(digest)), digest_text(d).text))
		r = err_set(e, -EKEYREJECTED, "the signature is for another image (%.80s)", yyjson_get_str(digest));
	yyjson_doc_free(doc);
	return r;
}

static int check_key(mbedtls_pk_context *pk, const char *pem, struct err *e)
{
	if (strstr(pem, "PRIVATE KEY"))
		return err_set(e, -EKEYREJECTED, "the key file holds a private key: a board must have the public one only");
	if (mbedtls_pk_parse_public_key(pk, (const unsigned char *)pem, strlen(pem) + 1) != 0)
		return err_set(e, -EKEYREJECTED, "the key is no PEM public key of a known kind (ECDSA P-256, P-384 or RSA; Ed25519 is not supported)");
	if (mbedtls_pk_can_do(pk, MBEDTLS_PK_RSA) && mbedtls_pk_get_bitlen(pk) < 2048)
		return err_set(e, -EKEYREJECTED, "RSA keys below 2048 bits are refused");
	return 0;
}

int verify_payload(const char *pem, struct span payload, const char *sig, const struct digest *d, char *signed_ref, struct err *e)
{
	struct digest hash = sha256_of(payload);
	unsigned char der[1024];
	mbedtls_pk_context pk;
	size_t len;
	int r;

	psa_crypto_init();
	mbedtls_pk_init(&pk);
	r = check_key(&pk, pem, e);
	if (r == 0 && mbedtls_base64_decode(der, sizeof(der), &len, (const unsigned char *)sig, strlen(sig)) != 0)
		r = err_set(e, -EKEYREJECTED, "the signature is not base64");
	if (r == 0 && mbedtls_pk_verify(&pk, MBEDTLS_MD_SHA256, hash.sha256, sizeof(hash.sha256), der, len) != 0)
		r = err_set(e, -EKEYREJECTED, "made by another key");
	mbedtls_pk_free(&pk);
	return r < 0 ? r : read_claims(payload, d, signed_ref, e);
}

static int try_signature(struct registry *r, const struct ref *ref, const struct policy *p, const struct digest *d,
	const struct judge_signature *s, struct admitted *out, struct err *e)
{
	char path[100], signed_ref[600], *payload;
	struct digest want, have;
	size_t len;
	int ret;

	if (digest_parse(span_str(s->digest), &want) < 0 || s->size > CONFIG_SIGNATURE_MAX)
		return err_set(e, -EKEYREJECTED, "the signature manifest is malformed");
	snprintf(path, sizeof(path), "blobs/%s", s->digest);
	ret = registry_get_bytes(r, path, "application/octet-stream", CONFIG_SIGNATURE_MAX, &payload, &len, NULL, e);
	if (ret < 0)
		return ret;
	have = sha256_of(span_of(payload, len));
	if (len != s->size || !digest_equal(&have, &want))
		ret = err_set(e, -EKEYREJECTED, "the signed payload does not have its digest");
	for (int k = 0; ret == 0 && k < p->key_count; k++) {
		struct err why = { "" };

		ret = verify_payload(p->key[k], span_of(payload, len), s->base64, d, signed_ref, &why);
		if (ret == 0)
			ret = policy_identity_check(p, ref, signed_ref, &why);
		if (ret == 0) {
			out->digest = *d;
			snprintf(out->signer, sizeof(out->signer), "%s", p->key_name[k]);
			snprintf(out->scope, sizeof(out->scope), "%s", p->scope);
			memcpy(out->payload, s->digest, sizeof(out->payload));
			break;
		}
		if (k + 1 == p->key_count)
			err_set(e, ret, "%s (key %s)", why.text, p->key_name[k]);
		else
			ret = 0;
	}
	free(payload);
	return ret;
}

int verify_image(struct registry *r, int exe, const struct ref *ref, const struct policy *p, const struct digest *d,
	struct admitted *out, struct err *e)
{
	static struct judge_signatures found;
	struct digest_text text = digest_text(d);
	struct err why = { "" };
	char path[120], *manifest;
	size_t len;
	int ret;

	memset(out, 0, sizeof(*out));
	if (p->rule == POLICY_REJECT)
		return err_set(e, -EKEYREJECTED, "the policy rejects it (scope %s)", p->scope);
	if (p->rule == POLICY_ACCEPT) {
		out->digest = *d;
		snprintf(out->signer, sizeof(out->signer), "nobody (insecureAcceptAnything)");
		snprintf(out->scope, sizeof(out->scope), "%s", p->scope);
		return 0;
	}
	snprintf(path, sizeof(path), "manifests/sha256-%s.sig", text.text + 7);
	ret = registry_get_bytes(r, path, MANIFEST_TYPE, CONFIG_MANIFEST_MAX, &manifest, &len, NULL, &why);
	if (ret == -ENOENT)
		return err_set(e, -EKEYREJECTED, "no signature: %s is not signed, and scope %s of the policy wants the key %s. "
			"Sign it: cosign sign --key KEY IMAGE", text.text, p->scope, p->key_name[0]);
	if (ret < 0)
		return err_set(e, ret, "%s", why.text);
	ret = judge_signatures(exe, span_of(manifest, len), &found, e);
	free(manifest);
	if (ret < 0)
		return ret;
	for (uint32_t i = 0; i < found.count; i++) {
		why.text[0] = '\0';
		ret = try_signature(r, ref, p, d, &found.item[i], out, &why);
		if (ret != -EKEYREJECTED)
			return ret < 0 ? err_set(e, ret, "%s", why.text) : 0;
	}
	return err_set(e, -EKEYREJECTED, "none of %u signatures counts; the last: %s", found.count,
		found.count ? why.text : "the signature manifest holds none");
}
