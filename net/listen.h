/* SPDX-License-Identifier: MIT */
/* Who listens: sockets of one network namespace as /proc/PID/net/{tcp,tcp6,udp,udp6} lists them, and whose they are. */
#ifndef CORACLE_LISTEN_H
#define CORACLE_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "plan.h"

struct listener {
	struct addr addr;
	uint16_t port;
	bool is_udp, is_any;		/* is_any: at every address */
	unsigned long inode;
};

enum { LISTENERS_MAX = 512 };

/* At most MAX of what listens in the namespace that this process is in; how many. */
unsigned listen_read(struct listener *out, unsigned max);

/* The one that has a port that X would have, or NULL. */
const struct listener *listen_conflict(const struct listener *l, unsigned count, const struct plan_publish *x);

/* "NAME (pid N)" of the process that holds the socket, or "another process" where it cannot be seen. */
void listen_owner(unsigned long inode, char *out, unsigned size);

#endif
