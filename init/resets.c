/* SPDX-License-Identifier: MIT */
/*
 * Resets, counted. The file is ours, yet it comes from a disk: whatever stands in it, the count is bounded and the text printable. A disk
 * that does not answer holds nothing up but the counting.
 */
#include "resets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "job_child.h"
#include "pid1.h"
#include "plog.h"
#include "shutdown.h"
#include "text.h"
#include "update_run.h"

enum { COUNT_MAX = 1000, SAY_MS = 5000 };

static const char name[] = "state/resets";

/* The value of KEY=, which begins a line; up to its end. */
static bool line(const char *text, const char *key, char *out, size_t size)
{
	size_t len = strlen(key);

	for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
		if (strncmp(text, key, len) != 0)
			continue;
		snprintf(out, size, "%.*s", (int)strcspn(text + len, "\n"), text + len);
		return true;
	}
	return false;
}

void resets_parse(const char *text, struct resets *out)
{
	char value[RESETS_TEXT_MAX];
	uint64_t n;

	memset(out, 0, sizeof(*out));
	if (line(text, "count=", value, sizeof(value)) && text_u64(value, COUNT_MAX, &n))
		out->count = (uint32_t)n;
	out->is_bad = line(text, "bad=", value, sizeof(value)) && !strcmp(value, "1");
	if (line(text, "why=", value, sizeof(value)))
		text_printable(out->why, sizeof(out->why), value);
}

size_t resets_write(const struct resets *r, char *out, size_t size)
{
	char why[RESETS_TEXT_MAX];

	text_printable(why, sizeof(why), r->why);
	return (size_t)snprintf(out, size, "count=%u\nbad=%d\nwhy=%s\n", r->count, r->is_bad, why);
}

void resets_boot(struct resets *r, bool has_bitten, char *cause, size_t size)
{
	/* What was said before counts for more than what the driver says: the watchdog may have ended a reboot that hung. */
	bool is_bad = r->why[0] ? r->is_bad : has_bitten;

	if (r->why[0])
		text_copy(cause, size, r->why);
	else
		text_copy(cause, size, has_bitten ? "the watchdog: PID 1's loop or the kernel stood still" :
			"power, or a reset from outside");
	if (is_bad && r->count < COUNT_MAX)
		r->count++;
	r->why[0] = '\0';
	r->is_bad = false;
}

