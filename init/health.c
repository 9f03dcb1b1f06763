/* SPDX-License-Identifier: MIT */
/*
 * PID 1's half of health checks. At most CONFIG_HEALTH_MAX run at once; one that is late is killed and counts as failed. What a check
 * prints is untrusted: its last line is kept, made printable. Never allocates, never waits.
 */
#include "health.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pid1.h"
#include "plog.h"
#include "spawn.h"
#include "sup.h"
#include "text.h"

enum { INTERVAL_MS = 30000, TIMEOUT_MS = 30000, RETRIES = 3, AGAIN_MS = 500, READS_MAX = 8 };

static uint32_t first(uint32_t a, uint32_t b, uint32_t c)
{
	return a ? a : b ? b : c;
}

void health_merge(const struct unit_health *unit, const struct unit_health *image, struct unit_health *out)
{
	*out = unit->kind == UNIT_HEALTH_UNSAID ? *image : *unit;
	out->interval_ms = first(unit->interval_ms, image->interval_ms, INTERVAL_MS);
	out->timeout_ms = first(unit->timeout_ms, image->timeout_ms, TIMEOUT_MS);
	out->retries = first(unit->retries, image->retries, RETRIES);
	out->start_period_ms = first(unit->start_period_ms, image->start_period_ms, 0);
	if (out->interval_ms == UINT32_MAX)
		out->kind = UNIT_HEALTH_OFF;
	if (out->interval_ms < 100)
		out->interval_ms = 100;
}

enum health health_count(const struct unit_health *h, bool is_good, uint64_t age_ms, enum health before, unsigned *fails)
{
	if (is_good) {
		*fails = 0;
		return HEALTH_GOOD;
	}
	/* A start period ends with the first success, as podman has it. */
	if (before == HEALTH_STARTING && age_ms < h->start_period_ms)
		return HEALTH_STARTING;
	if (*fails < UINT32_MAX)
		++*fails;
	return *fails >= h->retries ? HEALTH_BAD : before;
}

const char *health_name(unsigned health)
{
	static const char *const name[] = { "", "starting", "healthy", "unhealthy" };

	return health < sizeof(name) / sizeof(name[0]) ? name[health] : "";
}

static void publish(struct pid1 *p, unsigned i, enum health health)
{
	struct status_unit *s = &p->status->unit[i];
	bool is_new = s->health != health;

	status_begin(p->status);
	s->health = health;
	text_printable(s->health_text, sizeof(s->health_text), p->units[i].health.text);
	status_end(p->status);
	if (is_new)
		events_say(p, EVENT_HEALTH, (int)i, health, s->health_text);
}

/* HealthStartupCmd= comes first. */
static bool is_coming_up(const struct unit *u)
{
	return !u->health.is_up && u->entry.startup.kind == UNIT_HEALTH_CMD && u->entry.startup.interval_ms != UINT32_MAX;
}

static void merged(const struct unit *u, struct unit_health *out)
{
	if (is_coming_up(u)) {
		health_merge(&u->entry.startup, &u->entry.startup, out);
		out->retries = u->entry.startup.retries;
	} else {
		health_merge(&u->entry.health, &u->image_health, out);
	}
}

static bool is_checked(const struct unit *u)
{
	struct unit_health h;

	merged(u, &h);
	return h.kind >= UNIT_HEALTH_CMD && u->pid && u->record_fd >= 0 && (u->state == UNIT_RUNNING ||
		(u->state == UNIT_ACTIVATING && u->entry.notify == UNIT_NOTIFY_HEALTHY));
}

static void close_out(struct health_run *r)
{
	if (r->out_fd >= 0)
		close(r->out_fd);
	r->out_fd = -1;
}

static void kill_check(const struct health_run *r)
{
	if (r->pid <= 0)
		return;
	kill(-r->pid, SIGKILL);
	kill(r->pid, SIGKILL);
}

void health_begin(struct pid1 *p, unsigned i)
{
	struct unit *u = &p->units[i];
	struct unit_health h;

	u->health.is_up = false;
	u->health.fails = u->health.goods = 0;
	merged(u, &h);
	u->health.text[0] = '\0';
	/* Soon for the first time: others may wait for it. */
	u->health.due_ms = p->now_ms + (h.interval_ms < AGAIN_MS ? h.interval_ms : AGAIN_MS);
	publish(p, i, h.kind >= UNIT_HEALTH_CMD ? HEALTH_STARTING : HEALTH_NONE);
}

void health_end(struct pid1 *p, unsigned i)
{
	kill_check(&p->units[i].health);
	close_out(&p->units[i].health);
	publish(p, i, HEALTH_NONE);
}

