/* SPDX-License-Identifier: MIT */
/*
 * Netlink messages: put together, sent, answered (man 7 netlink; RFC 3549). A message that does not fit marks its buffer, and is then not sent.
 */
#ifndef CORACLE_NL_H
#define CORACLE_NL_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nl {
	int fd;
	uint32_t seq;		/* of the message last begun */
	uint8_t *buf;		/* from malloc(3) */
	size_t size, used, at;	/* at: where the last message begins */
	bool is_full;
};

enum { NL_SIZE = 512 * 1024 };

/* PROTOCOL: NETLINK_ROUTE, NETLINK_NETFILTER; of the network namespace it is called in. 0 or -errno. */
int nl_open(struct nl *n, int protocol);
void nl_close(struct nl *n);

/* Forgets what is in the buffer. */
void nl_clear(struct nl *n);
/* A message with SIZE bytes of its own header, zeroed: returned. */
void *nl_begin(struct nl *n, int type, int flags, size_t size);
void nl_put(struct nl *n, int type, const void *at, size_t len);
void nl_raw(struct nl *n, const void *at, size_t len);	/* a header inside a nest */
void nl_text(struct nl *n, int type, const char *s);	/* with its NUL */
void nl_u8(struct nl *n, int type, uint8_t v);
void nl_u16(struct nl *n, int type, uint16_t v);
void nl_u32(struct nl *n, int type, uint32_t v);
void nl_be32(struct nl *n, int type, uint32_t v);
void nl_be64(struct nl *n, int type, uint64_t v);
size_t nl_nest(struct nl *n, int type);			/* to be given to nl_end */
void nl_end(struct nl *n, size_t nest);

/* Sends what is in the buffer and waits for the answer to its last message, or the first error: 0 or -errno; *SEQ (may be NULL) is the message that failed. */
int nl_ask(struct nl *n, uint32_t *seq);

/* Sends one message that asks for a list; EACH gets every answer, its own header of SIZE bytes and its attributes by number (those below MAX; others are left out). */
struct nl_answer {
	const void *head;
	const struct nlattr **attr;
};
int nl_list(struct nl *n, size_t size, unsigned max, void (*each)(void *arg, int type, const struct nl_answer *a), void *arg);

/* The attributes inside A. */
void nl_inside(const struct nlattr *a, const struct nlattr **attr, unsigned max);
static inline const void *nl_data(const struct nlattr *a)
{
	return (const char *)a + NLA_HDRLEN;
}
static inline size_t nl_len(const struct nlattr *a)
{
	return a->nla_len - (size_t)NLA_HDRLEN;
}
uint32_t nl_get32(const struct nlattr *a);

#endif
