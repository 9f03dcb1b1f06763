/* SPDX-License-Identifier: MIT */
/*
 * Requests to one registry, each over a net jail that holds the socket. Trusted: it sees the peer's headers as
 * fixed-size texts and its body as bytes to hash, parses neither as a document. Credentials go to the registry's own
 * host and to its token realm, never to where a redirect leads.
 */
#include "registry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "auth.h"
#include "config.h"
#include "dial.h"
#include "file.h"
#include "judge.h"

enum { ROOTS_MAX = 1 << 20, REPLY_DEADLINE_MS = 120000, SEEN_MAX = 65536 };
#define SYSTEM_ROOTS "/etc/ssl/certs/ca-certificates.crt"

/* One connection: a jail and its pipes. */
struct link {
	char server[256], port[8];
	struct jail jail;
	int to, from;
};

struct registry {
	struct access access;
	struct ref ref;
	struct link link;	/* kept over requests to the registry itself */
	bool is_local;		/* the registry lies on this machine: then its realm may, too */
	char authorization[8192];
};

static void link_close(struct link *l)
{
	if (l->to >= 0)
		close(l->to);
	if (l->from >= 0)
		close(l->from);
	l->to = l->from = -1;
	jail_kill(&l->jail);
}

/* certs.d/HOST:PORT/{asterisk}.crt; the system's bundle where there is none. The caller frees. */
static int read_roots(const struct access *a, const char *server, const char *port, char **out, size_t *len, struct err *e)
{
	char path[700];
	struct dirent *entry;
	DIR *list;

	*out = NULL;
	*len = 0;
	snprintf(path, sizeof(path), "%s/%s:%s", a->cert_dir, server, port);
	list = opendir(path);
	if (!list && strcmp(port, "443") == 0) {
		snprintf(path, sizeof(path), "%s/%s", a->cert_dir, server);
		list = opendir(path);
	}
	while (list && (entry = readdir(list))) {
		size_t name = strlen(entry->d_name), more;
		char *text, *grown;

		if (name < 4 || strcmp(entry->d_name + name - 4, ".crt") != 0)
			continue;
		if (file_read(dirfd(list), entry->d_name, ROOTS_MAX - *len - 1, &text, &more, e) < 0) {
			closedir(list);
			return -EBADMSG;
		}
		grown = realloc(*out, *len + more + 1);
		if (!grown) {
			free(text);
			break;
		}
		*out = grown;
		memcpy(*out + *len, text, more);
		*len += more;
		(*out)[(*len)++] = '\n';
		free(text);
	}
	if (list)
		closedir(list);
	if (*out)
		return 0;
	if (file_read(AT_FDCWD, SYSTEM_ROOTS, ROOTS_MAX, out, len, NULL) < 0)
		return err_set(e, -EKEYREJECTED, "%s:%s: no certificate authority to trust: put its certificate into %s/%s:%s/ca.crt",
			server, port, a->cert_dir, server, port);
	return 0;
}

/* Hosts that ever spoke TLS 1.3 are never offered 1.2: a list of lines in the store. */
static bool spoke_13(const struct access *a, const char *server, const char *port)
{
	char line[300], *text;
	size_t len;
	bool found;

	if (a->store_fd < 0 || file_read(a->store_fd, "state/tls13", SEEN_MAX, &text, &len, NULL) < 0)
		return false;
	snprintf(line, sizeof(line), "%s:%s\n", server, port);
	found = strstr(text, line) != NULL;
	free(text);
	return found;
}

static void remember_13(const struct access *a, const char *server, const char *port)
{
	char *text = NULL, *all;
	size_t len = 0, size;

	if (a->store_fd < 0 || spoke_13(a, server, port))
		return;
	file_read(a->store_fd, "state/tls13", SEEN_MAX, &text, &len, NULL);
	size = len + strlen(server) + strlen(port) + 3;
	all = malloc(size);
	if (all && size < SEEN_MAX) {
		snprintf(all, size, "%s%s:%s\n", text ? text : "", server, port);
		file_replace(a->store_fd, "state/tls13", span_str(all), 0644, NULL);
	}
	free(all);
	free(text);
}

