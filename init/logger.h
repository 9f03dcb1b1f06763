/* SPDX-License-Identifier: MIT */
/*
 * The logger: a helper process that reads the output of all units and writes it as CRI log lines into their rings. It tees before it
 * consumes: what it takes out of a pipe is in the ring already, and the unfinished end of a line stays in the pipe. So whenever it is
 * killed, its successor repeats lines at worst.
 */
#ifndef CORACLE_LOGGER_H
#define CORACLE_LOGGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct pid1;
struct ring;

/* The process. Forked from PID 1, it uses the descriptors of P's units. Ends on SIGTERM, having emptied the pipes of whole lines. */
int logger_run(struct pid1 *p);

enum { LOGGER_LINE_MAX = 2048 };

/* LogRateLimitBurst= lines in LogRateLimitIntervalSec=, of one unit. */
struct logger_rate {
	uint32_t burst, interval_ms;	/* 0: no limit */
	uint64_t begin_ms;
	uint32_t lines;
};

/* One stream of a unit. */
struct logger_stream {
	struct ring *ring;
	const char *name;		/* "stdout" */
	struct logger_rate *rate;	/* of the unit */
};

/* Writes what is whole of LEN bytes to the ring, CRI's "time stream tag text": lines, and LOGGER_LINE_MAX bytes of one that is longer (tag
 * P). Returns how many bytes that were: the rest is to come again. Lines over the rate are counted in ring->dropped instead, and written
 * as one line of that count once the interval is over. */
size_t logger_take(struct logger_stream *s, const char *at, size_t len, const struct timespec *now, uint64_t now_ms);

#endif
