/* SPDX-License-Identifier: MIT */
/*
 * One connection to one host, as the trusted process sees it: a net jail that holds the socket, and its pipes. What comes out is hostile: heads as
 * fixed-size texts, bodies as bytes. Watches time: a link that stalls is given up, whether it says nothing or drips.
 */
#ifndef CORACLE_LINK_H
#define CORACLE_LINK_H

#include <stdbool.h>

#include "net.h"
#include "ref.h"

/* Where and with what to talk; plain data, lives as long as the pull. */
struct access {
	int exe;		/* own program, for the jails */
	const char *auth_file;	/* containers-auth.json(5) */
	const char *cert_dir;	/* containers-certs.d(5) */
	const char *cert_dir_first;	/* the same, looked at before it; NULL */
	const char *own_cert_dir;	/* the same, of the one device: before both, host by host; NULL */
	const char *registries_file;	/* containers-registries.conf(5), the part that fetch/mirrors.h names */
	const char *proxy_file;	/* fetch/proxy.h */
	int store_fd;		/* holds state/tls13; -1: not remembered */
	unsigned stall_s, tries;
	int64_t deadline_ms;	/* of the monotonic clock; 0: none */
	uint32_t rate_max;	/* bytes a second; 0: no limit */
	void (*say)(void *to, const char *line);	/* hears of new tries and mirrors; may be NULL */
	void *say_to;
};

/* Takes a piece of the body; a negative return stops the transfer and is passed on. */
typedef int registry_sink(void *to, const void *at, size_t len);

/* A body on its way, also over several connections. */
struct body {
	registry_sink *sink;
	void *to;
	uint64_t at;		/* bytes that reached the sink so far, or that it had before; the next one wanted */
	bool was_refused;	/* the sink stopped it: no other try will help */
	bool is_head;		/* only the headers are asked for */
};

struct link {
	char server[256], port[6];
	struct jail jail;
	int to, from;
	int64_t waited_ms;	/* for the peer, in the present window of stall_s */
	uint64_t window_bytes;
	struct net_frame next;	/* so many bytes of it came with what was read last: */
	size_t next_len;
};

#define LINK_CLOSED { .to = -1, .from = -1 }

/* Sends Q to SERVER:PORT over L, opening it where need be, TLS 1.3 first; 1.2 in a new connection after a fatal alert only, and never for a host
 * that once spoke 1.3. The body of 200 goes to B from its first byte on that B lacks, that of 206 where its Content-Range is exactly what was asked.
 * PATH of a file transport: the layout jail answers instead. 0 whatever the status; -ECONNABORTED link trouble, -ETIME the pull's own deadline, -EPROTO,
 * -EKEYREJECTED a certificate, the sink's code. L is closed unless the whole answer was read. */
int link_get(struct link *l, const struct access *a, const struct ref *file_or_null, const char *server, const char *port, bool may_be_local,
	bool *is_local, const struct net_request *q, struct net_head *head, struct body *b, struct err *e);
void link_close(struct link *l);

/* Milliseconds of the monotonic clock. */
int64_t link_now_ms(void);

#endif
