/* SPDX-License-Identifier: MIT */
/*
 * The net process: speaks TLS and HTTP over the one connected socket it was handed, inside a jail without network,
 * files or capabilities. It is told host, TLS version, roots and header values, decides nothing, follows no redirect.
 * All it says is untrusted: texts are forced to end, lengths are checked against what was asked.
 *
 * Jail descriptors: 0 requests in, 1 replies out, 3 the socket. First a struct net_open with the roots behind it, then for each request a
 * struct net_request; each is answered by one NET_HEAD, any number of NET_DATA, one NET_END.
 */
#ifndef CORACLE_NET_H
#define CORACLE_NET_H

#include <stdint.h>

#include "jail.h"

enum { NET_MAGIC = 0x4e455431, NET_DATA_MAX = 65536, NET_SOCKET_FD = 3 };
enum net_message { NET_HEAD = 1, NET_DATA, NET_END };
enum net_failure { NET_OK, NET_LINK, NET_TLS_ALERT, NET_CERTIFICATE, NET_NOT_NOW, NET_PROTOCOL };

struct net_open {
	uint32_t magic;
	uint32_t tls_minor;	/* 3: TLS 1.3 alone, 2: TLS 1.2 alone */
	char server[256];
	char port[8];
	uint32_t roots_len;	/* PEM bytes that follow */
};

struct net_request {
	uint32_t magic;
	uint32_t pad;
	char path[3072];	/* beginning with "/" */
	char accept[512];
	char authorization[8192];
};

struct net_head {
	uint32_t status;
	uint32_t tls_minor;
	int64_t content_length;	/* -1: not said */
	char content_type[128];
	char location[2048];
	char authenticate[1024];
	char link[1024];	/* the first Link with rel="next" */
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
