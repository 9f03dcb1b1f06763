/* SPDX-License-Identifier: MIT */
/*
 * sd_notify(3): what a program says of itself. Each unit with Notify= has a datagram socket of its own, UNIT_NOTIFY_OUTSIDE/NAME/socket
 * on the board, bound into the container (lib/unit_table.h); so whoever writes there is of that unit. Read in PID 1: at most NOTIFY_MAX
 * bytes, six words.
 */
#ifndef CORACLE_NOTIFY_H
#define CORACLE_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NOTIFY_MAX = 1024, NOTIFY_STATUS_MAX = 128, NOTIFY_PER_SECOND = 100 };

/* One message, understood. */
struct notify {
	bool is_ready, is_stopping, is_alive, is_hung;	/* READY=1, STOPPING=1, WATCHDOG=1, WATCHDOG=trigger */
	bool has_status, has_extend, has_watchdog;
	char status[NOTIFY_STATUS_MAX];	/* STATUS=, printable, cut to fit */
	uint64_t extend_ms;		/* EXTEND_TIMEOUT_USEC=, rounded up, at most a day */
	uint64_t watchdog_ms;		/* WATCHDOG_USEC=; 0: no watchdog */
};

/* Reads one datagram: lines KEY=VALUE. Lines of other keys, and bad values, are passed over. Of one key the last line counts.
 * Pure; any bytes. */
void notify_parse(const char *at, size_t len, struct notify *out);

struct pid1;

/* Makes the unit's socket; where that fails the unit cannot become ready, and its note says so. On /run only. */
void notify_open(struct pid1 *p, unsigned i);
void notify_close(struct pid1 *p, unsigned i);

/* Reads a bounded number of messages and turns them into events. */
void notify_hear(struct pid1 *p, unsigned i);

/* The descriptor to poll for unit I, or -1: none, it has said enough for this second, or its start is not wholly reported (what the
 * program says by then stays in the socket until it is). */
int notify_fd(const struct pid1 *p, unsigned i);

#endif
