/* SPDX-License-Identifier: MIT */
/*
 * The supervisor: events in, table (unit.c), actions out (sup_act.c). It
 * judges how programs and jobs ended. Input: child statuses, start reports,
 * job results already checked for shape, a unit table already checked. Never
 * allocates, never waits.
 */
#include "sup.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "board.h"
#include "cgroup.h"
#include "notify.h"
#include "pid1.h"
#include "plog.h"
#include "record.h"
#include "start.h"
#include "text.h"
#include "update_run.h"

int sup_find(const struct pid1 *p, const char *name)
{
	for (unsigned i = 0; i < p->units_len; i++)
		if (p->units[i].is_used && !strcmp(p->units[i].entry.name, name))
			return (int)i;
	return -1;
}

void sup_say(struct pid1 *p, unsigned i, const char *reason)
{
	struct status_unit *s = &p->status->unit[i];

	if (!strcmp(s->reason, reason))
		return;
	status_begin(p->status);
	text_printable(s->reason, sizeof(s->reason), reason);
	status_end(p->status);
}

static bool is_under_way(enum unit_state state)
{
	return state == UNIT_PULLING || state == UNIT_PREPARING || state == UNIT_STARTING;
}

static void publish_state(struct pid1 *p, unsigned i)
{
	struct status_unit *s = &p->status->unit[i];
	const struct unit *u = &p->units[i];

	status_begin(p->status);
	s->state = u->state;
	s->since_ms = p->now_ms;
	s->pid = u->pid;
	s->bytes_done = s->bytes_total = 0;
	if (u->state == UNIT_RUNNING || u->state == UNIT_WAITING || u->state == UNIT_ACTIVATING || is_under_way(u->state))
		s->reason[0] = '\0';
	status_end(p->status);
}

void sup_event(struct pid1 *p, unsigned i, enum unit_event event)
{
	struct unit *u = &p->units[i];
	struct unit_step step = unit_step(u->state, event);
	const struct status_unit *s = &p->status->unit[i];
	bool is_new = step.next != u->state;

	if (event == UNIT_EV_STOP)
		update_stopped(p, i);
	if (is_new) {
		u->state = step.next;
		if (step.action != UNIT_DO_NOTHING && step.action != UNIT_DO_AWAIT)
			u->timer_ms = 0;
		publish_state(p, i);
		if (event == UNIT_EV_STOP && u->state == UNIT_INACTIVE)
			sup_say(p, i, "stopped");
	}
	if (is_new && u->state != UNIT_WAITING)
		plog("unit %s: %s%s%s", u->entry.name, unit_state_name(u->state),
			s->reason[0] ? ": " : "", s->reason);
	if (is_new)
		events_say(p, EVENT_STATE, (int)i, u->state, s->reason);
	sup_act(p, i, step.action);

	status_begin(p->status);
	p->status->unit[i].due_ms = u->state == UNIT_BACKOFF || u->state == UNIT_REFUSED ? u->timer_ms : 0;
	status_end(p->status);
}

/* Did the kernel kill for memory in this run of the cgroup? */
static bool was_oom(const struct status_unit *s)
{
	char events[256], *at;

	if (!s->cgroup[0] || cgroup_read(s->cgroup, "memory.events", events, sizeof(events)) < 0)
		return false;
	at = strstr(events, "oom_kill ");
	return at && at[9] != '0';
}

/* For whoever asks later why it restarted. */
static void remember(struct pid1 *p, unsigned i, const char *text)
{
	struct status_unit *s = &p->status->unit[i];

	status_begin(p->status);
	s->end[s->ends % STATUS_ENDS].at_ms = p->now_ms;
	text_printable(s->end[s->ends % STATUS_ENDS].text, STATUS_END_MAX, text);
	s->ends++;
	s->said[0] = '\0';
	status_end(p->status);
}

