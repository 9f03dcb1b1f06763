/* SPDX-License-Identifier: MIT */
/* One host that an image may come from, with its connection and its token; the inside of registry.c, endpoint.c and login.c. */
#ifndef CORACLE_ENDPOINT_H
#define CORACLE_ENDPOINT_H

#include "link.h"
#include "mirrors.h"

struct endpoint {
	struct endpoint_name name;
	const struct ref *file;		/* an image layout instead of a host, or NULL */
	struct link link;		/* kept over requests to the host itself */
	bool is_local;			/* it lies on this machine: then its realm may, too */
	bool is_down;			/* given up for this pull */
	char authorization[8192];
};

/* One request, with log-in and redirects; the body of 200 and 206 to B. 0 whatever other status HEAD tells. */
int endpoint_get(struct endpoint *p, const struct access *a, const char *path, const char *accept, struct body *b, struct net_head *head,
	struct err *e);

/* Answers a challenge (WWW-Authenticate) with what the auth file has for the endpoint, through its token server where it names one; fills
 * P->authorization. -EACCES, -EPROTO, -ECONNABORTED. */
int login(struct endpoint *p, const struct access *a, const char *challenge, struct err *e);

/* A sink that keeps a body in memory; -EFBIG above MAX. AT is NUL-terminated and the caller's to free. */
struct bytes {
	char *at;
	size_t len, max;
};
int bytes_keep(void *to, const void *at, size_t len);

#endif
