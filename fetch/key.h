/* SPDX-License-Identifier: MIT */
/* Public keys in PEM (SubjectPublicKeyInfo) and signatures made by them. The key alone decides the algorithm: nothing beside a signature is asked. */
#ifndef CORACLE_KEY_H
#define CORACLE_KEY_H

#include "err.h"
#include "span.h"

/* Is PEM a key that counts: ECDSA P-256, ECDSA P-384, RSA of 2048 bits or more? -EKEYREJECTED naming what it is instead (Ed25519, a private key). */
int key_check(const char *pem, struct err *e);

/* Did the key make SIG (base64, in the canonical form alone) over MESSAGE? ECDSA as strict DER (RFC 3279, 2.2.3; one encoding for one signature),
 * RSA PKCS#1 v1.5, with SHA-256, for P-384 also SHA-384. -EKEYREJECTED with the reason. */
int key_verify(const char *pem, struct span message, const char *sig, struct err *e);

#endif