/* What the file says then, and with RESETS_BOOT the cause; the disk's failures are lines. */
static void change(const struct pid1 *p, enum resets_job what, struct resets *out, char *cause, size_t size)
{
	char text[RESETS_TEXT_MAX + 64];
	struct err e = { "" };
	int dir = open(p->status->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = dir < 0 ? -1 : file_open_beneath(dir, name, O_RDONLY, 0);
	ssize_t n = fd < 0 ? 0 : file_read_full(fd, text, sizeof(text) - 1);

	/* The sync job, which notes the reset, umounts next. */
	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = '\0';
	resets_parse(text, out);
	if (what == RESETS_BOOT) {
		resets_boot(out, p->watchdog.has_bitten, cause, size);
	} else if (what == RESETS_CLEAR) {
		out->count = 0;
	} else {
		out->is_bad = p->is_reset_bad;
		text_copy(out->why, sizeof(out->why), p->reset_why);
	}
	n = (ssize_t)resets_write(out, text, sizeof(text));
	if (dir < 0 || file_make_dirs(dir, "state", 0755, &e) < 0 ||
	    file_replace(dir, name, span_of(text, (size_t)n), 0644, &e) < 0)
		fprintf(stderr, "%s: not written: %s\n", name, e.text[0] ? e.text : strerror(errno));
	if (dir >= 0)
		close(dir);
}

int resets_job(const struct pid1 *p, enum resets_job what)
{
	struct job_result r = { .code = JOB_DONE };
	struct resets file;

	change(p, what, &file, r.text, sizeof(r.text));
	r.bytes_done = file.count;
	job_send(JOB_RESULT_FD, &r);
	return 0;
}

void resets_note(const struct pid1 *p)
{
	struct resets file;

	change(p, RESETS_SAY, &file, NULL, 0);
}

static void publish(struct pid1 *p, const char *cause)
{
	status_begin(p->status);
	p->status->resets = p->resets;
	p->status->is_rescue = p->is_rescue;
	if (cause)
		text_printable(p->status->reset_cause, sizeof(p->status->reset_cause), cause);
	status_end(p->status);
}

void resets_ended(struct pid1 *p, unsigned code, const struct job_result *r, const char *text)
{
	bool is_boot = p->resets_job == RESETS_BOOT;

	p->has_resets = true;
	p->is_reset_said |= p->resets_job == RESETS_SAY;
	if (code != JOB_DONE) {
		plog("resets: %s", text);
		return;
	}
	p->resets = (uint32_t)r->bytes_done;
	if (is_boot) {
		p->is_rescue = p->resets >= CONFIG_RESETS_MAX;
		plog("last reset: %s; %u in a row that count, %d lead to rescue", text, p->resets, CONFIG_RESETS_MAX);
		if (p->is_rescue)
			plog("rescue: critical units are tried with backoff, the others wait; nothing reboots by itself");
	} else if (p->resets_job == RESETS_CLEAR && p->is_rescue) {
		p->is_rescue = false;
		plog("rescue is over: healthy for %d s", CONFIG_HEALTHY_S);
	}
	publish(p, is_boot ? text : NULL);
}

/* Before a reset comes the image from before, once a boot, or the one that is about to be tried. True: its turn. */
static bool is_image_changed(struct pid1 *p, unsigned i)
{
	struct unit *u = &p->units[i];
	struct update *x = &u->update;
	enum update_state was = x->state;

	switch (was) {
	case UPDATE_IDLE:
	case UPDATE_CHECKING:
	case UPDATE_DOWNLOADING:
		if (!u->entry.slot.previous[0] || u->is_taken_back)
			return false;
		if (was != UPDATE_IDLE)
			update_event(p, i, UPDATE_EV_BACK);	/* what is on its way is cancelled */
		u->is_taken_back = true;
		x->begin_ms = p->now_ms;
		update_say(p, i, "critical, and beyond its restarts");
		update_event(p, i, UPDATE_EV_BACK);
		return true;
	case UPDATE_CONFIRMING:
		return true;
	case UPDATE_STAGED:
		x->is_forced = true;	/* it makes nothing worse: outside its window too */
		break;
	default:
		break;
	}
	return !x->timer_ms || !x->fails;	/* a step that the disk does not take is not waited for */
}

void resets_escalate(struct pid1 *p, unsigned i, const char *reason)
{
	if (p->is_rescue || p->power != STATUS_POWER_ON || p->reset_why[0] || is_image_changed(p, i))
		return;
	snprintf(p->reset_why, sizeof(p->reset_why), "critical unit %s is beyond its restarts: %.80s", p->units[i].entry.name, reason);
	p->is_reset_bad = true;
	p->reset_due_ms = p->now_ms + SAY_MS;
	plog("%s; the board reboots", p->reset_why);
}

/* One that stays down although its image was changed, or could not be. */
static void watch_failed(struct pid1 *p)
{
	for (unsigned i = 0; i < p->units_len; i++)
		if (p->units[i].is_used && p->units[i].entry.is_critical && p->units[i].state == UNIT_FAILED)
			resets_escalate(p, i, p->status->unit[i].reason);
}

/* Critical units up, none unhealthy: since when? */
static void watch_health(struct pid1 *p, uint64_t now_ms)
{
	for (unsigned i = 0; i < p->units_len; i++)
		if (p->units[i].is_used && p->units[i].entry.is_critical &&
		    (!unit_is_active(p->units[i].state) || p->status->unit[i].health == HEALTH_BAD))
			p->healthy_ms = now_ms;
	if (!p->healthy_ms)
		p->healthy_ms = now_ms;
}

static bool run(struct pid1 *p, enum resets_job what)
{
	p->resets_job = what;
	return job_run_resets(p);
}

uint64_t resets_scan(struct pid1 *p, uint64_t now_ms)
{
	uint64_t due;

	if (!p->status->is_data_there || job_count(p, JOB_RESETS, -1) || p->power_step > 1)
		return 0;
	if (!p->has_resets) {
		/* The driver knows whether the watchdog bit; it may still be loading. */
		if (p->is_board && p->modules.is_wanted && !p->modules.is_done)
			return 0;
		run(p, RESETS_BOOT);
		return now_ms + 1000;
	}
	watch_failed(p);
	/* The reason goes to disk first; a disk that does not take it does not keep the board from its reboot. */
	if (p->reset_why[0] && !p->is_reset_said && now_ms < p->reset_due_ms)
		return run(p, RESETS_SAY) ? p->reset_due_ms : now_ms + 100;
	if (p->reset_why[0] && p->power == STATUS_POWER_ON) {
		shutdown_begin(p, STATUS_POWER_REBOOT, p->reset_why);
		return now_ms;
	}
	if (!p->resets)
		return 0;
	watch_health(p, now_ms);
	due = p->healthy_ms + CONFIG_HEALTHY_S * 1000ULL;
	if (due > now_ms)
		return due;
	p->healthy_ms = now_ms;
	run(p, RESETS_CLEAR);
	return now_ms + 1000;
}
