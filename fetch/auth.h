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

/* What the auth file has for one repository. Secrets: the caller wipes them. */
struct credentials {
	char basic[2048];	/* base64 of user:password, or "" */
	char identity[8192];	/* identity token (OAuth2 refresh token), or "" */
};

/* For HOST/REPO: the longest entry of "auths" wins, HOST/NAMESPACE/REPO over HOST; Docker Hub's old key is known. Zeroed where there is none. -EBADMSG for a
 * broken file; an absent one is no error. */
int auth_lookup(const char *file, const char *host, const char *repo, struct credentials *out, struct err *e);

#endif
