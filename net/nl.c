/* SPDX-License-Identifier: MIT */
/* Netlink (nl.h): a buffer of messages and what the kernel answers. Only the kernel's own port is listened to. */
#include "nl.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_SIZE = 64 * 1024, ATTRS_MAX = 96 };

int nl_open(struct nl *n, int protocol)
{
	int big = NL_SIZE;

	memset(n, 0, sizeof(*n));
	n->size = NL_SIZE;
	n->buf = malloc(n->size);
	n->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	if (n->fd < 0 || !n->buf) {
		int r = n->fd < 0 ? -errno : -ENOMEM;

		nl_close(n);
		return r;
	}
	/* One transaction is one message to the kernel: as large as all the rules. */
	setsockopt(n->fd, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof(big));
	setsockopt(n->fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
	return 0;
}

void nl_close(struct nl *n)
{
	if (n->fd >= 0)
		close(n->fd);
	free(n->buf);
	n->fd = -1;
	n->buf = NULL;
}

void nl_clear(struct nl *n)
{
	n->used = n->at = 0;
	n->is_full = false;
}

static void *take(struct nl *n, size_t len)
{
	void *at = n->buf + n->used;

	if (n->size - n->used < NLMSG_ALIGN(len)) {
		n->is_full = true;
		return NULL;
	}
	memset(at, 0, NLMSG_ALIGN(len));
	n->used += NLMSG_ALIGN(len);
	return at;
}

static void grow(struct nl *n)
{
	((struct nlmsghdr *)(n->buf + n->at))->nlmsg_len = (uint32_t)(n->used - n->at);
}

void *nl_begin(struct nl *n, int type, int flags, size_t size)
{
	static uint8_t nowhere[64];
	struct nlmsghdr *h;
	size_t at = n->used;

	h = take(n, NLMSG_HDRLEN + size);
	if (!h)
		return nowhere;
	n->at = at;
	h->nlmsg_type = (uint16_t)type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	h->nlmsg_seq = ++n->seq;
	grow(n);
	return h + 1;
}

void nl_put(struct nl *n, int type, const void *at, size_t len)
{
	struct nlattr *a = len > 0xffff - NLA_HDRLEN ? NULL : take(n, NLA_HDRLEN + len);

	if (!a) {
		n->is_full = true;
		return;
	}
	a->nla_type = (uint16_t)type;
	a->nla_len = (uint16_t)(NLA_HDRLEN + len);
	if (len)
		memcpy(a + 1, at, len);
	grow(n);
}

void nl_raw(struct nl *n, const void *at, size_t len)
{
	void *to = take(n, len);

	if (!to)
		return;
	memcpy(to, at, len);
	grow(n);
}

void nl_text(struct nl *n, int type, const char *s)
{
	nl_put(n, type, s, strlen(s) + 1);
}

void nl_u8(struct nl *n, int type, uint8_t v)
{
	nl_put(n, type, &v, sizeof(v));
}

void nl_u16(struct nl *n, int type, uint16_t v)
{
	nl_put(n, type, &v, sizeof(v));
}

void nl_u32(struct nl *n, int type, uint32_t v)
{
	nl_put(n, type, &v, sizeof(v));
}

void nl_be32(struct nl *n, int type, uint32_t v)
{
	nl_u32(n, type, htobe32(v));
}

void nl_be64(struct nl *n, int type, uint64_t v)
{
	v = htobe64(v);
	nl_put(n, type, &v, sizeof(v));
}

size_t nl_nest(struct nl *n, int type)
{
	size_t at = n->used;

	nl_put(n, type | NLA_F_NESTED, NULL, 0);
	return at;
}

void nl_end(struct nl *n, size_t nest)
{
	if (n->is_full || n->used - nest > 0xffff) {
		n->is_full = true;
		return;
	}
	((struct nlattr *)(n->buf + nest))->nla_len = (uint16_t)(n->used - nest);
}

static ssize_t hear(const struct nl *n, void *at, size_t size)
{
	struct sockaddr_nl from;
	struct iovec v = { at, size };
	struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &v, .msg_iovlen = 1 };
	ssize_t r;

	do {
		r = recvmsg(n->fd, &m, 0);
	} while ((r < 0 && errno == EINTR) || (r >= 0 && from.nl_pid != 0));
	return r < 0 ? -errno : m.msg_flags & MSG_TRUNC ? -EMSGSIZE : r;
}