static int link_open(struct link *l, const struct access *a, const char *server, const char *port, unsigned tls_minor,
	bool may_be_local, bool *is_local, struct err *e)
{
	char *argv[] = { (char *)"coracle-fetch", (char *)"--jail-net", NULL };
	int to[2] = { -1, -1 }, from[2] = { -1, -1 }, fd = -1, r;
	struct net_open o = { .magic = NET_MAGIC, .tls_minor = tls_minor };
	struct jail_spec spec;
	char *roots = NULL;
	size_t roots_len;

	snprintf(l->server, sizeof(l->server), "%s", server);
	snprintf(l->port, sizeof(l->port), "%s", port);
	r = read_roots(a, server, port, &roots, &roots_len, e);
	if (r < 0)
		return r;
	fd = r = dial(a->exe, server, port, may_be_local, is_local, e);
	if (r < 0)
		goto out;
	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0) {
		r = err_sys(e, errno, "%s:%s", server, port);
		goto out;
	}
	net_jail_spec(&spec);
	r = jail_start(&l->jail, &spec, a->exe, argv,
		(struct jail_fd[]){ { to[0], 0 }, { from[1], 1 }, { fd, NET_SOCKET_FD } }, 3, e);
	if (r < 0)
		goto out;
	l->to = to[1];
	l->from = from[0];
	to[1] = from[0] = -1;
	snprintf(o.server, sizeof(o.server), "%s", server);
	snprintf(o.port, sizeof(o.port), "%s", port);
	o.roots_len = (uint32_t)roots_len;
	if (file_write_all(l->to, &o, sizeof(o)) < 0 || file_write_all(l->to, roots, roots_len) < 0)
		r = err_set(e, -ECONNABORTED, "%s:%s: the net process died", server, port);
out:
	for (int i = 0; i < 2; i++) {
		if (to[i] >= 0)
			close(to[i]);
		if (from[i] >= 0)
			close(from[i]);
	}
	if (fd >= 0)
		close(fd);
	free(roots);
	if (r < 0)
		link_close(l);
	return r;
}

