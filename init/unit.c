/* SPDX-License-Identifier: MIT */
/*
 * The life of a unit. Pure: no system call, no clock, no storage; sup.c owns
 * the units and does what the table says.
 *
 *   inactive    nobody wants it. A wish to start leads to waiting.
 *   waiting     wanted. Every turn of the loop sup.c looks what is in the way;
 *               once nothing is, the next thing missing is got: the image
 *               (pulling), the run record (preparing), the program (starting).
 *               Each of these comes back here until none is missing, so this is
 *               the one place that decides what comes next.
 *   pulling     a job fetches the image. Its end: done, retry (backoff),
 *               refused (long wait), damaged store (forget, backoff).
 *   preparing   a job makes bundle and run record. Ends as pulling does.
 *   starting    the starter is at work; ends by the program running, or by an
 *               end that the restart policy judges like a program's. The timer
 *               is TimeoutStartSec=.
 *   activating  the program runs, and that is not enough: it will say READY=1
 *               (Notify=), or it is a oneshot, whose good end is what is waited
 *               for. The timer of starting goes on.
 *   running     the program runs; its end is judged by the policy.
 *   ending      the program said STOPPING=1, or it was told to end for its
 *               silence (WatchdogSec=), its health or its start time-out. Its
 *               end is judged by the policy; after TimeoutStopSec= SIGKILL.
 *   stopping    told to end (stop signal, after TimeoutStopSec= SIGKILL). Any
 *               end, of program or job, leads to inactive. A wish to start
 *               meanwhile turns it into restarting.
 *   restarting  as stopping, but any end leads to waiting.
 *   backoff     failed for now; the timer leads to waiting. A wish to start
 *               leads there at once.
 *   exited      a oneshot with RemainAfterExit= that ended well: no process, but
 *               active until it is stopped.
 *   refused     signature, policy, bad unit; the long timer or a wish looks again.
 *   failed      stays down (policy, start limit) until a wish to start.
 *
 * A cell left out keeps the state and does nothing: an event that came too late.
 */
#include "unit.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>

#define GO(state, action) { 1, { UNIT_##state, UNIT_DO_##action } }

/* A program's end, judged by the policy. */
#define ENDS \
	[UNIT_EV_ENDED_AGAIN] = GO(BACKOFF, BACKOFF), \
	[UNIT_EV_ENDED_DONE] = GO(INACTIVE, REST), \
	[UNIT_EV_ENDED_KEPT] = GO(EXITED, REST), \
	[UNIT_EV_ENDED_FAILED] = GO(FAILED, REST)

/* Any end, of program or job: it was told to. */
#define ALL_ENDS(state, action) \
	[UNIT_EV_DONE] = GO(state, action), \
	[UNIT_EV_RETRY] = GO(state, action), \
	[UNIT_EV_REFUSED] = GO(state, action), \
	[UNIT_EV_DAMAGED] = GO(state, action), \
	[UNIT_EV_ENDED_AGAIN] = GO(state, action), \
	[UNIT_EV_ENDED_DONE] = GO(state, action), \
	[UNIT_EV_ENDED_KEPT] = GO(state, action), \
	[UNIT_EV_ENDED_FAILED] = GO(state, action)

#define TROUBLES \
	[UNIT_EV_LEAVING] = GO(ENDING, LET), \
	[UNIT_EV_HUNG] = GO(ENDING, ABORT), \
	[UNIT_EV_UNHEALTHY] = GO(ENDING, TERM), \
	[UNIT_EV_UNHEALTHY_KILL] = GO(ENDING, KILL)

