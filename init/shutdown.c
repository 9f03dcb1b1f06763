/* SPDX-License-Identifier: MIT */
/*
 * The way down, as steps with a time limit each:
 *
 *   0 up
 *   1 units    each gets its stop signal and TimeoutStopSec=; all together CONFIG_SHUTDOWN_S
 *   2 term     jobs are killed, every process left gets SIGTERM
 *   3 kill     every process left gets SIGKILL
 *   4 sync     a job writes back and umounts the data partition
 *   5 gone     reboot(2)
 *
 * Never allocates, never waits.
 */
#include "shutdown.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "pid1.h"
#include "plog.h"
#include "sup.h"

enum { STEP_UP, STEP_UNITS, STEP_TERM, STEP_KILL, STEP_SYNC, STEP_GONE };
enum { TERM_MS = 2000, KILL_MS = 2000, TICK_MS = 20 };
/* All steps at their longest; what hangs then is the watchdog's. */
enum { WATCHDOG_MS = (CONFIG_SHUTDOWN_S + CONFIG_SYNC_DEADLINE_S) * 1000 + TERM_MS + KILL_MS + 2000 };

void shutdown_begin(struct pid1 *p, int power, const char *why)
{
	bool is_first = p->power == STATUS_POWER_ON;

	p->power = power;
	status_begin(p->status);
	p->status->power = (uint32_t)power;
	status_end(p->status);
	events_say(p, EVENT_POWER, -1, (uint32_t)power, why);
	if (!is_first)
		return;
	if (!p->reset_why[0])
		snprintf(p->reset_why, sizeof(p->reset_why), "%s: %s", power == STATUS_POWER_REBOOT ? "rebooted" : "powered off", why);
	watchdog_let_go(p, WATCHDOG_MS);
	plog_open(p->log, p->console_fd, -1);
	plog("%s: %s", power == STATUS_POWER_REBOOT ? "rebooting" : "powering off", why);
	p->power_step = STEP_UNITS;
	p->power_due_ms = p->now_ms + CONFIG_SHUTDOWN_S * 1000ULL;
}

static void to_step(struct pid1 *p, int step, uint64_t ms)
{
	p->power_step = step;
	p->power_due_ms = p->now_ms + ms;
}

static void units_step(struct pid1 *p)
{
	if (!sup_stop_all(p) && p->now_ms < p->power_due_ms)
		return;
	for (unsigned i = 0; i < p->units_len; i++)
		if (p->units[i].is_used && p->units[i].state != UNIT_INACTIVE) {
			plog("unit %s: did not stop in time, killed", p->units[i].entry.name);
			sup_act(p, i, UNIT_DO_KILL);
		}
	for (unsigned i = 0; i < JOBS_MAX; i++)
		job_kill(&p->jobs[i], "the board goes down");
	kill(-1, SIGTERM);
	kill(-1, SIGCONT);
	to_step(p, STEP_TERM, TERM_MS);
}

static bool has_children(void)
{
	siginfo_t info = { .si_pid = 0 };

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

static void remove_cgroups(struct pid1 *p)
{
	if (p->cgroup_dir[0] && cgroup_remove(p->cgroup_dir) < 0)
		plog("%s: not removed: %s", p->cgroup_dir, strerror(errno));
}

static _Noreturn void leave(struct pid1 *p)
{
	plog(p->power == STATUS_POWER_REBOOT ? "reboots now" : "off now");
	if (p->power == STATUS_POWER_OFF)
		watchdog_disarm(p);
	for (;;) {
		reboot(p->power == STATUS_POWER_REBOOT ? RB_AUTOBOOT : RB_POWER_OFF);
		/* In a namespace the kernel ends us by a signal; where the machine cannot switch off it halts. One that does not is tried again,
		 * until the watchdog bites. */
		reboot(RB_HALT_SYSTEM);
		ppoll(NULL, 0, &(struct timespec){ .tv_sec = 1 }, NULL);
	}
}

uint64_t shutdown_scan(struct pid1 *p, uint64_t now_ms)
{
	switch (p->power_step) {
	case STEP_UP:
		return 0;
	case STEP_UNITS:
		units_step(p);
		break;
	case STEP_TERM:
		if (has_children() && now_ms < p->power_due_ms)
			break;
		kill(-1, SIGKILL);
		to_step(p, STEP_KILL, KILL_MS);
		break;
	case STEP_KILL:
		if (has_children() && now_ms < p->power_due_ms)
			break;
		remove_cgroups(p);
		if (job_run_sync(p, p->is_board && p->status->is_data_there && !p->conf.data_dir[0]))
			to_step(p, STEP_SYNC, CONFIG_SYNC_DEADLINE_S * 1000ULL);
		else
			to_step(p, STEP_GONE, 0);
		break;
	case STEP_SYNC:
		if (!job_count(p, JOB_SYNC, -1) || now_ms >= p->power_due_ms)
			to_step(p, STEP_GONE, 0);
		break;
	default:
		leave(p);
	}
	return now_ms + TICK_MS;
}
