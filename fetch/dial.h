/* SPDX-License-Identifier: MIT */
/* Resolves (jailed) and connects. */
#ifndef CORACLE_DIAL_H
#define CORACLE_DIAL_H

#include <stdbool.h>

#include "err.h"

/* A connected TCP socket to SERVER:PORT, or -ECONNABORTED. Loopback and link-local addresses are dialled only where MAY_BE_LOCAL: a redirect or token
 * realm must not reach services of the board itself. *IS_LOCAL: it is such an address. Tries each address for CONFIG_FETCH_CONNECT_S. */
int dial(int exe, const char *server, const char *port, bool may_be_local, bool *is_local, struct err *e);

#endif
