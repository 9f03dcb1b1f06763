/* SPDX-License-Identifier: MIT */
/*
 * The rules of the board's networks, made of what units were given (up.h) and replaced in one transaction:
 *
 *   table inet coracle     published ports (dnat), masquerade behind whatever address the uplink has, and who may speak to whom: a unit with those of its
 *                          own network and, unless that is internal, with the world; not with other networks, nor with the board itself
 *   table netdev coracle   at each unit's link: only its own addresses may come from it, in Ethernet, ARP, IPv4, IPv6 and neighbour discovery, and
 *                          no more than so many questions for neighbours a second. ARP is not seen by the inet family: hence a second table
 *
 * Nothing else is touched: the user's tables stay as they are.
 */
#ifndef CORACLE_RULES_H
#define CORACLE_RULES_H

#include "nl.h"
#include "up.h"

#define RULES_TABLE "coracle"

/* CLOSES4, CLOSES6: this board routed nothing before us, and goes on routing nothing but our networks. Links without an index are left out. */
int rules_set(struct nl *n, const struct up_list *ups, bool closes4, bool closes6, struct err *e);
/* 0 also where there are none. */
int rules_remove(struct nl *n, struct err *e);

#endif
