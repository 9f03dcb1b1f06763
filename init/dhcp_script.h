/* SPDX-License-Identifier: MIT */
/* dhcpcd's script, without a shell: coracle-init under the name dhcp-script. */
#ifndef CORACLE_DHCP_SCRIPT_H
#define CORACLE_DHCP_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "board_conf.h"

/* What one event said, every value checked. */
struct dhcp_event {
	char iface[16];
	bool is_bound;		/* else the lease is lost */
	uint8_t addr[4], gateway[4];
	unsigned prefix;
	bool has_gateway;
	uint8_t dns[BOARD_CONF_DNS][4];
	unsigned dns_len;
	uint8_t ntp[BOARD_CONF_DNS][4];
	unsigned ntp_len;
};

/* Reads an environment (dhcpcd-run-hooks(8)). 1: an event to act on, 0: none of ours (PREINIT, CARRIER, ...), -EBADMSG with the name
 * of the variable in *WHICH. */
int dhcp_event_read(char *const env[], struct dhcp_event *out, const char **which);

/* Writes /run/coracle/lease.IFACE and resolv.conf by rename, tells PID 1. Exit status. */
int dhcp_script_main(void);

#endif
