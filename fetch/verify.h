/* SPDX-License-Identifier: MIT */
/*
 * Does the policy let a digest in? The only functions that admit one. Signatures are cosign's: the ".sig" tag (SIGNATURE_SPEC, simple signing)
 * and the v0.3 bundle (BUNDLE_SPEC, DSSE), found through the referrers API or its fallback tag. No Rekor, no certificates: keys of the policy alone.
 */
#ifndef CORACLE_VERIFY_H
#define CORACLE_VERIFY_H

#include "policy.h"
#include "registry.h"

struct yyjson_val;

/* An image's version, a number that only grows: annotation of its manifest, or an optional claim of its signature (cosign sign -a). */
#define VERIFY_VERSION "coracle.version"

/* A digest that the policy lets in; made by verify_image alone. */
struct admitted {
	struct digest digest;	/* of the manifest or index */
	char signer[256];	/* paths of the keys, or "nobody (insecureAcceptAnything)" */
	char scope[700];
	char payload[72];	/* digest of the first signed payload, or "" */
	unsigned rollout;	/* the largest share (rollout.h) of its good signatures, one without counting as all; of the policy that wants none: all */
	uint64_t version;	/* the highest that a good signature claims (VERIFY_VERSION), 0: none */
};

/* Hears of every signature that was looked at, one line each; for `inspect`. */
struct verify_notes {
	void (*say)(void *to, const char *line);
	void *to;
};

/* Does the policy let D of REF in? Fetches signatures as needed. 0; -EKEYREJECTED with the reason (unsigned, other key, other image, other identity);
 * -ECONNABORTED ... of the registry. NOTES may be NULL. */
int verify_image(struct registry *r, int exe, const struct ref *ref, const struct policy *p, const struct digest *d,
	const struct verify_notes *notes, struct admitted *out, struct err *e);

/* The pure parts. Is PAYLOAD signed (base64 SIG) by PEM KEY, does it name D, and which docker-reference does it carry (SIGNED_REF, 600 bytes)? */
int verify_payload(const char *pem, struct span payload, const char *sig, const struct digest *d, char *signed_ref, struct err *e);
/* The version that a signed PAYLOAD claims, 0 for none. The caller has verified it. */
uint64_t verify_version(struct span payload);
/* A version as a string or number of a signed document, 0 for none. Only digits count. */
uint64_t verify_read_version(struct yyjson_val *value);
/* Is the in-toto STATEMENT signed inside a DSSE envelope, is it a cosign image signature (no other predicate counts), and is D a subject? */
int verify_statement(const char *pem, struct span statement, const char *sig, const struct digest *d, struct err *e);

#endif
