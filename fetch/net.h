/* SPDX-License-Identifier: MIT */
/*
 * The net process: speaks TLS and HTTP over the one connected socket it was handed, inside a jail without network,
 * files or capabilities. It is told host, TLS version, roots and header values, decides nothing, follows no redirect.
 * All it says is untrusted: texts are forced to end, lengths are checked against what was asked.
 *
 * Jail descriptors: 0 requests in, 1 replies out, 3 the socket. First a struct net_open with the PEM texts behind it, then for each request a
 * struct net_request; each is answered by one NET_HEAD, any number of NET_DATA, one NET_END. fetch/layout.c speaks the same over a file.
 */
#ifndef CORACLE_NET_H
#define CORACLE_NET_H

#include <stdint.h>

#include "jail.h"

enum { NET_MAGIC = 0x4e455431, NET_DATA_MAX = 65536, NET_SOCKET_FD = 3 };
enum net_message { NET_HEAD = 1, NET_DATA, NET_END };
enum net_failure { NET_OK, NET_LINK, NET_TLS_ALERT, NET_CERTIFICATE, NET_NOT_NOW, NET_PROTOCOL, NET_PROXY };

struct net_open {
	uint32_t magic;
	uint32_t tls_minor;	/* 3: TLS 1.3 alone, 2: TLS 1.2 alone */
	char server[256];
	char port[8];
	char proxy[600];	/* URL of the proxy that the socket leads to, or "" */
	uint32_t roots_len, cert_len, key_len;	/* PEM bytes that follow: authorities, client certificate and its key */
	uint32_t rate_max;	/* bytes a second; 0: as they come */
};

struct net_request {
	uint32_t magic;
	uint32_t is_head;	/* HEAD: no body is wanted */
	uint64_t offset;	/* first byte wanted; 0: no Range */
	char path[3072];	/* beginning with "/" */
	char accept[512];
	char authorization[8192];
	char form[9000];	/* application/x-www-form-urlencoded to POST, or "": GET */
};

struct net_head {
	uint32_t status;
	uint32_t tls_minor;
	int64_t content_length;	/* -1: not said */
	int64_t range_first;	/* of the one Content-Range; -1: none, -2: more than one or not understood */
	int64_t range_total;	/* -1: not said */
	int64_t date_s;		/* Date; -1: not said, or not understood */
	uint32_t retry_after_s;	/* 0: not said */
	uint32_t pad;
	char content_type[128];
	char location[2048];
	char authenticate[1024];
	char link[1024];	/* the first Link with rel="next" */
	char digest[80];	/* Docker-Content-Digest */
};

struct net_end {
	uint32_t failure;	/* enum net_failure */
	char text[256];
};

/* Frame of every reply: kind, length, then that many bytes. */
struct net_frame {
	uint32_t kind;
	uint32_t len;
};

int net_main(void);	/* inside the jail */
void net_jail_spec(struct jail_spec *spec);

#endif
