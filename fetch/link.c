/* SPDX-License-Identifier: MIT */
/* The launcher's half of the net jail. Lengths and terminators of everything it says are checked here. */
#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "certs.h"
#include "config.h"
#include "dial.h"
#include "file.h"
#include "layout.h"
#include "proxy.h"

/* For messages: "server:port", or the path of a file. */
#define NAME(l) (l)->server, (l)->port[0] ? ":" : "", (l)->port

enum { SEEN_MAX = 65536, REPLY_PIPE_BYTES = 1 << 18 };

int64_t link_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void close_both(int fds[2])
{
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

void link_close(struct link *l)
{
	close_both((int[]){ l->to, l->from });
	l->to = l->from = -1;
	jail_kill(&l->jail);
}

/* Hosts that ever spoke TLS 1.3 are never offered 1.2: a list of lines in the store. */
static bool spoke_13(const struct access *a, const struct link *l)
{
	char line[300], *text;
	size_t len;
	bool found;

	if (a->store_fd < 0 || file_read(a->store_fd, "state/tls13", SEEN_MAX, &text, &len, NULL) < 0)
		return false;
	snprintf(line, sizeof(line), "%s:%s\n", l->server, l->port);
	found = strstr(text, line) != NULL;
	free(text);
	return found;
}

static void remember_13(const struct access *a, const struct link *l)
{
	char *text = NULL, *all;
	size_t len = 0, size;

	if (a->store_fd < 0 || spoke_13(a, l))
		return;
	file_read(a->store_fd, "state/tls13", SEEN_MAX, &text, &len, NULL);
	size = len + strlen(l->server) + strlen(l->port) + 3;
	all = malloc(size);
	if (all && size < SEEN_MAX) {
		snprintf(all, size, "%s%s:%s\n", text ? text : "", l->server, l->port);
		file_replace(a->store_fd, "state/tls13", span_str(all), 0644, NULL);
	}
	free(all);
	free(text);
}

/* The jail with FD as its one connection, or an image layout's. */
static int start(struct link *l, const struct access *a, int fd, const struct ref *file, struct err *e)
{
	char *const net[] = { (char *)"coracle-fetch", (char *)"--jail-net", NULL };
	char *const layout[] = { (char *)"coracle-fetch", (char *)"--jail-layout", NULL };
	int to[2] = { -1, -1 }, from[2] = { -1, -1 }, r = 0;
	struct jail_spec spec;

	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		r = err_sys(e, errno, "%s%s%s", NAME(l));
	if (r == 0) {
		fcntl(from[0], F_SETFL, O_NONBLOCK);	/* read first: mostly there is no need to wait */
		fcntl(from[1], F_SETPIPE_SZ, REPLY_PIPE_BYTES);	/* fewer turns between the two; a smaller one does as well */
		(file ? layout_jail_spec : net_jail_spec)(&spec);
		r = jail_start(&l->jail, &spec, a->exe, file ? layout : net,
			(struct jail_fd[]){ { to[0], 0 }, { from[1], 1 }, { fd, NET_SOCKET_FD } }, 3, e);
	}
	if (r == 0) {
		l->to = to[1];
		l->from = from[0];
		l->next_len = 0;
		to[1] = from[0] = -1;
	}
	close_both(to);
	close_both(from);
	return r;
}

static int open_host(struct link *l, const struct access *a, unsigned tls_minor, bool may_be_local, bool *is_local, struct err *e)
{
	struct net_open o = { .magic = NET_MAGIC, .tls_minor = tls_minor, .rate_max = a->rate_max };
	struct certs certs;
	struct proxy proxy;
	int fd = -1, r = certs_read(a->own_cert_dir, a->cert_dir_first, a->cert_dir, l->server, l->port, &certs, e);

	if (r == 0)
		r = proxy_for(a->proxy_file, l->server, l->port, &proxy, e);
	if (r == 0)
		fd = r = proxy.url[0] ? dial(a->exe, proxy.server, proxy.port, true, is_local, e) :
			dial(a->exe, l->server, l->port, may_be_local, is_local, e);
	if (r >= 0)
		r = start(l, a, fd, NULL, e);
	if (fd >= 0)
		close(fd);
	if (r == 0) {
		memcpy(o.server, l->server, sizeof(l->server));
		memcpy(o.port, l->port, sizeof(l->port));
		memcpy(o.proxy, proxy.url, sizeof(proxy.url));
		o.roots_len = (uint32_t)certs.roots_len;
		o.cert_len = (uint32_t)certs.cert_len;
		o.key_len = (uint32_t)certs.key_len;
		if (file_write_all(l->to, &o, sizeof(o)) < 0 ||
		    file_write_all(l->to, certs.pem, certs.roots_len + certs.cert_len + certs.key_len) < 0)
			r = err_set(e, -ECONNABORTED, "%s%s%s: the net process died", NAME(l));
	}
	explicit_bzero(&proxy, sizeof(proxy));
	explicit_bzero(&o, sizeof(o));
	certs_free(&certs);
	return r;
}

/* Waits for bytes, but no longer than stall_s in which fewer than CONFIG_FETCH_RATE_MIN a second came. */
static int link_wait(struct link *l, const struct access *a)
{
	int64_t window_ms = 1000 * (int64_t)a->stall_s, before = link_now_ms(), left = window_ms - l->waited_ms;
	struct pollfd p = { .fd = l->from, .events = POLLIN };

	if (a->deadline_ms && a->deadline_ms - before < left)
		left = a->deadline_ms - before;
	poll(&p, 1, left < 0 ? 0 : (int)left);
	l->waited_ms += link_now_ms() - before;
	if (l->waited_ms < window_ms)
		return 0;
	if (l->window_bytes < CONFIG_FETCH_RATE_MIN * (uint64_t)window_ms / 1000)
		return -ETIMEDOUT;
	l->waited_ms = 0;
	l->window_bytes = 0;
	return 0;
}

/* LEN bytes, and with IS_DATA what has come already of the frame behind them: one system call less for each. */
static int link_read(struct link *l, const struct access *a, void *at, size_t len, bool is_data)
{
	size_t have = 0;

	while (have < len) {
		struct iovec v[2] = { { (char *)at + have, len - have }, { &l->next, sizeof(l->next) } };
		ssize_t n;
		int r;

		if (a->deadline_ms && link_now_ms() >= a->deadline_ms)
			return -ETIME;
		n = readv(l->from, v, is_data ? 2 : 1);
		if (n < 0 && errno == EAGAIN) {
			r = link_wait(l, a);
			if (r < 0 && !(a->deadline_ms && link_now_ms() >= a->deadline_ms))
				return r;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -ECONNABORTED;
		have += (size_t)n;
	}
	l->next_len = have - len;
	return 0;
}

/* The frame in hand, of which the last read may have brought a part. */
static int link_frame(struct link *l, const struct access *a, struct net_frame *f)
{
	size_t known = l->next_len;

	l->next_len = 0;
	*f = l->next;
	return link_read(l, a, (char *)f + known, sizeof(*f) - known, false);
}

/* Forces an end on every text of a head. */
static void end_texts(struct net_head *h)
{
	h->content_type[sizeof(h->content_type) - 1] = '\0';
	h->location[sizeof(h->location) - 1] = '\0';
	h->authenticate[sizeof(h->authenticate) - 1] = '\0';
	h->link[sizeof(h->link) - 1] = '\0';
	h->digest[sizeof(h->digest) - 1] = '\0';
}

/* Is what comes what was asked for? How many bytes of it are known already goes to *SKIP. RFC 9110, 14.4 and 15.3.7. */
static int check_range(const struct link *l, const struct net_request *q, const struct net_head *h, uint64_t *skip, struct err *e)
{
	*skip = 0;
	if (h->status == 200) {
		*skip = q->offset;	/* it does not do ranges: from the start again */
		return 0;
	}
	if (h->status != 206)
		return 0;
	if (q->offset == 0)
		return err_set(e, -EPROTO, "%s%s%s: sends a part where all was asked for: refused", NAME(l));
	if (h->range_first < 0 || (uint64_t)h->range_first != q->offset)
		return err_set(e, -EPROTO, "%s%s%s: asked for byte %llu and on, it sends a part without that Content-Range: refused", NAME(l),
			(unsigned long long)q->offset);
	return 0;
}

static int take(struct body *b, const uint8_t *at, size_t len, uint64_t *skip)
{
	size_t known = *skip < len ? (size_t)*skip : len;
	int r = 0;

	*skip -= known;
	if (len > known)
		r = b->sink(b->to, at + known, len - known);
	if (r < 0)
		b->was_refused = true;
	else
		b->at += len - known;
	return r;
}

static int failed(const struct link *l, const struct net_end *end, struct err *e)
{
	char shown[300];

	span_escape(span_str(end->text), shown, sizeof(shown));
	switch (end->failure) {
	case NET_CERTIFICATE:
		return err_set(e, -EKEYREJECTED, "%s%s%s: its certificate does not verify: %s. Is the CA in certs.d, and the clock right?",
			NAME(l), shown);
	case NET_NOT_NOW: {
		time_t now = time(NULL);
		char clock[40] = "";

		strftime(clock, sizeof(clock), "%Y-%m-%d %H:%M:%SZ", gmtime(&now));
		return err_set(e, -EAGAIN, "%s%s%s: its certificate is not valid at %s, this board's time: %s. Is the clock right?",
			NAME(l), clock, shown);
	}
	case NET_PROXY:
		return err_set(e, -EACCES, "%s%s%s: the proxy does not let us through: %s", NAME(l), shown);
	default:
		return err_set(e, end->failure == NET_PROTOCOL ? -EPROTO : -ECONNABORTED, "%s%s%s: %s", NAME(l), shown);
	}
}

/* One request on an open link. */
static int exchange(struct link *l, const struct access *a, const struct net_request *q, struct net_head *head, uint32_t *failure,
	struct body *b, struct err *e)
{
	static uint8_t data[NET_DATA_MAX];
	struct net_frame f;
	struct net_end end;
	bool has_head = false;
	uint64_t skip = 0, unread = 0;
	int r;

	memset(head, 0, sizeof(*head));
	*failure = NET_LINK;
	l->waited_ms = 0;
	l->window_bytes = 0;
	if (file_write_all(l->to, q, sizeof(*q)) < 0)
		return err_set(e, -ECONNABORTED, "%s%s%s: the net process died", NAME(l));
	for (;;) {
		r = link_frame(l, a, &f);
		if (r == -ETIME)
			return err_set(e, r, "%s%s%s: the pull took longer than it may", NAME(l));
		if (r < 0)
			return err_set(e, -ECONNABORTED, "%s%s%s: %s", NAME(l),
				r == -ETIMEDOUT ? "no answer in time, or slower than it may be" : "the net process died");
		if (f.kind == NET_HEAD && f.len == sizeof(*head) && !has_head) {
			has_head = true;
			r = link_read(l, a, head, sizeof(*head), false);
			end_texts(head);
			r = r < 0 ? r : check_range(l, q, head, &skip, e);
		} else if (f.kind == NET_DATA && has_head && f.len <= NET_DATA_MAX) {
			r = link_read(l, a, data, f.len, true);
			l->window_bytes += f.len;
			if (head->status != 200 && head->status != 206)
				unread += f.len;
			else if (r == 0)
				r = take(b, data, f.len, &skip);
			if (unread > CONFIG_ERROR_BODY_MAX)
				return err_set(e, -EPROTO, "%s%s%s: answers %u and more than %d bytes with it: refused", NAME(l), head->status,
					CONFIG_ERROR_BODY_MAX);
		} else if (f.kind == NET_END && has_head && f.len == sizeof(end)) {
			r = link_read(l, a, &end, sizeof(end), false);
			if (r == 0)
				break;
		} else {
			return err_set(e, -EPROTO, "%s%s%s: the net process broke its protocol", NAME(l));
		}
		if (r < 0)
			return r == -ETIMEDOUT ? -ECONNABORTED : r;
	}
	end.text[sizeof(end.text) - 1] = '\0';
	*failure = end.failure;
	return end.failure == NET_OK ? 0 : failed(l, &end, e);
}

static int open_file(struct link *l, const struct access *a, const struct ref *file, struct err *e)
{
	int fd = layout_open(file, e), r = fd;

	if (fd >= 0) {
		r = start(l, a, fd, file, e);
		close(fd);
	}
	return r;
}

int link_get(struct link *l, const struct access *a, const struct ref *file, const char *server, const char *port, bool may_be_local,
	bool *is_local, const struct net_request *q, struct net_head *head, struct body *b, struct err *e)
{
	uint32_t failure = NET_OK;
	bool was_open = l->to >= 0;
	int r;

	snprintf(l->server, sizeof(l->server), "%s", file ? file->path : server);
	snprintf(l->port, sizeof(l->port), "%s", port);
	for (unsigned minor = 3; minor >= 2; minor--) {
		if (l->to < 0) {
			r = file ? open_file(l, a, file, e) : open_host(l, a, minor, may_be_local, is_local, e);
			if (r < 0) {
				link_close(l);
				return r;
			}
		}
		r = exchange(l, a, q, head, &failure, b, e);
		if (r == 0) {
			if (head->tls_minor == 3 && !was_open && !file)
				remember_13(a, l);
			return 0;
		}
		link_close(l);
		if (was_open && failure == NET_LINK && head->status == 0 && r == -ECONNABORTED) {
			was_open = false;	/* the server closed a kept connection: one fresh try */
			if (e)
				e->text[0] = '\0';
			minor = 4;
			continue;
		}
		if (failure != NET_TLS_ALERT || minor == 2 || file)
			return r;
		if (spoke_13(a, l))
			return err_prefix(e, r, "it spoke TLS 1.3 before and now refuses it: not trying 1.2");
		if (e)
			e->text[0] = '\0';
	}
	return -EPROTO;
}
