/* SPDX-License-Identifier: MIT */
/*
 * hosts and resolv.conf of a unit: files/UNIT/ beneath the run directory, which its program sees read-only as /etc/hosts and /etc/resolv.conf. They are
 * rewritten in place, so that a running program sees what changed. All units of a unit's networks are in its hosts, also those that do not run:
 * their addresses are theirs already, and no order of starts matters.
 */
#ifndef CORACLE_NAMES_H
#define CORACLE_NAMES_H

#include "plan.h"

/* Of unit U; its addresses were assigned. */
int names_write(const char *run, const struct plan *p, const struct plan_unit *u, struct err *e);
void names_remove(const char *run, const char *unit);

#endif
