/* SPDX-License-Identifier: MIT */
/* Credentials of containers-auth.json(5) and the challenge of a registry (RFC 9110, 11.6.1; distribution token spec). */
#ifndef CORACLE_AUTH_H
#define CORACLE_AUTH_H

#include <stdbool.h>

#include "err.h"

struct challenge {
	bool is_bearer;
	char realm[1024], service[256], scope[512];
};

/* Parses the value of WWW-Authenticate. -EPROTO where it is neither Basic nor Bearer with a realm. */
int auth_challenge(const char *value, struct challenge *out);

/* The base64 of user:password for HOST/REPO (longest entry of "auths" wins) into OUT, "" where there is none. -EBADMSG for a broken file; an absent one is
 * no error. A secret: the caller wipes it. */
int auth_lookup(const char *file, const char *host, const char *repo, char *out, size_t size, struct err *e);

#endif
