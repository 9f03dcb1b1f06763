/* SPDX-License-Identifier: MIT */
/* The net job: lo up, and with network=static address, route and resolv.conf. Runs in a forked child. */
#ifndef CORACLE_NETCFG_H
#define CORACLE_NETCFG_H

#include "board_conf.h"
#include "err.h"

/* Sends the final message; returns the exit status. */
int netcfg(const struct board_conf *c);

/* Replaces /run/coracle/resolv.conf by rename: one "nameserver" line per address. 0 or -errno. Also for dhcp-script. */
int netcfg_resolv(const uint8_t (*dns)[4], unsigned len, struct err *e);

#endif