static const struct {
	uint8_t is_set;
	struct unit_step step;
} table[UNIT_STATES][UNIT_EVENTS] = {
	[UNIT_INACTIVE] = {
		[UNIT_EV_START] = GO(WAITING, RESET),
		[UNIT_EV_RESTART] = GO(WAITING, RESET),
	},
	[UNIT_WAITING] = {
		[UNIT_EV_STOP] = GO(INACTIVE, REST),
		[UNIT_EV_PULL] = GO(PULLING, PULL),
		[UNIT_EV_PREPARE] = GO(PREPARING, PREPARE),
		[UNIT_EV_LAUNCH] = GO(STARTING, LAUNCH),
		[UNIT_EV_REFUSED] = GO(REFUSED, REFUSE),
		[UNIT_EV_LIMIT] = GO(FAILED, REST),
	},
	[UNIT_PULLING] = {
		[UNIT_EV_STOP] = GO(STOPPING, KILL_JOB),
		[UNIT_EV_DONE] = GO(WAITING, KEEP),
		[UNIT_EV_RETRY] = GO(BACKOFF, JOB_BACKOFF),
		[UNIT_EV_REFUSED] = GO(REFUSED, REFUSE),
		[UNIT_EV_DAMAGED] = GO(BACKOFF, FORGET),
	},
	[UNIT_PREPARING] = {
		[UNIT_EV_STOP] = GO(STOPPING, KILL_JOB),
		[UNIT_EV_DONE] = GO(WAITING, KEEP),
		[UNIT_EV_RETRY] = GO(BACKOFF, JOB_BACKOFF),
		[UNIT_EV_REFUSED] = GO(REFUSED, REFUSE),
		[UNIT_EV_DAMAGED] = GO(BACKOFF, FORGET),
	},
	[UNIT_STARTING] = {
		[UNIT_EV_STOP] = GO(STOPPING, KILL),
		[UNIT_EV_RESTART] = GO(RESTARTING, KILL),
		[UNIT_EV_EXECUTED] = GO(ACTIVATING, AWAIT),
		[UNIT_EV_STARTED] = GO(RUNNING, RUN),
		ENDS,
		[UNIT_EV_TIMER] = GO(STARTING, KILL),
	},
	[UNIT_ACTIVATING] = {
		[UNIT_EV_STOP] = GO(STOPPING, TERM),
		[UNIT_EV_RESTART] = GO(RESTARTING, TERM),
		[UNIT_EV_READY] = GO(RUNNING, RUN),
		TROUBLES,
		ENDS,
		[UNIT_EV_TIMER] = GO(ENDING, TERM),
	},
	[UNIT_RUNNING] = {
		[UNIT_EV_STOP] = GO(STOPPING, TERM),
		[UNIT_EV_RESTART] = GO(RESTARTING, TERM),
		TROUBLES,
		ENDS,
	},
	[UNIT_ENDING] = {
		[UNIT_EV_STOP] = GO(STOPPING, TERM),
		[UNIT_EV_RESTART] = GO(RESTARTING, TERM),
		[UNIT_EV_UNHEALTHY_KILL] = GO(ENDING, KILL),
		ENDS,
		[UNIT_EV_TIMER] = GO(ENDING, KILL),
	},
	[UNIT_STOPPING] = {
		[UNIT_EV_START] = GO(RESTARTING, NOTHING),
		[UNIT_EV_RESTART] = GO(RESTARTING, NOTHING),
		ALL_ENDS(INACTIVE, REST),
		[UNIT_EV_EXECUTED] = GO(STOPPING, KILL),
		[UNIT_EV_STARTED] = GO(STOPPING, KILL),
		[UNIT_EV_TIMER] = GO(STOPPING, KILL),
	},
	[UNIT_RESTARTING] = {
		[UNIT_EV_STOP] = GO(STOPPING, NOTHING),
		ALL_ENDS(WAITING, RESET),
		[UNIT_EV_EXECUTED] = GO(RESTARTING, KILL),
		[UNIT_EV_STARTED] = GO(RESTARTING, KILL),
		[UNIT_EV_TIMER] = GO(RESTARTING, KILL),
	},
	[UNIT_BACKOFF] = {
		[UNIT_EV_START] = GO(WAITING, RESET),
		[UNIT_EV_STOP] = GO(INACTIVE, REST),
		[UNIT_EV_RESTART] = GO(WAITING, RESET),
		[UNIT_EV_TIMER] = GO(WAITING, QUEUE),
	},
	[UNIT_EXITED] = {
		[UNIT_EV_STOP] = GO(INACTIVE, REST),
		[UNIT_EV_RESTART] = GO(WAITING, RESET),
	},
	[UNIT_REFUSED] = {
		[UNIT_EV_START] = GO(WAITING, RESET),
		[UNIT_EV_STOP] = GO(INACTIVE, REST),
		[UNIT_EV_RESTART] = GO(WAITING, RESET),
		[UNIT_EV_TIMER] = GO(WAITING, QUEUE),
	},
	[UNIT_FAILED] = {
		[UNIT_EV_START] = GO(WAITING, RESET),
		[UNIT_EV_STOP] = GO(INACTIVE, REST),
		[UNIT_EV_RESTART] = GO(WAITING, RESET),
	},
};

struct unit_step unit_step(enum unit_state state, enum unit_event event)
{
	struct unit_step stay = { (uint8_t)state, UNIT_DO_NOTHING };

	if ((unsigned)state >= UNIT_STATES || (unsigned)event >= UNIT_EVENTS ||
	    !table[state][event].is_set)
		return stay;
	return table[state][event].step;
}

const char *unit_state_name(unsigned state)
{
	static const char *const name[UNIT_STATES] = {
		"inactive", "waiting", "pulling", "preparing", "starting", "activating", "running", "ending",
		"stopping", "restarting", "backoff", "exited", "refused", "failed",
	};

	return state < UNIT_STATES ? name[state] : "unknown";
}

static bool is_clean_signal(int sig)
{
	return sig == SIGHUP || sig == SIGINT || sig == SIGTERM || sig == SIGPIPE;
}

static bool is_listed(const uint16_t *list, const struct unit_end *end)
{
	int kind = end->kind == UNIT_END_EXIT ? UNIT_EXIT_CODE : end->kind == UNIT_END_SIGNAL ? UNIT_EXIT_SIGNAL : 0;

	for (int i = 0; kind && i < UNIT_EXITS_MAX; i++)
		if (list[i] == (kind | end->value))
			return true;
	return false;
}

