/* SPDX-License-Identifier: MIT */
/*
 * One registry host as the trusted process sees it: connections made here, handed into net jails; tokens; redirects.
 * Implements distribution-spec "Pulling manifests", "Pulling blobs" and the token protocol.
 */
#ifndef CORACLE_REGISTRY_H
#define CORACLE_REGISTRY_H

#include "net.h"
#include "ref.h"

/* Where and with what to talk; plain data, lives as long as the pull. */
struct access {
	int exe;		/* own program, for the jails */
	const char *auth_file;	/* containers-auth.json(5) */
	const char *cert_dir;	/* containers-certs.d(5) */
	int store_fd;		/* holds state/tls13; -1: not remembered */
};

struct registry;

int registry_new(struct registry **out, const struct access *a, const struct ref *ref, struct err *e);
void registry_free(struct registry *r);

/* Takes a piece of the body; a negative return stops the transfer and is passed on. */
typedef int registry_sink(void *to, const void *at, size_t len);

/* GET /v2/<repo>/PATH. Follows redirects (credentials stay with the registry), logs in where asked. HEAD may be NULL. 0 for status 200;
 * -ENOENT 404, -EACCES 401 and 403, -ECONNABORTED link trouble, -EPROTO, -EKEYREJECTED a certificate that does not verify. */
int registry_get(struct registry *r, const char *path, const char *accept, registry_sink *sink, void *to,
	struct net_head *head, struct err *e);

/* The same into memory, at most MAX bytes; the caller frees *OUT. */
int registry_get_bytes(struct registry *r, const char *path, const char *accept, size_t max, char **out, size_t *len,
	struct net_head *head, struct err *e);

/* The path (below /v2/<repo>/) of the next page that HEAD links to, into PATH: "" where there is none or it does not lie below BELOW. */
void registry_next_page(const struct registry *r, const struct net_head *head, const char *below, char *path, size_t size);

#endif
