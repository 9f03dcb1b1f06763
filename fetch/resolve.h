/* SPDX-License-Identifier: MIT */
/* Names to addresses, inside a jail that has the network and copies of resolv.conf and hosts, and nothing else. */
#ifndef CORACLE_RESOLVE_H
#define CORACLE_RESOLVE_H

#include <netinet/in.h>

#include "jail.h"

enum { RESOLVE_MAX = 8 };

struct resolved {
	uint32_t count;
	int32_t failure;	/* getaddrinfo(3) code, or 0 */
	struct { uint32_t len; struct sockaddr_in6 address; } item[RESOLVE_MAX];
};

/* Runs the jail of program EXE for SERVER:PORT. -ECONNABORTED with the resolver's words where there is no address. */
int resolve(int exe, const char *server, const char *port, struct resolved *out, struct err *e);

/* What the jail allows, but for the two files; also what its test runs a hostile program under. */
void resolve_jail_spec(struct jail_spec *spec);

int resolve_main(const char *server, const char *port);	/* inside the jail */

#endif
