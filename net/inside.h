/* SPDX-License-Identifier: MIT */
/* A unit's end: addresses and ways out, by N of its namespace, in which this process is. 0 or -errno. */
#ifndef CORACLE_INSIDE_H
#define CORACLE_INSIDE_H

#include "nl.h"
#include "up.h"

int inside_links(struct nl *n, const struct up *u);

#endif
