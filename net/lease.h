/* SPDX-License-Identifier: MIT */
/*
 * Which network has which subnet and which unit which address: a small checksummed file (state/net), so that both stay the same over reboots. A unit's
 * first choice is a hash of its name: where the file is lost or cannot be written nearly all of them come out the same again.
 */
#ifndef CORACLE_LEASE_H
#define CORACLE_LEASE_H

#include "plan.h"

struct lease {
	char network[NET_NAME_MAX], unit[NET_NAME_MAX];
	uint32_t number;		/* of its address in the subnet */
};

struct lease_net {
	char name[NET_NAME_MAX];
	uint32_t index;			/* 10.89.INDEX.0/24 and <ula>:INDEX::/64 */
};

struct leases {
	bool has_ula;
	uint8_t ula[5];
	struct lease_net net[NET_NETWORKS_MAX];
	unsigned nets;
	struct lease lease[NET_UNITS_MAX * NET_JOINS_MAX];
	unsigned count;
};

/* 0; -ENOENT; -EUCLEAN where it is damaged: then L is empty. */
int leases_read(struct leases *l, const char *path, struct err *e);
/* As file_replace. Blocks on the disk. */
int leases_write(const struct leases *l, const char *dir, const char *name, struct err *e);

/* Fills in what the plan leaves open: subnets, gateways, addresses; a join that gets none says why. Leases of what is not in the plan go. TAKEN: subnets
 * of links that are not ours, which no network gets by itself; a network whose bit of IS_UP is set keeps what it has. True where L has changed. */
bool lease_assign(struct leases *l, struct plan *p, const struct subnet *taken, unsigned taken_len, const bool *is_up);

#endif
