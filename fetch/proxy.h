/* SPDX-License-Identifier: MIT */
/*
 * Which proxy stands before a host. The environment's HTTPS_PROXY and NO_PROXY (or in small letters); where HTTPS_PROXY is not set there, a file with
 * the same two as lines NAME=VALUE, for boards. Proxies are http:// or https:// with an optional user:password; they see host names and TLS bytes.
 * NO_PROXY: a comma list of names (a domain covers what is below it), addresses, networks as 10.0.0.0/8, each with an optional :port; `*` for all.
 */
#ifndef CORACLE_PROXY_H
#define CORACLE_PROXY_H

#include "err.h"

struct proxy {
	char url[600];		/* for curl, with a port; "": connect directly */
	char server[256], port[6];
};

/* For a connection to SERVER:PORT. -EINVAL for a proxy that is not understood. Holds a password: the caller wipes it. */
int proxy_for(const char *file, const char *server, const char *port, struct proxy *out, struct err *e);

#endif