static int link_read(struct link *l, void *at, size_t len)
{
	size_t have = 0;

	while (have < len) {
		struct pollfd p = { .fd = l->from, .events = POLLIN };
		ssize_t n;

		if (poll(&p, 1, REPLY_DEADLINE_MS) <= 0)
			return -ETIMEDOUT;
		n = read(l->from, (char *)at + have, len - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -ECONNABORTED;
		have += (size_t)n;
	}
	return 0;
}

static void end_texts(struct net_head *h)
{
	h->content_type[sizeof(h->content_type) - 1] = '\0';
	h->location[sizeof(h->location) - 1] = '\0';
	h->authenticate[sizeof(h->authenticate) - 1] = '\0';
	h->link[sizeof(h->link) - 1] = '\0';
}

/* One request on an open link. The body goes to SINK for status 200 only. */
static int link_get(struct link *l, const struct net_request *q, struct net_head *head, uint32_t *failure,
	registry_sink *sink, void *to, struct err *e)
{
	static uint8_t data[NET_DATA_MAX];
	struct net_frame f;
	struct net_end end;
	bool has_head = false;
	char shown[300];
	int r;

	memset(head, 0, sizeof(*head));
	*failure = NET_LINK;
	if (file_write_all(l->to, q, sizeof(*q)) < 0)
		return err_set(e, -ECONNABORTED, "%s:%s: the net process died", l->server, l->port);
	for (;;) {
		r = link_read(l, &f, sizeof(f));
		if (r < 0)
			return err_set(e, -ECONNABORTED, "%s:%s: %s", l->server, l->port,
				r == -ETIMEDOUT ? "no answer in time" : "the net process died");
		if (f.kind == NET_HEAD && f.len == sizeof(*head) && !has_head) {
			has_head = true;
			r = link_read(l, head, sizeof(*head));
			end_texts(head);
		} else if (f.kind == NET_DATA && has_head && f.len <= NET_DATA_MAX) {
			r = link_read(l, data, f.len);
			if (r == 0 && head->status == 200 && sink)
				r = sink(to, data, f.len);
		} else if (f.kind == NET_END && has_head && f.len == sizeof(end)) {
			r = link_read(l, &end, sizeof(end));
			if (r < 0)
				return -ECONNABORTED;
			break;
		} else {
			return err_set(e, -EPROTO, "%s:%s: the net process broke its protocol", l->server, l->port);
		}
		if (r < 0)
			return r;
	}
	*failure = end.failure;
	if (end.failure == NET_OK)
		return 0;
	end.text[sizeof(end.text) - 1] = '\0';
	span_escape(span_str(end.text), shown, sizeof(shown));
	if (end.failure == NET_CERTIFICATE)
		return err_set(e, -EKEYREJECTED, "%s:%s: its certificate does not verify: %s. Is the CA in certs.d, and the clock right?",
			l->server, l->port, shown);
	if (end.failure == NET_NOT_NOW) {
		time_t now = time(NULL);
		char clock[40] = "";

		strftime(clock, sizeof(clock), "%Y-%m-%d %H:%M:%SZ", gmtime(&now));
		return err_set(e, -EAGAIN, "%s:%s: its certificate is not valid at %s, this board's time: %s. Is the clock right?",
			l->server, l->port, clock, shown);
	}
	return err_set(e, end.failure == NET_PROTOCOL ? -EPROTO : -ECONNABORTED, "%s:%s: %s", l->server, l->port, shown);
}

/* TLS 1.3 first; 1.2 in a new connection after a fatal alert only, and never for a host that once spoke 1.3. */
static int get_once(struct link *l, const struct access *a, const char *server, const char *port, bool may_be_local,
	bool *is_local, const struct net_request *q, struct net_head *head, registry_sink *sink, void *to, struct err *e)
{
	uint32_t failure = NET_OK;
	bool was_open = l->to >= 0;
	int r;

	for (unsigned minor = 3; minor >= 2; minor--) {
		if (l->to < 0) {
			r = link_open(l, a, server, port, minor, may_be_local, is_local, e);
			if (r < 0)
				return r;
		}
		r = link_get(l, q, head, &failure, sink, to, e);
		if (r == 0) {
			if (head->tls_minor == 3 && !was_open)
				remember_13(a, server, port);
			return 0;
		}
		link_close(l);
		if (was_open && failure == NET_LINK && head->status == 0) {
			was_open = false;	/* the server closed a kept connection: one fresh try */
			if (e)
				e->text[0] = '\0';
			minor = 4;
			continue;
		}
		if (failure != NET_TLS_ALERT || minor == 2)
			return r;
		if (spoke_13(a, server, port))
			return err_prefix(e, r, "it spoke TLS 1.3 before and now refuses it: not trying 1.2");
		if (e)
			e->text[0] = '\0';
	}
	return -EPROTO;
}

/* https://SERVER[:PORT]/PATH into its parts; anything else is refused. */
static int split_url(const char *url, char *server, size_t server_size, char *port, size_t port_size, char *path, size_t path_size)
{
	const char *host = url + 8, *slash, *colon;

	if (strncmp(url, "https://", 8) != 0)
		return -EPROTO;
	slash = host + strcspn(host, "/?#");
	colon = memchr(host, ':', (size_t)(slash - host));
	if (memchr(host, '@', (size_t)(slash - host)) || memchr(host, '[', (size_t)(slash - host)))
		return -EPROTO;
	if (!span_copy(span_of(host, (size_t)((colon ? colon : slash) - host)), server, server_size) || !server[0])
		return -EPROTO;
	if (strspn(server, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") != strlen(server))
		return -EPROTO;
	if (!span_copy(colon ? span_of(colon + 1, (size_t)(slash - colon - 1)) : span_str("443"), port, port_size))
		return -EPROTO;
	if (!port[0] || strspn(port, "0123456789") != strlen(port))
		return -EPROTO;
	for (const char *c = slash; *c; c++)
		if (*c <= ' ' || *c >= 127)
			return -EPROTO;
	return snprintf(path, path_size, "%s%s", *slash == '/' ? "" : "/", slash) < (int)path_size ? 0 : -EPROTO;
}

struct bytes {
	char *at;
	size_t len, max;
};

static int keep_bytes(void *to, const void *at, size_t len)
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

/* Adds KEY=VALUE to a query, with everything but unreserved characters in %XX. */
static int add_query(char *path, size_t size, char before, const char *key, const char *value)
{
	size_t len = strlen(path);
	int n = snprintf(path + len, size - len, "%c%s=", before, key);

	for (len += (size_t)n; *value && len + 4 < size; value++) {
		bool is_plain = (*value >= 'a' && *value <= 'z') || (*value >= 'A' && *value <= 'Z') ||
			(*value >= '0' && *value <= '9') || strchr("-._~/:,", *value);

		len += (size_t)snprintf(path + len, size - len, is_plain ? "%c" : "%%%02X", (unsigned char)*value);
	}
	return *value ? -EPROTO : 0;
}

static int fetch_token(struct registry *r, const struct challenge *c, const char *basic, struct err *e)
{
	static struct net_request q;
	struct link l = { .to = -1, .from = -1 };
	struct bytes b = { .max = CONFIG_TOKEN_MAX };
	char server[256], port[8], scope[600];
	struct judge_token token;
	struct net_head head;
	bool is_local;
	int ret;

	memset(&q, 0, sizeof(q));
	q.magic = NET_MAGIC;
	snprintf(q.accept, sizeof(q.accept), "application/json");
	ret = split_url(c->realm, server, sizeof(server), port, sizeof(port), q.path, sizeof(q.path) - 1500);
	if (ret < 0)
		return err_set(e, -EPROTO, "%s: its token realm is no https URL: refused", r->ref.host);
	snprintf(scope, sizeof(scope), "repository:%s:pull", r->ref.repo);
	if (c->service[0])
		ret = add_query(q.path, sizeof(q.path), strchr(q.path, '?') ? '&' : '?', "service", c->service);
	if (ret == 0)
		ret = add_query(q.path, sizeof(q.path), strchr(q.path, '?') ? '&' : '?', "scope", scope);
	if (basic[0])
		snprintf(q.authorization, sizeof(q.authorization), "Basic %s", basic);
	if (ret == 0)
		ret = get_once(&l, &r->access, server, port, r->is_local, &is_local, &q, &head, keep_bytes, &b, e);
	link_close(&l);
	explicit_bzero(q.authorization, sizeof(q.authorization));
	if (ret == 0 && head.status != 200)
		ret = err_set(e, -EACCES, "%s: the token server %s answers %u: are the credentials in the auth file right?", r->ref.host,
			server, head.status);
	if (ret == 0)
		ret = judge_token(r->access.exe, span_of(b.at, b.len), &token, e);
	if (ret == 0)
		snprintf(r->authorization, sizeof(r->authorization), "Bearer %s", token.token);
	free(b.at);
	return ret;
}

static int log_in(struct registry *r, const char *challenge_text, struct err *e)
{
	struct challenge c;
	char basic[2048];
	int ret = auth_challenge(challenge_text, &c);

	if (ret < 0)
		return err_set(e, -EPROTO, "%s: asks for a log-in that is neither Basic nor Bearer over https", r->ref.host);
	ret = auth_lookup(r->access.auth_file, r->ref.host, r->ref.repo, basic, sizeof(basic), e);
	if (ret == 0 && c.is_bearer) {
		ret = fetch_token(r, &c, basic, e);
	} else if (ret == 0 && !basic[0]) {
		ret = err_set(e, -EACCES, "%s: wants a log-in and %s has none for it", r->ref.host, r->access.auth_file);
	} else if (ret == 0) {
		snprintf(r->authorization, sizeof(r->authorization), "Basic %s", basic);
	}
	explicit_bzero(basic, sizeof(basic));
	return ret;
}

int registry_new(struct registry **out, const struct access *a, const struct ref *ref, struct err *e)
{
	struct registry *r = calloc(1, sizeof(*r));

	*out = r;
	if (!r)
		return err_sys(e, ENOMEM, "%s", ref->host);
	r->access = *a;
	r->ref = *ref;
	r->link.to = r->link.from = -1;
	return 0;
}

void registry_free(struct registry *r)
{
	if (!r)
		return;
	link_close(&r->link);
	explicit_bzero(r->authorization, sizeof(r->authorization));
	free(r);
}

static int follow_redirects(struct registry *r, struct net_head *head, const char *accept, registry_sink *sink, void *to,
	struct err *e)
{
	static struct net_request q;
	int ret = 0;

	for (int hops = 0; head->status >= 300 && head->status < 400 && head->status != 304; hops++) {
		struct link l = { .to = -1, .from = -1 };
		char server[256], port[8];
		bool is_local;

		if (hops == CONFIG_REDIRECTS_MAX)
			return err_set(e, -EPROTO, "%s: more than %d redirects", r->ref.host, CONFIG_REDIRECTS_MAX);
		memset(&q, 0, sizeof(q));
		q.magic = NET_MAGIC;
		snprintf(q.accept, sizeof(q.accept), "%s", accept);
		if (head->location[0] == '/') {
			snprintf(server, sizeof(server), "%s", r->ref.server);
			snprintf(port, sizeof(port), "%s", r->ref.port);
			snprintf(q.path, sizeof(q.path), "%s", head->location);
		} else if (split_url(head->location, server, sizeof(server), port, sizeof(port), q.path, sizeof(q.path)) < 0) {
			return err_set(e, -EPROTO, "%s: redirects to something that is no https URL: refused", r->ref.host);
		}
		/* The same host keeps its credentials, any other gets none. */
		if (strcmp(server, r->ref.server) == 0 && strcmp(port, r->ref.port) == 0)
			memcpy(q.authorization, r->authorization, sizeof(q.authorization));
		ret = get_once(&l, &r->access, server, port, r->is_local, &is_local, &q, head, sink, to, e);
		link_close(&l);
		if (ret < 0)
			return ret;
	}
	return ret;
}

int registry_get(struct registry *r, const char *path, const char *accept, registry_sink *sink, void *to,
	struct net_head *head_out, struct err *e)
{
	static struct net_request q;
	struct net_head head;
	int ret;

	for (int attempt = 0; attempt < 3; attempt++) {
		memset(&q, 0, sizeof(q));
		q.magic = NET_MAGIC;
		snprintf(q.path, sizeof(q.path), "/v2/%s/%s", r->ref.repo, path);
		snprintf(q.accept, sizeof(q.accept), "%s", accept);
		memcpy(q.authorization, r->authorization, sizeof(q.authorization));
		ret = get_once(&r->link, &r->access, r->ref.server, r->ref.port, true, &r->is_local, &q, &head, sink, to, e);
		if (ret == 0)
			ret = follow_redirects(r, &head, accept, sink, to, e);
		if (ret < 0)
			return ret;
		if (head.status != 401 || attempt == 2)
			break;
		ret = log_in(r, head.authenticate, e);
		if (ret < 0)
			return ret;
	}
	if (head_out)
		*head_out = head;
	if (head.status == 200)
		return 0;
	if (head.status == 404)
		return err_set(e, -ENOENT, "%s/%s: %s is not there (404)", r->ref.host, r->ref.repo, path);
	if (head.status == 401 || head.status == 403)
		return err_set(e, -EACCES, "%s/%s: the registry denies access (%u): are the credentials in %s right?", r->ref.host,
			r->ref.repo, head.status, r->access.auth_file);
	return err_set(e, head.status == 429 || head.status >= 500 ? -ECONNABORTED : -EPROTO, "%s/%s: %s: the registry answers %u",
		r->ref.host, r->ref.repo, path, head.status);
}

int registry_get_bytes(struct registry *r, const char *path, const char *accept, size_t max, char **out, size_t *len,
	struct net_head *head, struct err *e)
{
	struct bytes b = { .max = max };
	int ret = registry_get(r, path, accept, keep_bytes, &b, head, e);

	*out = NULL;
	*len = 0;
	if (ret == 0 && !b.at) {
		b.at = calloc(1, 1);
		ret = b.at ? 0 : -ENOMEM;
	}
	if (ret < 0) {
		free(b.at);
		link_close(&r->link);	/* a stopped body leaves the connection unusable */
		return ret == -EFBIG ? err_set(e, ret, "%s/%s: %s is larger than %zu bytes", r->ref.host, r->ref.repo, path, max) : ret;
	}
	*out = b.at;
	*len = b.len;
	return 0;
}

void registry_next_page(const struct registry *r, const struct net_head *head, const char *below, char *path, size_t size)
{
	char prefix[700];
	const char *open = strchr(head->link, '<'), *at = open ? strchr(open + 1, '/') : NULL, *end = at ? strchr(at, '>') : NULL;

	path[0] = '\0';
	if (!end)
		return;
	if (at[1] == '/')	/* an absolute URL: of the same registry, or it would not answer to this path */
		at = strchr(at + 2, '/');
	snprintf(prefix, sizeof(prefix), "/v2/%s/", r->ref.repo);
	if (!at || at >= end || strncmp(at, prefix, strlen(prefix)) != 0 || strncmp(at + strlen(prefix), below, strlen(below)) != 0)
		return;
	at += strlen(prefix);
	for (const char *c = at; c < end; c++)
		if (*c <= ' ' || *c >= 127)
			return;
	span_copy(span_of(at, (size_t)(end - at)), path, size);
}
