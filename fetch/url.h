/* SPDX-License-Identifier: MIT */
/* URLs from headers and settings, taken apart; queries and forms put together. Input may be the peer's. Never allocates. */
#ifndef CORACLE_URL_H
#define CORACLE_URL_H

#include <stddef.h>

struct url {
	char server[256];	/* an IPv6 address without its brackets */
	char port[6];
	char path[3072];	/* with the query; at least "/" */
};

/* https://SERVER[:PORT][/PATH] of printable ASCII, no user part. -EPROTO for anything else. */
int url_split(const char *url, struct url *out);

/* Adds BEFORE KEY=VALUE behind TEXT, VALUE with all but unreserved characters as %XX (RFC 3986, 2.3). -EPROTO where it does not fit. */
int url_add(char *text, size_t size, const char *before, const char *key, const char *value);

#endif