static int say(struct nl *n)
{
	if (n->is_full)
		return -EMSGSIZE;
	return send(n->fd, n->buf, n->used, 0) < 0 ? -errno : 0;
}

static void index_attrs(const uint8_t *at, size_t len, const struct nlattr **attr, unsigned max)
{
	memset(attr, 0, max * sizeof(*attr));
	while (len >= NLA_HDRLEN) {
		const struct nlattr *a = (const struct nlattr *)at;
		size_t step = NLA_ALIGN(a->nla_len);

		if (a->nla_len < NLA_HDRLEN || a->nla_len > len)
			return;
		if ((a->nla_type & NLA_TYPE_MASK) < max)
			attr[a->nla_type & NLA_TYPE_MASK] = a;
		at += step;
		len = step > len ? 0 : len - step;
	}
}

void nl_inside(const struct nlattr *a, const struct nlattr **attr, unsigned max)
{
	index_attrs(nl_data(a), nl_len(a), attr, max);
}

uint32_t nl_get32(const struct nlattr *a)
{
	uint32_t v = 0;

	if (a && nl_len(a) >= sizeof(v))
		memcpy(&v, nl_data(a), sizeof(v));
	return v;
}

/* Says what is in the buffer and hears until EACH says that it was all, or an error. */
static int talk(struct nl *n, int (*each)(void *arg, struct nlmsghdr *h, bool *is_over), void *arg)
{
	uint8_t *answer = malloc(ANSWER_SIZE);
	int r = answer ? say(n) : -ENOMEM;
	bool is_over = false;

	while (r == 0 && !is_over) {
		ssize_t len = hear(n, answer, ANSWER_SIZE);
		struct nlmsghdr *h = (struct nlmsghdr *)answer;

		if (len < 0)
			r = (int)len;
		for (; len >= (ssize_t)sizeof(*h) && NLMSG_OK(h, (size_t)len) && !is_over && r == 0; h = NLMSG_NEXT(h, len))
			r = each(arg, h, &is_over);
	}
	free(answer);
	return r;
}

struct asking {
	uint32_t last, seq;		/* of the last message; of the answer */
};

static int take_ack(void *arg, struct nlmsghdr *h, bool *is_over)
{
	const struct nlmsgerr *e = NLMSG_DATA(h);
	struct asking *a = arg;

	if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_len < NLMSG_LENGTH(sizeof(*e)))
		return 0;
	a->seq = h->nlmsg_seq;
	*is_over = a->seq == a->last;
	return e->error;
}

int nl_ask(struct nl *n, uint32_t *seq)
{
	struct asking a = { .last = n->seq };
	int r;

	if (!n->is_full)
		((struct nlmsghdr *)(n->buf + n->at))->nlmsg_flags |= NLM_F_ACK;
	r = talk(n, take_ack, &a);
	if (seq && a.seq)
		*seq = a.seq;
	return r;
}

struct listing {
	uint32_t seq;
	size_t size;
	unsigned max;
	void (*each)(void *arg, int type, const struct nl_answer *a);
	void *arg;
	const struct nlattr *attr[ATTRS_MAX];
};

static int take_entry(void *arg, struct nlmsghdr *h, bool *is_over)
{
	struct listing *l = arg;
	struct nl_answer a = { NLMSG_DATA(h), l->attr };

	if (h->nlmsg_seq != l->seq)
		return 0;
	*is_over = h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR;
	if (h->nlmsg_type == NLMSG_ERROR)
		return h->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr)) ? -EBADMSG : ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
	if (*is_over || h->nlmsg_len < NLMSG_LENGTH(l->size))
		return 0;
	index_attrs((const uint8_t *)NLMSG_DATA(h) + NLMSG_ALIGN(l->size), h->nlmsg_len - NLMSG_HDRLEN - NLMSG_ALIGN(l->size), l->attr, l->max);
	l->each(l->arg, h->nlmsg_type, &a);
	return 0;
}

int nl_list(struct nl *n, size_t size, unsigned max, void (*each)(void *arg, int type, const struct nl_answer *a), void *arg)
{
	struct listing l = { .seq = n->seq, .size = size, .max = max > ATTRS_MAX ? ATTRS_MAX : max, .each = each, .arg = arg };

	return talk(n, take_entry, &l);
}
