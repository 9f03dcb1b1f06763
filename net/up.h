/* SPDX-License-Identifier: MIT */
/*
 * What a unit was given, from its start to its end: the file up/UNIT. Rules and links are made of these alone, so that a plan that changes below running
 * units takes none of them its network. Gone with the power, as the links are.
 */
#ifndef CORACLE_UP_H
#define CORACLE_UP_H

#include "plan.h"

struct up_link {
	char network[NET_NAME_MAX];
	char bridge[16], veth[16];	/* links of the board */
	uint8_t mac[8];			/* 6 bytes, of the unit's end */
	uint32_t mtu;
	struct subnet net4, net6;
	struct addr gateway4, gateway6, addr4, addr6;
	uint8_t is_internal, pad[3];
	uint32_t index;			/* of veth; found anew at each run, 0: not there */
};

struct up {
	uint32_t size, crc32;
	char unit[NET_NAME_MAX];
	uint32_t links, publishes;
	struct up_link link[NET_JOINS_MAX];
	struct plan_publish publish[NET_PUBLISH_MAX];
};

struct up_list {
	struct up at[NET_UNITS_MAX];
	unsigned count;
};

/* Of unit U, out of a plan whose addresses were assigned. -ENOTSUP with the reason where one was refused. */
int up_make(struct up *x, const struct plan *p, const struct plan_unit *u, struct err *e);
int up_write(const char *run, struct up *x, struct err *e);
/* -ENOENT, -EUCLEAN */
int up_read(const char *run, const char *unit, struct up *x);

/* The published port that two units, or two lines of one, would both have; NULL: none. Of A and B. */
const struct plan_publish *up_conflict(const struct up *a, const struct up *b);

#endif
