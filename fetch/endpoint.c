/* SPDX-License-Identifier: MIT */
/* One question to one host: log-in, redirects. Credentials go to the host itself and its token realm, never to where a redirect leads. */
#include "endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "url.h"

enum { LOGINS_MAX = 2 };

static void fill(struct net_request *q, const char *accept, const struct body *b)
{
	memset(q, 0, sizeof(*q));
	q->magic = NET_MAGIC;
	q->offset = b->at;
	q->is_head = b->is_head;
	snprintf(q->accept, sizeof(q->accept), "%s", accept);
}

/* A relative location belongs to the host that sent it (RFC 9110, 10.2.2), *FROM. */
static int next_hop(const struct endpoint *p, const char *location, const struct url *from, struct url *out, struct err *e)
{
	if (location[0] == '/' && location[1] != '/') {
		*out = *from;
		if (!span_copy(span_str(location), out->path, sizeof(out->path)) || strpbrk(location, " \t\r\n"))
			return err_set(e, -EPROTO, "%s: redirects to a path that is too long or malformed: refused", p->name.host);
		return 0;
	}
	if (url_split(location, out) < 0)
		return err_set(e, -EPROTO, "%s: redirects to something that is no https URL: refused", p->name.host);
	return 0;
}

static int follow_redirects(struct endpoint *p, const struct access *a, struct net_head *head, const char *accept, struct body *b, struct err *e)
{
	static struct net_request q;
	struct url from = { .path = "" }, to;
	int r = 0;

	memcpy(from.server, p->name.server, sizeof(from.server));
	memcpy(from.port, p->name.port, sizeof(from.port));
	for (int hops = 0; head->status >= 300 && head->status < 400 && head->status != 304; hops++) {
		struct link l = LINK_CLOSED;
		bool is_local;

		if (hops == CONFIG_REDIRECTS_MAX)
			return err_set(e, -EPROTO, "%s: more than %d redirects", p->name.host, CONFIG_REDIRECTS_MAX);
		r = next_hop(p, head->location, &from, &to, e);
		if (r < 0)
			return r;
		fill(&q, accept, b);
		memcpy(q.path, to.path, sizeof(to.path));
		/* The same host keeps its credentials, any other gets none. */
		if (strcmp(to.server, p->name.server) == 0 && strcmp(to.port, p->name.port) == 0)
			memcpy(q.authorization, p->authorization, sizeof(q.authorization));
		r = link_get(&l, a, NULL, to.server, to.port, p->is_local, &is_local, &q, head, b, e);
		link_close(&l);
		explicit_bzero(q.authorization, sizeof(q.authorization));
		if (r < 0)
			return r;
		from = to;
	}
	return r;
}

int endpoint_get(struct endpoint *p, const struct access *a, const char *path, const char *accept, struct body *b, struct net_head *head,
	struct err *e)
{
	static struct net_request q;
	int r;

	for (int logins = 0;; logins++) {
		fill(&q, accept, b);
		snprintf(q.path, sizeof(q.path), "/v2/%s/%s", p->name.repo, path);
		memcpy(q.authorization, p->authorization, sizeof(q.authorization));
		r = link_get(&p->link, a, p->file, p->name.server, p->name.port, true, &p->is_local, &q, head, b, e);
		explicit_bzero(q.authorization, sizeof(q.authorization));
		if (p->file)	/* whatever it says: a file leads nowhere */
			return r;
		if (r == 0)
			r = follow_redirects(p, a, head, accept, b, e);
		/* A token may have run out, or cover less than we asked for: a second 401 gets a second one, a third is an answer. */
		if (r < 0 || head->status != 401 || logins == LOGINS_MAX)
			return r;
		r = login(p, a, head->authenticate, e);
		if (r < 0)
			return r;
	}
}
