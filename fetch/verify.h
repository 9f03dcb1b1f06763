/* SPDX-License-Identifier: MIT */
/*
 * cosign signatures of the ".sig" tag form (cosign SIGNATURE_SPEC). The only function that admits a document's digest.
 */
#ifndef CORACLE_VERIFY_H
#define CORACLE_VERIFY_H

#include "policy.h"
#include "registry.h"

/* A digest that the policy lets in; made by verify_image alone. */
struct admitted {
	struct digest digest;	/* of the manifest or index */
	char signer[128];	/* path of the key, or "insecureAcceptAnything" */
	char scope[600];
	char payload[72];	/* digest of the signed payload, or "" */
};

/* Does the policy let D of REF in? Fetches signatures as needed. 0; -EKEYREJECTED with the reason (unsigned, other key, other image, other identity);
 * -ECONNABORTED ... of the registry. */
int verify_image(struct registry *r, int exe, const struct ref *ref, const struct policy *p, const struct digest *d,
	struct admitted *out, struct err *e);

/* The pure part: is PAYLOAD signed (base64 DER SIG) by PEM KEY, does it name D, and which docker-reference does it carry (SIGNED_REF, 600 bytes)? */
int verify_payload(const char *pem, struct span payload, const char *sig, const struct digest *d, char *signed_ref, struct err *e);

#endif
