/* SPDX-License-Identifier: MIT */
/*
 * The hardware watchdog (Documentation/watchdog/watchdog-api.rst): armed as soon as its device is there, fed by the loop's own turns. On
 * the way down it is fed no longer than the way may take, so that a board that was told to reboot does. On a board only.
 */
#ifndef CORACLE_WATCHDOG_H
#define CORACLE_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

struct pid1;

struct watchdog {
	int fd;				/* -1: not there (yet) */
	unsigned timeout_s;
	bool has_bitten;		/* the last reset was its doing, says the driver */
	uint64_t due_ms;		/* look for it, or feed it, again */
	uint64_t until_ms;		/* on the way down: fed up to here; 0: up */
};

/* Once per turn: arms or feeds. Returns when to look again (0: never). */
uint64_t watchdog_scan(struct pid1 *p, uint64_t now_ms);

/* The board goes down: it may take MS more. */
void watchdog_let_go(struct pid1 *p, uint64_t ms);

/* Right before power off: a machine that is off is not reset. */
void watchdog_disarm(struct pid1 *p);

#endif
