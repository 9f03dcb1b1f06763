/* SPDX-License-Identifier: MIT */
/*
 * The life of a unit as one table, state x event -> next state and action, and
 * the pure questions around it: does the policy restart, how long is the
 * backoff, is the start limit hit. Nothing here makes a system call.
 */
#ifndef CORACLE_UNIT_H
#define CORACLE_UNIT_H

#include <stdbool.h>
#include <stdint.h>

#include "unit_table.h"

enum unit_state {
	UNIT_INACTIVE,
	UNIT_WAITING,		/* wants to run; data, an other unit, a job's slot or old processes are in the way */
	UNIT_PULLING,
	UNIT_PREPARING,
	UNIT_STARTING,
	UNIT_ACTIVATING,	/* the program runs; it has not said READY=1 yet, or is a oneshot */
	UNIT_RUNNING,
	UNIT_ENDING,		/* its end is under way (by itself, watchdog, health); the policy decides then */
	UNIT_STOPPING,		/* towards inactive */
	UNIT_RESTARTING,	/* as stopping, towards waiting */
	UNIT_BACKOFF,
	UNIT_EXITED,		/* a oneshot that ended well and counts as active (RemainAfterExit=) */
	UNIT_REFUSED,
	UNIT_FAILED,
	UNIT_STATES
};

enum unit_event {
	UNIT_EV_START,		/* asked for: boot, `coracle start` */
	UNIT_EV_STOP,		/* asked for: `coracle stop`, shutdown */
	UNIT_EV_RESTART,	/* asked for */
	UNIT_EV_PULL,		/* nothing in the way, the image is wanted */
	UNIT_EV_PREPARE,	/* nothing in the way, the image is in the store */
	UNIT_EV_LAUNCH,		/* nothing in the way, the run record is in memory */
	UNIT_EV_DONE,		/* the unit's job did it */
	UNIT_EV_RETRY,		/* ... failed for now */
	UNIT_EV_REFUSED,	/* ... refused; or the unit itself is bad */
	UNIT_EV_DAMAGED,	/* ... found the store damaged */
	UNIT_EV_EXECUTED,	/* the program was executed, and there is more to wait for: READY=1, its end */
	UNIT_EV_STARTED,	/* the program was executed, which is all */
	UNIT_EV_READY,		/* READY=1, or healthy for the first time */
	UNIT_EV_LEAVING,	/* STOPPING=1 */
	UNIT_EV_HUNG,		/* no WATCHDOG=1 within WatchdogSec= */
	UNIT_EV_UNHEALTHY,	/* too many failed health checks; it is to end in order */
	UNIT_EV_UNHEALTHY_KILL,	/* ... at once */
	UNIT_EV_ENDED_AGAIN,	/* program or start ended, the policy restarts it */
	UNIT_EV_ENDED_DONE,	/* ended well and stays down */
	UNIT_EV_ENDED_KEPT,	/* ended well and counts as active */
	UNIT_EV_ENDED_FAILED,	/* ended badly and stays down */
	UNIT_EV_LIMIT,		/* start limit hit */
	UNIT_EV_TIMER,		/* the time of this state is over */
	UNIT_EVENTS
};

enum unit_action {
	UNIT_DO_NOTHING,
	UNIT_DO_RESET,		/* forget backoff, limit and reason; then look what is in the way */
	UNIT_DO_QUEUE,		/* look what is in the way */
	UNIT_DO_PULL,
	UNIT_DO_PREPARE,
	UNIT_DO_LAUNCH,
	UNIT_DO_KEEP,		/* keep what the job brought (digest, record) */
	UNIT_DO_AWAIT,		/* nothing yet: the timer of the start goes on */
	UNIT_DO_RUN,		/* the time of running begins, and the watchdog's */
	UNIT_DO_TERM,		/* stop signal, stop timer */
	UNIT_DO_ABORT,		/* SIGABRT, stop timer */
	UNIT_DO_LET,		/* stop timer alone: it ends by itself */
	UNIT_DO_KILL,		/* SIGKILL to everything of the unit, short timer to look again */
	UNIT_DO_KILL_JOB,	/* SIGKILL to the unit's job */
	UNIT_DO_BACKOFF,	/* arm the timer of the program's backoff, count a restart */
	UNIT_DO_JOB_BACKOFF,	/* arm the timer of the job's backoff */
	UNIT_DO_FORGET,		/* forget digest and record, then as JOB_BACKOFF */
	UNIT_DO_REFUSE,		/* arm the long timer */
	UNIT_DO_REST,		/* nothing more to do: timers off */
	UNIT_ACTIONS
};

struct unit_step {
	uint8_t next;		/* enum unit_state */
	uint8_t action;		/* enum unit_action */
};

/* What the table says. Events out of range do nothing. */
struct unit_step unit_step(enum unit_state state, enum unit_event event);

/* Lower-case name, as `status` shows it. */
const char *unit_state_name(unsigned state);

/* How a program, or the attempt to start one, ended. */
enum unit_end_kind {
	UNIT_END_EXIT,		/* value: exit code */
	UNIT_END_SIGNAL,	/* value: signal */
	UNIT_END_OOM,		/* killed by the kernel: memory.max */
	UNIT_END_START,		/* never ran */
	UNIT_END_TIMEOUT,	/* TimeoutStartSec= passed */
	UNIT_END_WATCHDOG,	/* ended for its silence (WatchdogSec=) */
	UNIT_END_UNHEALTHY,	/* ended for its health */
	UNIT_END_STARTUP,	/* ... which never came: HealthStartupRetries= */
};

struct unit_end {
	enum unit_end_kind kind;
	int value;
};

/* Exit code 0, one of the signals that systemd.service(5) calls clean (not for a oneshot), or one of SuccessExitStatus=. */
bool unit_end_is_clean(const struct unit_entry *e, const struct unit_end *end);

/* Restart= of systemd.service(5), its table of causes; RestartPreventExitStatus= and RestartForceExitStatus= come before it. */
bool unit_restarts(const struct unit_entry *e, const struct unit_end *end);

/* Which UNIT_EV_ENDED_* that end is. */
enum unit_event unit_end_event(const struct unit_entry *e, const struct unit_end *end);

/* Does it count as there, for those that are After= it? */
bool unit_is_active(enum unit_state state);

/* "exited with code 3", "killed by signal 9", ... */
void unit_end_text(const struct unit_end *end, char *out, unsigned size);

/* Is T (UTC) one of C's minutes? */
struct tm;
bool unit_calendar_has(const struct unit_calendar *c, const struct tm *t);

/* Starts inside one interval. */
struct unit_limit {
	uint64_t begin_ms;
	uint32_t count;
};

/* Counts one start at NOW_MS; false where more than BURST fall into INTERVAL_MS. BURST 0: no limit. */
bool unit_limit_take(struct unit_limit *l, uint64_t now_ms, uint32_t burst, uint32_t interval_ms);

/* FIRST_MS doubled TRIES times, at most CAP_MS (and never less than 100 ms, whatever a unit says). */
uint64_t unit_backoff_ms(uint32_t first_ms, uint32_t cap_ms, unsigned tries);

/* MS plus or minus a fifth, by RANDOM: boards that lost one registry do not come back in step. */
uint64_t unit_jitter_ms(uint64_t ms, uint32_t random);

#endif
