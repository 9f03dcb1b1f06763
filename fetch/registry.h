/* SPDX-License-Identifier: MIT */
/*
 * One image's source as the trusted process sees it: a registry and the mirrors before it, or an image layout behind the same questions. Tokens,
 * redirects, new tries, resuming. Implements distribution-spec "Pulling manifests", "Pulling blobs" and the token protocol.
 */
#ifndef CORACLE_REGISTRY_H
#define CORACLE_REGISTRY_H

#include "link.h"

struct registry;

/* -EINVAL, -EACCES of the mirrors' file. */
int registry_new(struct registry **out, const struct access *a, const struct ref *ref, struct err *e);
void registry_free(struct registry *r);

/* GET /v2/<repo>/PATH from the first endpoint that has it. Follows redirects (credentials stay with the registry), logs in where asked, waits out a
 * Retry-After, tries again after a broken link from byte B->at on, goes on to the next mirror. HEAD may be NULL. 0 when the body ended; -ENOENT 404, -EACCES
 * 401 and 403, -ERANGE 416, -ECONNABORTED link trouble that did not heal, -ETIME, -EPROTO, -EKEYREJECTED a certificate that does not verify, the sink's code. */
int registry_get(struct registry *r, const char *path, const char *accept, struct body *b, struct net_head *head, struct err *e);

/* The same into memory, at most MAX bytes; the caller frees *OUT. A broken transfer starts anew: two answers are never mixed. */
int registry_get_bytes(struct registry *r, const char *path, const char *accept, size_t max, char **out, size_t *len,
	struct net_head *head, struct err *e);

/* HEAD in the place of GET: what the registry says is the digest of PATH, which nothing vouches for. -ENOTSUP where it says none, -EPROTO where it does
 * not take the question. */
int registry_head(struct registry *r, const char *path, const char *accept, struct digest *out, struct err *e);

/* Did an answer, under a certificate that is valid at the clock's time, say a Date that is no more than CONFIG_CLOCK_AGREE_S before it? A clock that is
 * behind the peer's does no harm where it is kept: the kept time is only a floor. */
bool registry_confirms_time(const struct registry *r);

/* The path (below /v2/<repo>/) of the next page that HEAD links to, into PATH: "" where there is none or it does not lie below BELOW. */
void registry_next_page(const struct registry *r, const struct net_head *head, const char *below, char *path, size_t size);

#endif
