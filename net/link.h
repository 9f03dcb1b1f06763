/* SPDX-License-Identifier: MIT */
/*
 * Links, addresses and routes by rtnetlink(7). What is ours carries the group LINK_GROUP from the message that makes it: nothing else is ever changed
 * or removed, and nothing of ours is missed after a kill. Each: 0 or -errno; N is of the network namespace meant.
 */
#ifndef CORACLE_LINK_H
#define CORACLE_LINK_H

#include "addr.h"
#include "nl.h"

enum { LINK_GROUP = 0xc0ac1e, LINKS_MAX = 1024, LINK_SUBNETS_MAX = 128 };

struct link {
	char name[16], kind[16];
	uint32_t index, group, mtu, master;
	bool is_up, has_carrier;
};

struct links {
	struct link at[LINKS_MAX];
	unsigned count;
	/* Subnets to which the board has routes that do not lead over a link of ours, and over which. */
	struct subnet subnet[LINK_SUBNETS_MAX];
	uint32_t subnet_link[LINK_SUBNETS_MAX];
	unsigned subnets;
	uint32_t uplink;		/* of the default route, 0: none */
};

int link_read(struct nl *n, struct links *out);
const struct link *link_find(const struct links *l, const char *name);
const struct link *link_at(const struct links *l, uint32_t index);

int link_add_bridge(struct nl *n, const char *name, const uint8_t mac[6], uint32_t mtu);

/* NAME here, its other end INSIDE in the namespace NS with MAC; on BRIDGE, which learns nothing from it: where MAC is to be found is said once. */
struct link_veth {
	const char *name, *inside;
	const uint8_t *mac;
	uint32_t mtu, bridge;
	int ns;
};
int link_add_veth(struct nl *n, const struct link_veth *v);
/* After link_add_veth, INDEX its link here. */
int link_tie(struct nl *n, uint32_t index, const uint8_t mac[6]);

int link_set_up(struct nl *n, uint32_t index);
int link_delete(struct nl *n, uint32_t index);
/* Usable at once: no duplicate address detection, no other unit can have it. */
int link_add_address(struct nl *n, uint32_t index, const struct addr *a, unsigned prefix);
int link_add_default(struct nl *n, uint32_t index, const struct addr *gateway);
/* Of the namespace this process is in; 0: none. */
uint32_t link_index(const char *name);

#endif