static void judge(struct pid1 *p, unsigned i, const struct unit_end *end, const char *start_text)
{
	struct unit *u = &p->units[i];
	char text[UNIT_TEXT_MAX];
	enum unit_event event;

	unit_end_text(end, text, sizeof(text));
	if (end->kind == UNIT_END_START && start_text[0])
		snprintf(text, sizeof(text), "start failed: %.300s", start_text);
	if (u->state == UNIT_STOPPING || u->state == UNIT_RESTARTING)
		snprintf(text, sizeof(text), "%s", u->state == UNIT_STOPPING ? "stopped" : "restarting");
	else
		update_ended(p, i);
	sup_say(p, i, text);
	remember(p, i, text);
	u->has_done = unit_end_is_clean(&u->entry, end);
	event = unit_end_event(&u->entry, end);
	/* In rescue a critical unit is tried for ever: something may heal it. */
	if (p->is_rescue && u->entry.is_critical && event == UNIT_EV_ENDED_FAILED)
		event = UNIT_EV_ENDED_AGAIN;
	sup_event(p, i, event);
	if (u->entry.is_critical && (u->state == UNIT_FAILED || u->starts_failed > CONFIG_CRITICAL_TRIES))
		resets_escalate(p, i, text);
}

/* Each run has a network of its own: nothing that the one before changed in it is left. */
static void drop_network(struct pid1 *p, struct unit *u)
{
	if (!u->has_network)
		return;
	u->has_network = false;
	board_wants_networks(p);
}

/* Once starter and program are both gone: what it came to. */
static void end_if_over(struct pid1 *p, unsigned i)
{
	struct unit *u = &p->units[i];
	struct unit_end end;

	if (!u->is_launched || u->starter || u->pid)
		return;
	sup_hear_start(p, i);
	if (u->pid)
		return;
	if (u->report_fd >= 0)
		close(u->report_fd);
	if (u->pidfd >= 0)
		close(u->pidfd);
	u->report_fd = u->pidfd = -1;
	u->is_launched = u->is_term_due = false;
	health_end(p, i);

	end = u->end;
	if (u->cause != UNIT_END_EXIT)
		end = (struct unit_end){ u->cause, 0 };
	else if (u->has_start_failed || !u->has_end)	/* or the starter died before its program was there */
		end = (struct unit_end){ UNIT_END_START, 0 };
	else if (end.kind == UNIT_END_SIGNAL && end.value == SIGKILL && was_oom(&p->status->unit[i]))
		end.kind = UNIT_END_OOM;
	if (end.kind == UNIT_END_START && u->record_fd >= 0) {
		/* The store may have changed under the record: prepare looks at it again. */
		close(u->record_fd);
		u->record_fd = -1;
	}
	if (u->started_ms && p->now_ms - u->started_ms >= CONFIG_SETTLED_S * 1000ULL)
		u->starts_failed = 0;
	sup_is_clean(p, i);
	drop_network(p, u);
	judge(p, i, &end, u->start_text);
}

