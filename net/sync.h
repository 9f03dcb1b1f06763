/* SPDX-License-Identifier: MIT */
/*
 * The one thing that changes anything: makes the board's networks those of the units named, whatever was there before. Of a unit that is not named
 * nothing is left; what a killed run left behind is taken away by the next one. So a kill at any moment costs at most the unit it was for.
 */
#ifndef CORACLE_SYNC_H
#define CORACLE_SYNC_H

#include "err.h"

struct sync {
	const char *run, *state;	/* directories; state: of the file `net` */
	const char *unit;		/* gets a namespace of its own, made anew; NULL: none does */
	char *const *keep;		/* units that have theirs */
	int keep_len;
};

/* 0; -EADDRINUSE, -EEXIST, -ENOTSUP, -EINVAL: refused, as it stands; else worth another try. Then nothing is there of UNIT, and the others have theirs. */
int sync_run(const struct sync *s, struct err *e);

#endif
