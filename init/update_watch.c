/* SPDX-License-Identifier: MIT */
/*
 * A trial, watched: is the new image, or the new release with all its units, good, bad, or not yet either? Reads what PID 1 knows of the units, and tells
 * the table of update.c. Never allocates, never waits.
 */
#include <stdio.h>
#include <string.h>

#include "health.h"
#include "pid1.h"
#include "text.h"
#include "update_run.h"

/* Of a release on trial the unit K is to blame. */
static void bad(struct pid1 *p, unsigned i, unsigned k, const char *why)
{
	const struct update *x = &p->units[i].update;
	bool is_cut_off = i == k && x->timer_ms;	/* all is well but for that */
	const char *reason = is_cut_off && !x->why[0] ? "its registry does not answer" : is_cut_off ? x->why : p->status->unit[k].reason;
	char text[160];

	snprintf(text, sizeof(text), "%s%s%s%s%s%.100s", i == k ? "" : "unit ", i == k ? "" : p->units[k].entry.name, i == k ? "" : ": ", why,
		reason[0] ? ": " : "", reason);
	update_say(p, i, text);
	update_event(p, i, UPDATE_EV_BAD);
}

static bool is_good(const struct pid1 *p, unsigned i, uint64_t now_ms, uint64_t *next)
{
	const struct unit *u = &p->units[i];
	const struct status_unit *s = &p->status->unit[i];
	uint32_t ms = s->health != HEALTH_NONE ? u->entry.update.confirm_ms : update_confirm_ms(&u->entry);

	if (u->state == UNIT_EXITED || (u->state == UNIT_INACTIVE && u->has_done && u->update.has_begun))
		return true;
	if (u->state != UNIT_RUNNING || (s->health != HEALTH_NONE && s->health != HEALTH_GOOD))
		return false;
	if (now_ms >= u->started_ms + ms)
		return true;
	*next = u->started_ms + ms;
	return false;
}

/* What speaks against unit I, or NULL. */
static const char *find_fault(const struct pid1 *p, unsigned i)
{
	const struct unit *u = &p->units[i];

	if (u->update.ends >= CONFIG_UPDATE_CRASHES)
		return "its program ended too often";
	if (u->state == UNIT_FAILED)
		return "failed";
	if (u->state == UNIT_REFUSED && (!u->entry.error[0] || u->entry.origin == UNIT_ORIGIN_RELEASE))
		return "refused";
	return p->status->unit[i].health == HEALTH_BAD ? "unhealthy" : NULL;
}

/* What is on trial is well: does the way to its registry still stand, and would that let it in? Asked until LATE; *NEXT: when to look again. */
static bool has_registry(struct pid1 *p, unsigned i, uint64_t now_ms, uint64_t late, uint64_t *next)
{
	struct update *x = &p->units[i].update;

	if (x->is_reached || p->units[i].entry.skips_registry || x->source[0]) {
		x->timer_ms = 0;
		return true;
	}
	if (x->timer_ms <= now_ms && !job_count(p, JOB_CHECK, (int)i))
		x->timer_ms = job_run_update(p, JOB_CHECK, (int)i) ? late : now_ms + UPDATE_PLACE_MS;
	*next = x->timer_ms;
	return false;
}

/* A release on trial: all its units, and the way to its registry. Returns when to look again. */
static uint64_t watch_release(struct pid1 *p, unsigned i, uint64_t now_ms)
{
	struct unit *r = &p->units[i];
	struct update *x = &r->update;
	uint64_t next = x->since_ms + r->entry.update.confirm_ms, late = x->since_ms + update_window_ms(&r->entry);
	unsigned waits = next > now_ms ? i + 1 : 0;

	if (p->is_release_switch && p->read_units.fails >= CONFIG_UPDATE_CRASHES) {
		update_say(p, i, p->status->units_error);	/* damaged since it was staged: no word about the release itself */
		update_event(p, i, UPDATE_EV_STOPPED);
		return now_ms;
	}
	if (p->is_release_switch) {
		x->since_ms = now_ms;	/* its time begins with its table */
		return 0;
	}
	for (unsigned k = 0; k < p->units_len; k++) {
		struct unit *u = &p->units[k];
		const char *fault = u->is_used && !u->is_gone && u->entry.origin == UNIT_ORIGIN_RELEASE ? find_fault(p, k) : NULL;

		if (fault) {
			bad(p, i, k, fault);
			return now_ms;
		}
		if (u->is_used && !u->is_gone && u->entry.origin == UNIT_ORIGIN_RELEASE)
			late += u->entry.switch_ms;
		/* Down is what somebody wished, or what its calendar says. */
		if (u->is_used && !u->is_gone && u->entry.origin == UNIT_ORIGIN_RELEASE && u->state != UNIT_INACTIVE && !is_good(p, k, now_ms, &next))
			waits = k + 1;
	}
	if (now_ms >= late) {
		bad(p, i, waits ? waits - 1 : i, "not confirmed in time");
		return now_ms;
	}
	if (!waits && has_registry(p, i, now_ms, late, &next)) {
		update_say(p, i, "all its units are well");
		update_event(p, i, UPDATE_EV_GOOD);
		return now_ms;
	}
	return next > now_ms && next < late ? next : late;
}

static uint64_t watch(struct pid1 *p, unsigned i, uint64_t now_ms)
{
	struct unit *u = &p->units[i];
	struct update *x = &u->update;
	const char *fault = find_fault(p, i);
	uint64_t next = 0, late;

	if (!x->has_begun && (u->state == UNIT_WAITING || u->state == UNIT_RESTARTING))
		x->since_ms = now_ms;	/* its time begins with it */
	x->has_begun |= u->state == UNIT_STARTING || u->state == UNIT_ACTIVATING || u->state == UNIT_RUNNING || x->ends;
	late = x->since_ms + update_window_ms(&u->entry) + u->entry.switch_ms;
	if (x->was_stopped) {
		update_say(p, i, "stopped by hand");
		update_event(p, i, UPDATE_EV_STOPPED);
	} else if (is_good(p, i, now_ms, &next) && has_registry(p, i, now_ms, late, &next)) {
		update_say(p, i, p->status->unit[i].health == HEALTH_GOOD ? "healthy" : u->state == UNIT_RUNNING ?
			u->entry.notify ? "ready" : "up for long enough" : "ended well");
		update_event(p, i, UPDATE_EV_GOOD);
	} else if (fault) {
		bad(p, i, i, fault);
	} else if ((now_ms >= late || (u->entry.switch_ms && u->job_fails >= CONFIG_UPDATE_CRASHES)) && u->job_fails && !x->has_begun) {
		update_say(p, i, "could not be started");	/* not its fault */
		update_event(p, i, UPDATE_EV_STOPPED);
	} else if (now_ms >= late) {
		bad(p, i, i, "not confirmed in time");
	} else {
		return !next || late < next ? late : next;
	}
	return now_ms;
}

uint64_t update_watch(struct pid1 *p, unsigned i, uint64_t now_ms)
{
	return update_is_release(p, i) ? watch_release(p, i, now_ms) : watch(p, i, now_ms);
}