bool unit_end_is_clean(const struct unit_entry *e, const struct unit_end *end)
{
	return (end->kind == UNIT_END_EXIT && end->value == 0) ||
		(end->kind == UNIT_END_SIGNAL && e->type != UNIT_TYPE_ONESHOT && is_clean_signal(end->value)) ||
		is_listed(e->exit_success, end);
}

bool unit_restarts(const struct unit_entry *e, const struct unit_end *end)
{
	bool is_clean = unit_end_is_clean(e, end);
	bool is_bad_signal = end->kind == UNIT_END_OOM || (end->kind == UNIT_END_SIGNAL && !is_clean);
	bool is_hung = end->kind == UNIT_END_WATCHDOG || end->kind == UNIT_END_UNHEALTHY;

	if (is_listed(e->exit_prevent, end))
		return false;
	if (is_listed(e->exit_force, end))
		return true;
	switch (e->restart) {
	case UNIT_RESTART_ALWAYS:
		return true;
	case UNIT_RESTART_ON_SUCCESS:
		return is_clean;
	case UNIT_RESTART_ON_FAILURE:
		return !is_clean;
	case UNIT_RESTART_ON_ABNORMAL:
		return is_bad_signal || is_hung || end->kind == UNIT_END_TIMEOUT;
	case UNIT_RESTART_ON_ABORT:
		return is_bad_signal;
	case UNIT_RESTART_ON_WATCHDOG:
		return is_hung;
	default:
		return false;
	}
}

enum unit_event unit_end_event(const struct unit_entry *e, const struct unit_end *end)
{
	if (end->kind == UNIT_END_UNHEALTHY && e->on_failure == UNIT_ON_FAILURE_STOP)
		return UNIT_EV_ENDED_FAILED;
	if (unit_restarts(e, end) || end->kind == UNIT_END_STARTUP || (end->kind == UNIT_END_UNHEALTHY && e->on_failure == UNIT_ON_FAILURE_RESTART))
		return UNIT_EV_ENDED_AGAIN;
	if (!unit_end_is_clean(e, end))
		return UNIT_EV_ENDED_FAILED;
	return e->type == UNIT_TYPE_ONESHOT && e->remains ? UNIT_EV_ENDED_KEPT : UNIT_EV_ENDED_DONE;
}

bool unit_is_active(enum unit_state state)
{
	return state == UNIT_RUNNING || state == UNIT_ENDING || state == UNIT_EXITED;
}

bool unit_calendar_has(const struct unit_calendar *c, const struct tm *t)
{
	return c->minutes >> t->tm_min & 1 && c->hours >> t->tm_hour & 1 && c->days >> t->tm_mday & 1 && c->months >> (t->tm_mon + 1) & 1 &&
		c->weekdays >> t->tm_wday & 1;
}

void unit_end_text(const struct unit_end *end, char *out, unsigned size)
{
	switch (end->kind) {
	case UNIT_END_EXIT:
		snprintf(out, size, "exited with code %d", end->value);
		break;
	case UNIT_END_SIGNAL:
		snprintf(out, size, "killed by signal %d", end->value);
		break;
	case UNIT_END_OOM:
		snprintf(out, size, "killed by the kernel: its memory limit (MemoryMax=) was hit");
		break;
	case UNIT_END_UNHEALTHY:
		snprintf(out, size, "unhealthy: too many health checks failed");
		break;
	case UNIT_END_STARTUP:
		snprintf(out, size, "not up: too many startup health checks failed (HealthStartupRetries=)");
		break;
	case UNIT_END_WATCHDOG:
		snprintf(out, size, "said no WATCHDOG=1 within WatchdogSec=");
		break;
	case UNIT_END_TIMEOUT:
		snprintf(out, size, "start took longer than TimeoutStartSec=");
		break;
	default:
		snprintf(out, size, "start failed");
	}
}

bool unit_limit_take(struct unit_limit *l, uint64_t now_ms, uint32_t burst, uint32_t interval_ms)
{
	if (!burst || !interval_ms)
		return true;
	if (!l->count || now_ms - l->begin_ms >= interval_ms) {
		l->begin_ms = now_ms;
		l->count = 0;
	}
	if (l->count >= burst)
		return false;
	l->count++;
	return true;
}

uint64_t unit_backoff_ms(uint32_t first_ms, uint32_t cap_ms, unsigned tries)
{
	uint64_t ms = first_ms < 100 ? 100 : first_ms, cap = cap_ms > ms ? cap_ms : ms;

	while (tries-- && ms < cap)
		ms *= 2;
	return ms > cap ? cap : ms;
}

uint64_t unit_jitter_ms(uint64_t ms, uint32_t random)
{
	uint64_t width = ms / 5 * 2;

	return width ? ms - width / 2 + random % width : ms;
}
