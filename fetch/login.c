/* SPDX-License-Identifier: MIT */
/* Tokens (distribution: token and OAuth2 specifications). Credentials go to the realm's host over TLS and nowhere else; what it answers is the judge's
 * to read. Secrets are wiped where they were copied. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth.h"
#include "config.h"
#include "endpoint.h"
#include "judge.h"
#include "url.h"

int bytes_keep(void *to, const void *at, size_t len)
{
	struct bytes *b = to;
	char *grown;

	if (len > b->max - b->len)
		return -EFBIG;
	grown = realloc(b->at, b->len + len + 1);
	if (!grown)
		return -ENOMEM;
	b->at = grown;
	memcpy(b->at + b->len, at, len);
	b->len += len;
	b->at[b->len] = '\0';
	return 0;
}

/* GET with Basic, or POST of the identity token. */
static int make_request(const struct endpoint *p, const struct challenge *c, const struct credentials *have, struct url *realm,
	struct net_request *q)
{
	char scope[600];
	int r = url_split(c->realm, realm);

	memset(q, 0, sizeof(*q));
	q->magic = NET_MAGIC;
	if (r < 0)
		return r;
	snprintf(q->accept, sizeof(q->accept), "application/json");
	snprintf(scope, sizeof(scope), "repository:%s:pull", p->name.repo);
	memcpy(q->path, realm->path, sizeof(realm->path));
	if (have->identity[0]) {
		r = url_add(q->form, sizeof(q->form), "", "grant_type", "refresh_token");
		r = r < 0 ? r : url_add(q->form, sizeof(q->form), "&", "service", c->service);
		r = r < 0 ? r : url_add(q->form, sizeof(q->form), "&", "client_id", "coracle");
		r = r < 0 ? r : url_add(q->form, sizeof(q->form), "&", "scope", scope);
		return r < 0 ? r : url_add(q->form, sizeof(q->form), "&", "refresh_token", have->identity);
	}
	if (c->service[0])
		r = url_add(q->path, sizeof(q->path), strchr(q->path, '?') ? "&" : "?", "service", c->service);
	if (r == 0)
		r = url_add(q->path, sizeof(q->path), strchr(q->path, '?') ? "&" : "?", "scope", scope);
	if (have->basic[0])
		snprintf(q->authorization, sizeof(q->authorization), "Basic %s", have->basic);
	return r;
}

static int fetch_token(struct endpoint *p, const struct access *a, const struct challenge *c, const struct credentials *have, struct err *e)
{
	static struct net_request q;
	static struct judge_token token;
	struct link l = LINK_CLOSED;
	struct bytes kept = { .max = CONFIG_TOKEN_MAX };
	struct body b = { .sink = bytes_keep, .to = &kept };
	struct net_head head;
	struct url realm;
	bool is_local;
	int r = make_request(p, c, have, &realm, &q);

	if (r < 0)
		return err_set(e, -EPROTO, "%s: its token realm is no https URL: refused", p->name.host);
	r = link_get(&l, a, NULL, realm.server, realm.port, p->is_local, &is_local, &q, &head, &b, e);
	link_close(&l);
	explicit_bzero(&q, sizeof(q));
	if (r == -EFBIG)
		r = err_set(e, -EPROTO, "%s: the token server %s answers more than %d bytes", p->name.host, realm.server, CONFIG_TOKEN_MAX);
	if (r == 0 && (head.status == 429 || head.status >= 500))
		r = err_set(e, -ECONNABORTED, "%s: the token server %s answers %u", p->name.host, realm.server, head.status);
	if (r == 0 && head.status != 200)
		r = err_set(e, -EACCES, "%s: the token server %s answers %u: are the credentials in %s right?", p->name.host, realm.server,
			head.status, a->auth_file);
	if (r == 0)
		r = judge_token(a->exe, span_of(kept.at, kept.len), &token, e);
	if (r == 0 && !token.token[0])
		r = err_set(e, -EPROTO, "%s: the token server %s sent no token", p->name.host, realm.server);
	if (r == 0)
		snprintf(p->authorization, sizeof(p->authorization), "Bearer %s", token.token);
	explicit_bzero(&token, sizeof(token));
	if (kept.at)
		explicit_bzero(kept.at, kept.len);
	free(kept.at);
	return r;
}

int login(struct endpoint *p, const struct access *a, const char *challenge, struct err *e)
{
	static struct credentials have;
	struct challenge c;
	int r = auth_challenge(challenge, &c);

	if (r < 0)
		return err_set(e, -EPROTO, "%s: asks for a log-in that is neither Basic nor Bearer over https", p->name.host);
	r = auth_lookup(a->auth_file, p->name.host, p->name.repo, &have, e);
	if (r == 0 && c.is_bearer) {
		r = fetch_token(p, a, &c, &have, e);
	} else if (r == 0 && !have.basic[0]) {
		r = err_set(e, -EACCES, "%s: wants a log-in and %s has none for it", p->name.host, a->auth_file);
	} else if (r == 0) {
		snprintf(p->authorization, sizeof(p->authorization), "Basic %s", have.basic);
	}
	explicit_bzero(&have, sizeof(have));
	return r;
}
