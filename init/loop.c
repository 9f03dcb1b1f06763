/* SPDX-License-Identifier: MIT */
/*
 * The loop: look at the clock, let each part do what is due and say when it
 * wants to be looked at again, poll, dispatch. Signals come by signalfd, ends of
 * children by waitid; before a child that nobody knows is reaped, the start
 * reports are read dry (init/start.h says why).
 */
#include "loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "board.h"
#include "notify.h"
#include "pid1.h"
#include "plog.h"
#include "reexec.h"
#include "shutdown.h"
#include "sup.h"
#include "text.h"
#include "update_run.h"

enum { POLL_MAX = 4 + CONTROL_CLIENTS + EVENTS_READERS + 2 * JOBS_MAX + 3 * CONFIG_UNITS_MAX, STRANGERS_SAID = 64 };

enum source { SOURCE_SIGNAL, SOURCE_CONTROL, SOURCE_CLIENT, SOURCE_JOB, SOURCE_START, SOURCE_NOTIFY, SOURCE_HEALTH, SOURCE_HELPER, SOURCE_READER };

struct polled {
	struct pollfd fd[POLL_MAX];
	struct { uint8_t source, index; } of[POLL_MAX];
	nfds_t len;
};

static void add(struct polled *s, int fd, enum source source, unsigned index)
{
	if (fd < 0 || s->len == POLL_MAX)
		return;
	s->fd[s->len] = (struct pollfd){ .fd = fd, .events = POLLIN };
	s->of[s->len].source = (uint8_t)source;
	s->of[s->len].index = (uint8_t)index;
	s->len++;
}

static void gather(struct pid1 *p, struct polled *s)
{
	_Static_assert(CONFIG_UNITS_MAX <= 255, "struct polled keeps the index in a byte");

	s->len = 0;
	add(s, p->signal_fd, SOURCE_SIGNAL, 0);
	add(s, p->control_fd, SOURCE_CONTROL, 0);
	for (unsigned i = 0; i < HELPER_METRICS - HELPER_HEARD; i++)
		add(s, p->said[i].fd, SOURCE_HELPER, i);
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
		add(s, p->clients[i].fd, SOURCE_CLIENT, i);
	for (unsigned i = 0; i < EVENTS_READERS; i++)
		add(s, p->readers[i].fd > 0 ? p->readers[i].fd : -1, SOURCE_READER, i);
	for (unsigned i = 0; i < JOBS_MAX; i++) {
		if (p->jobs[i].kind == JOB_FREE)
			continue;
		add(s, p->jobs[i].result_fd, SOURCE_JOB, i);
		add(s, p->jobs[i].err.fd, SOURCE_JOB, i);
	}
	for (unsigned i = 0; i < p->units_len; i++) {
		add(s, p->units[i].report_fd, SOURCE_START, i);
		if (p->units[i].is_used)
			add(s, notify_fd(p, i), SOURCE_NOTIFY, i);
		add(s, p->units[i].health.out_fd, SOURCE_HEALTH, i);
	}
}

static void take_signals(struct pid1 *p)
{
	struct signalfd_siginfo info;

	while (read(p->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGINT:
			shutdown_begin(p, STATUS_POWER_REBOOT, "SIGINT (ctrl-alt-del)");
			break;
		case SIGTERM:
			shutdown_begin(p, STATUS_POWER_OFF, "SIGTERM");
			break;
		case SIGPWR:
			shutdown_begin(p, STATUS_POWER_OFF, "SIGPWR (power failure)");
			break;
		default:	/* SIGCHLD is looked for every turn; the others are nothing to PID 1 */
			break;
		}
	}
}

static bool is_job(const struct pid1 *p, pid_t pid)
{
	for (unsigned i = 0; i < JOBS_MAX; i++)
		if (p->jobs[i].kind != JOB_FREE && p->jobs[i].pid == pid)
			return true;
	return false;
}

