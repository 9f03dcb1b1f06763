/* SPDX-License-Identifier: MIT */
/*
 * `coracle-fetch attend ETC`: PID 1's attendant, a helper that looks after what a board has beside its units: its clock (sntp.h) and the sticks
 * that are plugged in (stick.h). Everything slow is a child of it. It knows PID 1 only by what everyone can read.
 */
#ifndef CORACLE_ATTEND_H
#define CORACLE_ATTEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ATTEND_RUN "/run/coracle"

struct attend {
	const char *etc;	/* board.conf, policy.json lie here */
	char data_dir[128];	/* "/data", or board.conf's data-dir= */
	char data_label[37];
	bool has_sticks;	/* sticks=no was not said */
	char ntp[512];		/* values of ntp= lines, each ended by a line feed */
};

/* What board.conf's TEXT says of these. Lines that it does not know are PID 1's to complain of. */
void attend_read(struct attend *a, const char *text);

int attend_main(int argc, char **argv);

#endif