static void start(struct pid1 *p, unsigned i)
{
	struct unit *u = &p->units[i];
	struct health_run *r = &u->health;
	struct unit_health h;
	struct health_check c = { .health = &h, .cgroup = p->status->unit[i].cgroup };
	struct spawn s = { .name = "health", .stdio = { -1, -1, -1 }, .fds = { u->pidfd, u->record_fd }, .fds_len = 2,
		.run = health_check, .arg = &c };
	int ends[2] = { -1, -1 };
	pid_t pid = -EMFILE;

	merged(u, &h);
	r->due_ms = p->now_ms + AGAIN_MS;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0) {
		/* The check itself may wait for a reader. */
		fcntl(ends[1], F_SETFL, 0);
		s.stdio[1] = s.stdio[2] = ends[1];
		pid = spawn(&s);
		close(ends[1]);
	}
	if (pid < 0) {
		plog("unit %s: health check not started: %s", u->entry.name, strerror((int)-pid));
		if (ends[0] >= 0)
			close(ends[0]);
		return;
	}
	r->pid = pid;
	r->out_fd = ends[0];
	r->is_expired = false;
	r->text[0] = '\0';
	r->due_ms = p->now_ms + h.interval_ms;
	r->deadline_ms = p->now_ms + h.timeout_ms;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return !a || (b && b < a) ? b : a;
}

uint64_t health_scan(struct pid1 *p, uint64_t now_ms)
{
	uint64_t next = 0;
	unsigned running = 0;

	for (unsigned i = 0; i < p->units_len; i++)
		running += p->units[i].health.pid > 0;
	for (unsigned i = 0; i < p->units_len; i++) {
		struct unit *u = &p->units[i];

		if (u->health.pid) {
			if (u->health.deadline_ms <= now_ms && !u->health.is_expired) {
				u->health.is_expired = true;
				kill_check(&u->health);
			}
			next = sooner(next, u->health.is_expired ? 0 : u->health.deadline_ms);
			continue;
		}
		if (!u->is_used || !is_checked(u))
			continue;
		if (u->health.due_ms <= now_ms && running < CONFIG_HEALTH_MAX) {
			start(p, i);
			running += u->health.pid > 0;
		}
		/* All places taken: the end of a check wakes the loop. */
		if (u->health.due_ms > now_ms)
			next = sooner(next, u->health.due_ms);
	}
	return next;
}

void health_hear(struct pid1 *p, unsigned i)
{
	struct health_run *r = &p->units[i].health;
	char buf[256];
	ssize_t n = 0;

	for (int turn = 0; turn < READS_MAX && r->out_fd >= 0 && (n = read(r->out_fd, buf, sizeof(buf) - 1)) > 0; turn++) {
		char *save = NULL, *line;

		buf[n] = '\0';
		for (line = strtok_r(buf, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save))
			text_printable(r->text, sizeof(r->text), line);
	}
	if (n == 0)
		close_out(r);
}

/* A result of the startup check; true where it is a regular one's too: it was the last, and there is no other. */
static bool take_startup(struct pid1 *p, unsigned i, bool is_good)
{
	struct unit *u = &p->units[i];
	struct unit_health h;

	u->health.goods += is_good;
	u->health.fails += !is_good;
	publish(p, i, HEALTH_STARTING);
	if (!is_good && u->health.fails == u->entry.startup.retries) {
		u->cause = UNIT_END_STARTUP;
		sup_event(p, i, UNIT_EV_UNHEALTHY);
	}
	u->health.is_up = is_good && u->health.goods >= u->entry.startup_success;
	if (!u->health.is_up)
		return false;
	u->health.fails = 0;
	u->health.due_ms = p->now_ms;
	merged(u, &h);
	return h.kind < UNIT_HEALTH_CMD;
}

static void take(struct pid1 *p, unsigned i, bool is_good)
{
	struct unit *u = &p->units[i];
	enum health before = p->status->unit[i].health, now;
	struct unit_health h;

	if (is_coming_up(u) && !take_startup(p, i, is_good))
		return;
	merged(u, &h);
	now = health_count(&h, is_good, p->now_ms - u->launched_ms, before, &u->health.fails);
	publish(p, i, now);
	if (now != before)
		plog("unit %s: %s%s%s", u->entry.name, health_name(now), u->health.text[0] ? ": " : "", u->health.text);
	if (now == HEALTH_GOOD) {
		u->health.is_up = true;
		sup_event(p, i, UNIT_EV_READY);
	}
	if (now != HEALTH_BAD || u->entry.on_failure == UNIT_ON_FAILURE_NONE)
		return;
	u->cause = UNIT_END_UNHEALTHY;
	sup_event(p, i, u->entry.on_failure == UNIT_ON_FAILURE_KILL ? UNIT_EV_UNHEALTHY_KILL : UNIT_EV_UNHEALTHY);
}

bool health_reaped(struct pid1 *p, pid_t pid, int status)
{
	for (unsigned i = 0; i < p->units_len; i++) {
		struct health_run *r = &p->units[i].health;

		if (r->pid != pid)
			continue;
		health_hear(p, i);
		close_out(r);
		r->pid = 0;
		if (r->is_expired)
			text_copy(r->text, sizeof(r->text), "took longer than HealthTimeout=");
		/* The run it was asked about may be over by now. */
		if (is_checked(&p->units[i]) && p->units[i].launched_ms < r->deadline_ms)
			take(p, i, !r->is_expired && WIFEXITED(status) && WEXITSTATUS(status) == 0);
		return true;
	}
	return false;
}
