/* SPDX-License-Identifier: MIT */
/*
 * The supervisor: owns the units, feeds events into the table of unit.c and
 * does what it says. Everything here returns at once.
 */
#ifndef CORACLE_SUP_H
#define CORACLE_SUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "job.h"
#include "job_run.h"
#include "unit.h"

struct pid1;

/* Index of the unit of that name, or -1. */
int sup_find(const struct pid1 *p, const char *name);

/* Takes in a checked table: new units, changed ones (from their next start on), those that went (stopped, dropped). */
void sup_adopt(struct pid1 *p, const struct unit_table *t);

/* A place for the release, which was asked for by hand where no file tells of one; its index, or -1. */
int sup_add_release(struct pid1 *p);

/* Log pipes and ring of a unit that has none; true where they are made. What is missing without them is a log, not a unit: it runs all the same. */
struct unit;
bool sup_make_log(struct unit *u);

/* Frees the places of units that are no longer in the table and have ended. */
void sup_drop_gone(struct pid1 *p);

/* One event of one unit. */
void sup_event(struct pid1 *p, unsigned i, enum unit_event event);

/* START, STOP or RESTART of a unit as somebody asked for it, with what Requires= and Wants= take along: a start starts what the unit
 * needs and is not up, a stop or restart takes those with it that require the unit. */
void sup_ask(struct pid1 *p, unsigned i, enum unit_event event);

/* The unit gave no sign of life in time, or asked for it itself: ended for that. */
void sup_hung(struct pid1 *p, unsigned i);

/* Does unit I name unit K in one of KINDS (enum unit_dep_kind)? */
bool sup_depends(const struct pid1 *p, unsigned i, unsigned k, unsigned kinds);

/* Once per turn of the loop: timers, and what waiting units are waiting for. Returns when to look again (0: never). */
uint64_t sup_scan(struct pid1 *p, uint64_t now_ms);

/* A pull or prepare job of unit I ended. CODE is enum job_code; TEXT says why; MEMFD (prepare) is the caller's no longer. */
void sup_job_ended(struct pid1 *p, unsigned i, enum job_kind kind, unsigned code, const struct job_result *r,
	const char *text, int memfd);
void sup_job_progress(struct pid1 *p, unsigned i, const struct job_result *r);

/* Reads start reports until there is none. */
void sup_hear_start(struct pid1 *p, unsigned i);
void sup_hear_all_starts(struct pid1 *p);

/* PID belongs to a unit: takes it in, true. */
bool sup_reaped(struct pid1 *p, pid_t pid, int status);

/* PID was nobody's that is known: remembered while starts are out, see sup.c. */
void sup_reaped_stranger(struct pid1 *p, pid_t pid, int status);

/* Network or data came: what backs off after a failed pull tries again now. */
void sup_retry_pulls(struct pid1 *p);

/* Once per turn: OnBootSec= and OnCalendar=. Returns when to look again (0: never). */
uint64_t sup_calendar(struct pid1 *p, uint64_t now_ms);

/* Shutdown: wish everything down. True once nothing of any unit runs. */
bool sup_stop_all(struct pid1 *p);

/* sup_act.c: does what the table said, for unit I just moved to its new state. */
void sup_act(struct pid1 *p, unsigned i, enum unit_action action);

/* sup_act.c: sends the stop signals that are due: of those that stop together the one goes last that the others are After=. Once per turn,
 * and after whatever asked for more than one end. */
void sup_terms(struct pid1 *p);

/* sup_act.c: why a waiting unit cannot go on, or NULL; where it can, *EVENT is what comes next. */
const char *sup_obstacle(struct pid1 *p, unsigned i, enum unit_event *event);

/* sup_act.c: takes over what a job that is done brought: digest, signer, record (then *MEMFD is -1). JOB_DONE, or another
 * enum job_code with WHY where it is no good. */
unsigned sup_keep(struct pid1 *p, unsigned i, enum job_kind kind, const struct job_result *r, int *memfd,
	char *why, size_t size);

/* sup_act.c: removes the unit's cgroup; false while something is left in it. */
bool sup_is_clean(struct pid1 *p, unsigned i);

/* sup_act.c: for jitter, not for secrets. */
uint32_t sup_random(const struct pid1 *p);

/* Texts of the published half. */
void sup_say(struct pid1 *p, unsigned i, const char *reason);


#endif