static void say_stranger(struct pid1 *p, pid_t pid, int status)
{
	sup_reaped_stranger(p, pid, status);
	if (p->strangers <= STRANGERS_SAID)
		plog("reaped process %d, an orphan (%s %d)", (int)pid, WIFSIGNALED(status) ? "signal" : "code",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void reap(struct pid1 *p)
{
	siginfo_t info;
	int status;

	/* Bounded: a fork bomb's orphans do not keep PID 1 here; what is left comes next turn, at once (see loop_run). */
	for (int n = 0; n < 256; n++) {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || !info.si_pid) {
			p->has_unreaped = false;
			return;
		}
		sup_hear_all_starts(p);
		/* While it is not reaped its number cannot name anyone else. */
		if (is_job(p, info.si_pid))
			kill(-info.si_pid, SIGKILL);
		if (waitpid(info.si_pid, &status, WNOHANG) != info.si_pid)
			continue;
		if (!sup_reaped(p, info.si_pid, status) && !job_reaped(p, info.si_pid, status) &&
		    !health_reaped(p, info.si_pid, status) && !helper_reaped(p, info.si_pid, status))
			say_stranger(p, info.si_pid, status);
	}
	p->has_unreaped = true;
}

static void dispatch(struct pid1 *p, const struct polled *s)
{
	for (nfds_t k = 0; k < s->len; k++) {
		unsigned i = s->of[k].index;

		if (!s->fd[k].revents)
			continue;
		switch (s->of[k].source) {
		case SOURCE_SIGNAL:
			take_signals(p);
			break;
		case SOURCE_CONTROL:
			control_accept(p);
			break;
		case SOURCE_CLIENT:
			if (p->clients[i].fd == s->fd[k].fd)
				control_serve(p, i);
			break;
		case SOURCE_JOB:
			if (p->jobs[i].kind != JOB_FREE)
				job_hear(p, &p->jobs[i]);
			break;
		case SOURCE_NOTIFY:
			notify_hear(p, i);
			break;
		case SOURCE_HEALTH:
			health_hear(p, i);
			break;
		case SOURCE_READER:
			if (p->readers[i].fd == s->fd[k].fd)
				events_hear(p, i);
			break;
		case SOURCE_HELPER:
			lines_hear(&p->said[i], helper_name(HELPER_HEARD + i));
			break;
		default:
			sup_hear_start(p, i);
		}
	}
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return !a || (b && b < a) ? b : a;
}

/* What is due now; when to look again. */
static uint64_t scan(struct pid1 *p)
{
	uint64_t next;

	next = sooner(helper_scan(p, p->now_ms), board_scan(p, p->now_ms));
	next = sooner(next, update_scan(p, p->now_ms));
	next = sooner(next, sup_scan(p, p->now_ms));
	next = sooner(next, sup_calendar(p, p->now_ms));
	next = sooner(next, health_scan(p, p->now_ms));
	next = sooner(next, job_expire(p, p->now_ms));
	if (p->is_board)	/* before the resets, which ask whether it bit */
		next = sooner(next, watchdog_scan(p, p->now_ms));
	next = sooner(next, resets_scan(p, p->now_ms));
	next = sooner(next, shutdown_scan(p, p->now_ms));
	sup_drop_gone(p);
	control_expire(p, p->now_ms);
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
		if (p->clients[i].fd >= 0)
			next = sooner(next, p->clients[i].since_ms + CONTROL_IDLE_MS);
	return p->has_unreaped ? p->now_ms : next;
}

_Noreturn void loop_run(struct pid1 *p)
{
	static struct polled polled;

	/* From here on PID 1 neither exits, allocates nor blocks. */
	for (;;) {
		struct timespec wait, *limit = NULL;
		uint64_t next;

		p->now_ms = text_now_ms();
		next = scan(p);
		if (next) {
			uint64_t ms = next > p->now_ms ? next - p->now_ms : 0;

			wait.tv_sec = (time_t)(ms / 1000);
			wait.tv_nsec = (long)(ms % 1000) * 1000000;
			limit = &wait;
		}
		gather(p, &polled);
		if (ppoll(polled.fd, polled.len, limit, NULL) < 0)
			polled.len = 0;
		p->now_ms = text_now_ms();
		dispatch(p, &polled);
		reap(p);
		reexec_now(p);
	}
}
