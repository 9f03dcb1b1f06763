/* SPDX-License-Identifier: MIT */
/*
 * Health of units: a check every HealthInterval=, each a helper process with a deadline that runs the unit's command inside its container
 * or knocks at a port of its network (health_child.c). PID 1 only counts what they end with.
 */
#ifndef CORACLE_HEALTH_H
#define CORACLE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "unit_table.h"

enum health { HEALTH_NONE, HEALTH_STARTING, HEALTH_GOOD, HEALTH_BAD };

/* What is known of one unit's run. */
struct health_run {
	pid_t pid;			/* of the check under way, 0: none */
	int out_fd;			/* what it prints, -1: none */
	bool is_expired;
	uint64_t due_ms, deadline_ms;	/* the next check; the end of this one */
	unsigned fails;			/* in a row */
	unsigned goods;			/* of the startup check */
	bool is_up;			/* the startup check is over */
	char text[128];			/* the last line that was printed */
};

/* The unit's words over the image's, with the defaults of podman-run(1). */
void health_merge(const struct unit_health *unit, const struct unit_health *image, struct unit_health *out);

/* Takes one result in: IS_GOOD at AGE_MS after the start. The health from then on; *FAILS is counted. Pure. */
enum health health_count(const struct unit_health *h, bool is_good, uint64_t age_ms, enum health before, unsigned *fails);

/* "healthy" and so on; "" for none. */
const char *health_name(unsigned health);

struct pid1;

/* A new run of unit I begins, or the old one is over: forgets, and ends the check under way. */
void health_begin(struct pid1 *p, unsigned i);
void health_end(struct pid1 *p, unsigned i);

/* Once per turn: starts what is due, kills what is late. Returns when to look again (0: never). */
uint64_t health_scan(struct pid1 *p, uint64_t now_ms);

/* Reads what the check printed. */
void health_hear(struct pid1 *p, unsigned i);

/* PID is a check: takes its end in, true. */
bool health_reaped(struct pid1 *p, pid_t pid, int status);

/* health_child.c: the check, in its own process, which has the program's pidfd and its record open. Exit status 0: healthy. */
enum { HEALTH_PIDFD = 3, HEALTH_RECORD_FD };
struct health_check {
	const struct unit_health *health;
	const char *cgroup;		/* "": none */
};
int health_check(void *arg);

/* What that process executes of a health command: HEALTH_NAME, the cgroup, the command. */
#define HEALTH_NAME "coracle-health"
int health_main(char **argv);

#endif