static void end_of(struct unit_end *end, int status)
{
	end->kind = WIFSIGNALED(status) ? UNIT_END_SIGNAL : UNIT_END_EXIT;
	end->value = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

/* A program's process that was killed between its clone and the report of it: PID 1 reaped it without knowing whose it was. */
static bool was_reaped(struct pid1 *p, pid_t pid, struct unit_end *end)
{
	for (unsigned k = 0; k < STRANGERS_KEPT; k++) {
		if (p->stranger[k].pid != pid)
			continue;
		end_of(end, p->stranger[k].status);
		p->stranger[k].pid = 0;
		return true;
	}
	return false;
}

void sup_reaped_stranger(struct pid1 *p, pid_t pid, int status)
{
	bool is_start_out = false;

	for (unsigned i = 0; i < p->units_len; i++)
		is_start_out |= p->units[i].starter > 0;
	/* Numbers come round again: what is kept is only as old as the starts that are out. */
	if (!is_start_out)
		memset(p->stranger, 0, sizeof(p->stranger));
	p->stranger[p->strangers % STRANGERS_KEPT].pid = is_start_out ? pid : 0;
	p->stranger[p->strangers % STRANGERS_KEPT].status = status;
	p->strangers++;
}

/* All that is weaker than asked: "not limited, this kernel lacks cpu.max, memory.max; ...". */
static void add_note(char *note, size_t size, const struct start_report *r)
{
	char text[UNIT_TEXT_MAX], all[UNIT_TEXT_MAX];
	const char *last = strrchr(note, ';');

	start_text(r, text, sizeof(text));
	last = last ? last + 2 : note;
	if (note[0] && !r->error && !strncmp(last, r->step, strlen(r->step)))
		snprintf(all, sizeof(all), "%s, %.100s", note, r->object);
	else
		snprintf(all, sizeof(all), "%s%s%s", note, note[0] ? "; " : "", text);
	text_printable(note, size, all);
}

static void take_report(struct pid1 *p, unsigned i, const struct start_report *r, int pidfd)
{
	struct unit *u = &p->units[i];
	struct status_unit *s = &p->status->unit[i];
	uint64_t bit;

	switch (r->kind) {
	case START_CREATED:
		u->pidfd = pidfd;
		if (was_reaped(p, r->pid, &u->end)) {
			u->has_end = true;
			return;
		}
		u->pid = r->pid;
		status_begin(p->status);
		s->pid = u->pid;
		status_end(p->status);
		return;
	case START_FAILED:
		u->has_start_failed = true;
		start_text(r, u->start_text, sizeof(u->start_text));
		return;
	case START_TERMINAL:	/* no unit has one */
		close(pidfd);
		return;
	default:
		status_begin(p->status);
		add_note(s->note, sizeof(s->note), r);
		status_end(p->status);
		/* The log has it once, and not at each start. */
		bit = 1ull << (record_crc32(0, s->note, strlen(s->note)) & 63);
		if (!(u->noted & bit))
			plog("unit %s: %s", u->entry.name, s->note);
		u->noted |= bit;
	}
}

void sup_hear_start(struct pid1 *p, unsigned i)
{
	struct unit *u = &p->units[i];
	struct start_report r;
	int pidfd, ret;

	while (u->report_fd >= 0 && (ret = start_read(u->report_fd, &r, &pidfd)) != -EAGAIN) {
		if (ret > 0) {
			take_report(p, i, &r, pidfd);
			continue;
		}
		close(u->report_fd);
		u->report_fd = -1;
		if (ret < 0)
			plog("unit %s: start report: %s", u->entry.name, strerror(-ret));
		if (u->pid && !u->has_start_failed)
			sup_event(p, i, u->entry.notify || u->entry.type == UNIT_TYPE_ONESHOT ? UNIT_EV_EXECUTED :
				UNIT_EV_STARTED);
	}
}

void sup_hear_all_starts(struct pid1 *p)
{
	for (unsigned i = 0; i < p->units_len; i++)
		if (p->units[i].report_fd >= 0)
			sup_hear_start(p, i);
}

bool sup_reaped(struct pid1 *p, pid_t pid, int status)
{
	for (unsigned i = 0; i < p->units_len; i++) {
		struct unit *u = &p->units[i];

		if (u->starter != pid && u->pid != pid)
			continue;
		if (u->starter == pid) {
			u->starter = 0;
			if (!u->pid && !u->has_start_failed)
				snprintf(u->start_text, sizeof(u->start_text), WIFSIGNALED(status) ?
					"the starter was killed by signal %d" : "the starter ended with code %d",
					WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		} else {
			if (u->notify_fd >= 0)
				notify_hear(p, i);	/* its last words came before its end */
			u->pid = 0;
			u->has_end = true;
			end_of(&u->end, status);
			if (p->status->unit[i].cgroup[0])
				cgroup_kill(p->status->unit[i].cgroup);
		}
		end_if_over(p, i);
		return true;
	}
	return false;
}

void sup_job_progress(struct pid1 *p, unsigned i, const struct job_result *r)
{
	struct status_unit *s = &p->status->unit[i];

	status_begin(p->status);
	s->bytes_done = r->bytes_done;
	s->bytes_total = r->bytes_total;
	text_printable(s->reason, sizeof(s->reason), r->text);
	status_end(p->status);
}

void sup_job_ended(struct pid1 *p, unsigned i, enum job_kind kind, unsigned code, const struct job_result *r,
	const char *text, int memfd)
{
	static const enum unit_event event[] = {
		[JOB_PROGRESS] = UNIT_EV_RETRY, [JOB_DONE] = UNIT_EV_DONE, [JOB_RETRY] = UNIT_EV_RETRY,
		[JOB_REFUSED] = UNIT_EV_REFUSED, [JOB_DAMAGED] = UNIT_EV_DAMAGED,
		[JOB_LATER] = UNIT_EV_RETRY,
	};
	struct unit *u = &p->units[i];
	char why[UNIT_TEXT_MAX];

	text_copy(why, sizeof(why), text);
	if (code == JOB_DONE)
		code = sup_keep(p, i, kind, r, &memfd, why, sizeof(why));
	if (memfd >= 0)
		close(memfd);
	/* Pull=always on a board without a network starts from the store. */
	if (kind == JOB_PULL && code == JOB_RETRY && u->entry.current[0] && u->state == UNIT_PULLING) {
		plog("unit %s: not pulled anew, the image in the store is used: %s", u->entry.name, why);
		u->is_pulled = true;
		code = JOB_DONE;
	}
	if (kind == JOB_NETWORKS) {
		u->has_network = code == JOB_DONE;
		if (!u->has_network)
			board_wants_networks(p);
	}
	sup_say(p, i, code == JOB_DONE ? "" : why);
	sup_event(p, i, event[code]);
}

void sup_retry_pulls(struct pid1 *p)
{
	for (unsigned i = 0; i < p->units_len; i++) {
		struct unit *u = &p->units[i];

		if (u->is_used && u->state == UNIT_BACKOFF && u->job_fails) {
			u->job_fails = 0;
			u->timer_ms = p->now_ms;
		}
	}
}

bool sup_depends(const struct pid1 *p, unsigned i, unsigned k, unsigned kinds)
{
	const struct unit *u = &p->units[i];

	for (int d = 0; u->is_used && d < UNIT_DEPS_MAX; d++)
		if (u->entry.dep[d].unit == k + 1 && u->entry.dep[d].kinds & kinds)
			return true;
	return false;
}

void sup_ask(struct pid1 *p, unsigned i, enum unit_event event)
{
	bool is_meant[CONFIG_UNITS_MAX] = { false };
	bool has_grown = true;

	is_meant[i] = true;
	while (has_grown) {
		has_grown = false;
		for (unsigned k = 0; k < p->units_len; k++) {
			for (unsigned a = 0; a < p->units_len && !is_meant[k] && p->units[k].is_used; a++)
				is_meant[k] = is_meant[a] && (event == UNIT_EV_START ?
					sup_depends(p, a, k, UNIT_DEP_REQUIRES | UNIT_DEP_WANTS) && !unit_is_active(p->units[k].state) :
					sup_depends(p, k, a, UNIT_DEP_REQUIRES) && p->units[k].state != UNIT_INACTIVE),
				has_grown |= is_meant[k];
		}
	}
	for (unsigned k = 0; k < p->units_len; k++)
		if (is_meant[k])
			sup_event(p, k, event);
	sup_terms(p);
}

bool sup_stop_all(struct pid1 *p)
{
	bool is_over = true;

	for (unsigned i = 0; i < p->units_len; i++) {
		struct unit *u = &p->units[i];
		bool is_needed = false;

		if (!u->is_used)
			continue;
		/* Reverse order of After=: what others wait for goes last. */
		for (unsigned k = 0; k < p->units_len; k++)
			is_needed |= k != i && p->units[k].state != UNIT_INACTIVE && sup_depends(p, k, i, UNIT_DEP_AFTER);
		if (u->state != UNIT_INACTIVE)
			is_over = false;
		if (u->state != UNIT_INACTIVE && u->state != UNIT_STOPPING && !is_needed)
			sup_event(p, i, UNIT_EV_STOP);
	}
	sup_terms(p);
	return is_over;
}

void sup_hung(struct pid1 *p, unsigned i)
{
	struct unit *u = &p->units[i];

	if (u->state != UNIT_RUNNING && u->state != UNIT_ACTIVATING)
		return;
	u->cause = UNIT_END_WATCHDOG;
	sup_event(p, i, UNIT_EV_HUNG);
}

static void timers(struct pid1 *p, unsigned i, uint64_t now_ms)
{
	struct unit *u = &p->units[i];

	if (!u->timer_ms || u->timer_ms > now_ms)
		return;
	u->timer_ms = 0;
	if (u->state == UNIT_REFUSED && u->entry.error[0])
		p->read_units.is_done = false;	/* its file may have been mended */
	if (u->state == UNIT_STARTING || u->state == UNIT_ACTIVATING)
		u->cause = UNIT_END_TIMEOUT;
	sup_event(p, i, UNIT_EV_TIMER);
}

/* When unit I's sign of life is due, 0: none is. */
static uint64_t watchdog(struct pid1 *p, unsigned i, uint64_t now_ms)
{
	struct unit *u = &p->units[i];

	if (u->state != UNIT_RUNNING || !u->watchdog_ms)
		return 0;
	if (u->alive_ms + u->watchdog_ms > now_ms)
		return u->alive_ms + u->watchdog_ms;
	sup_hung(p, i);
	return 0;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return !a || (b && b < a) ? b : a;
}

uint64_t sup_calendar(struct pid1 *p, uint64_t now_ms)
{
	uint64_t next = 0;
	struct timespec t;
	struct tm tm;
	bool is_new;

	clock_gettime(CLOCK_REALTIME, &t);
	gmtime_r(&t.tv_sec, &tm);
	/* The minute it is, also where the clock was set: one that was leapt over does not come again. */
	is_new = p->minute != t.tv_sec / 60;
	p->minute = t.tv_sec / 60;
	for (unsigned i = 0; i < p->units_len && p->power == STATUS_POWER_ON; i++) {
		struct unit *u = &p->units[i];
		uint64_t boot = u->has_booted || !u->entry.on_boot_ms ? 0 : p->status->boot_ms + u->entry.on_boot_ms;
		bool is_due = boot && boot <= now_ms;

		if (!u->is_used || !u->entry.is_enabled)
			continue;
		u->has_booted |= is_due;
		is_due |= is_new && u->entry.calendar.months && unit_calendar_has(&u->entry.calendar, &tm);
		if (is_due)
			sup_ask(p, i, UNIT_EV_START);
		else if (boot)
			next = sooner(next, boot);
		if (u->entry.calendar.months)
			next = sooner(next, now_ms + (uint64_t)(60 - tm.tm_sec) * 1000);
	}
	return next;
}

uint64_t sup_scan(struct pid1 *p, uint64_t now_ms)
{
	uint64_t next = 0;

	sup_terms(p);
	for (unsigned i = 0; i < p->units_len; i++) {
		struct unit *u = &p->units[i];
		enum unit_event event;
		const char *obstacle;

		if (!u->is_used)
			continue;
		timers(p, i, now_ms);
		next = sooner(next, watchdog(p, i, now_ms));
		if (u->notify_fd >= 0 && u->report_fd < 0 && notify_fd(p, i) < 0)
			next = sooner(next, u->heard_ms + 1000);
		if (u->state == UNIT_WAITING) {
			uint64_t net_wait = p->status->boot_ms + CONFIG_NET_WAIT_S * 1000ULL;

			obstacle = sup_obstacle(p, i, &event);
			if (obstacle) {
				sup_say(p, i, obstacle);
				/* The one obstacle that goes away by itself: no lease came. */
				if (now_ms < net_wait)
					next = sooner(next, net_wait);
			} else {
				sup_event(p, i, event);
				next = now_ms;
			}
		}
		if (!u->is_launched && u->state != UNIT_WAITING && u->state != UNIT_PREPARING)
			drop_network(p, u);
		if (u->is_dirty && !u->is_launched && sup_is_clean(p, i) && u->is_gone)
			next = now_ms;
		next = sooner(next, u->timer_ms);
		if (u->is_dirty && !u->is_launched)
			next = sooner(next, now_ms + 50);
	}
	return next;
}
