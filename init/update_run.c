/* SPDX-License-Identifier: MIT */
/*
 * What the table of update.c says is done here: jobs started, the unit's `current` in memory changed, the trial watched. Input: results of jobs,
 * checked for shape; the state of the unit. What must be known after a power cut is in state/slots, written by jobs; the copy of it in the unit's entry is
 * changed when they have said so. Never allocates, never waits.
 */
#include "update_run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pid1.h"
#include "plog.h"
#include "sup.h"
#include "text.h"

enum { RETRY_FIRST_MS = UPDATE_RETRY_MS, PLACE_MS = UPDATE_PLACE_MS, WINDOW_LOOK_MS = 20000 };

static void publish(struct pid1 *p, unsigned i)
{
	const struct unit *u = &p->units[i];
	const struct update *x = &u->update;
	struct status_update *s = &p->status->unit[i].update;

	status_begin(p->status);
	s->state = x->state;
	s->since_ms = x->since_ms;
	s->due_ms = x->check_ms;
	s->tries = u->entry.slot.tries;
	s->bytes_done = s->bytes_total = 0;
	text_printable(s->digest, sizeof(s->digest), x->state == UPDATE_IDLE ? "" : x->digest);
	text_printable(s->previous, sizeof(s->previous), u->entry.slot.previous);
	text_printable(s->refused, sizeof(s->refused), u->entry.slot.refused[0]);
	text_printable(s->why, sizeof(s->why), x->why);
	text_printable(p->status->unit[i].digest, sizeof(p->status->unit[i].digest), u->entry.current);
	status_end(p->status);
}

void update_say(struct pid1 *p, unsigned i, const char *why)
{
	text_printable(p->units[i].update.why, sizeof(p->units[i].update.why), why);
	publish(p, i);
}

/* How it ended, for whoever waits for it. */
static void tell(struct pid1 *p, unsigned i, enum status_update_end end)
{
	struct status_update *s = &p->status->unit[i].update;

	status_begin(p->status);
	s->end = end;
	s->ended++;
	status_end(p->status);
	plog("unit %s: update %s%s%s", p->units[i].entry.name, status_update_end_name(end), p->units[i].update.why[0] ? ": " : "",
		p->units[i].update.why);
}

static uint64_t interval_ms(const struct unit *u)
{
	return u->entry.update.interval_ms ? u->entry.update.interval_ms : CONFIG_UPDATE_INTERVAL_S * 1000ULL;
}

/* When to look at the tag again: never in step with other boards. */
static void arm_check(struct pid1 *p, struct unit *u)
{
	uint64_t ms = interval_ms(u);

	if (u->update.fails)
		ms = unit_backoff_ms(RETRY_FIRST_MS * 5, ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms, u->update.fails - 1);
	u->update.check_ms = u->entry.update.is_auto ? p->now_ms + unit_jitter_ms(ms, sup_random(p)) : 0;
}

/* Starts the job of OP; where there is no place for it, or somebody else's pull runs, again soon. */
static void start_job(struct pid1 *p, unsigned i, enum update_action op)
{
	struct update *x = &p->units[i].update;
	enum job_kind kind = op == UPDATE_DO_CHECK ? JOB_CHECK : op == UPDATE_DO_PULL ? JOB_FETCH : JOB_SLOT;
	bool is_free = kind != JOB_FETCH || job_count(p, JOB_PULL, -1) + job_count(p, JOB_FETCH, -1) < CONFIG_PULLS_MAX;

	x->op = (uint8_t)op;
	x->timer_ms = is_free && job_run_update(p, kind, (int)i) ? 0 : p->now_ms + PLACE_MS;
}

/* The next start of the unit is of DIGEST. A unit that is down stays so. */
static void set_current(struct pid1 *p, unsigned i, const char *digest, bool restarts)
{
	struct unit *u = &p->units[i];

	if (u->record_fd >= 0)
		close(u->record_fd);
	u->record_fd = -1;
	memmove(u->entry.current, digest, strlen(digest) + 1);
	if (update_is_release(p, i)) {
		p->is_release_switch = true;
		p->read_units = (struct board_task){ .is_wanted = true };
		return;
	}
	if (restarts && u->state != UNIT_INACTIVE && u->state != UNIT_STOPPING)
		sup_ask(p, i, UNIT_EV_RESTART);
}

/* Back to the image that `current` names on the disk. */
static void undo(struct pid1 *p, unsigned i)
{
	struct update *x = &p->units[i].update;

	if (x->is_switched) {
		x->is_switched = false;
		set_current(p, i, x->old, true);
	}
}

static void begin_trial(struct pid1 *p, unsigned i)
{
	struct unit *u = &p->units[i];
	struct update *x = &u->update;

	x->is_held = x->has_begun = x->is_reached = false;
	for (unsigned k = 0; k < p->units_len; k++)
		if (k == i || update_is_release(p, i))
			p->units[k].update.ends = 0;
	text_copy(x->old, sizeof(x->old), u->entry.current);
	x->is_switched = true;
	plog("unit %s: on trial: %s, attempt %u of %d", u->entry.name, x->digest, u->entry.slot.tries, CONFIG_UPDATE_TRIES);
	set_current(p, i, x->digest, true);
}

/* An order of a release from elsewhere has ended. Where nothing came of it the name of the one in force holds again: it is looked at next. */
static void name_again(struct pid1 *p, unsigned i, bool is_kept)
{
	struct unit *u = &p->units[i];

	if (!update_is_release(p, i))
		return;
	if (!is_kept && p->release_image[0])
		text_copy(u->entry.image, sizeof(u->entry.image), p->release_image);
	p->release_image[0] = '\0';
}

static void fail(struct pid1 *p, unsigned i, bool is_for_good)
{
	struct unit *u = &p->units[i];
	struct update *x = &u->update;

	x->is_held = x->is_forced = false;
	if (x->op == UPDATE_DO_COMMIT)
		x->is_switched = false;	/* it runs, and well: whoever changed state/slots did not mean it */
	undo(p, i);
	if (!is_for_good && x->fails < 32)
		x->fails++;
	else if (is_for_good)
		x->fails = 0;
	arm_check(p, u);
	tell(p, i, STATUS_UPDATE_FAILED);
	if (is_for_good)
		job_run_update(p, JOB_NOTE, (int)i);	/* only for people: not tried again */
	name_again(p, i, false);
}

static void rest(struct pid1 *p, unsigned i, enum status_update_end end)
{
	struct unit *u = &p->units[i];
	struct update *x = &u->update;

	x->is_held = x->is_switched = false;
	x->fails = 0;
	/* Asked again while an image waits, and nothing newer is there: that one is taken now. */
	if (end == STATUS_UPDATE_NONE && u->entry.slot.next[0] && (u->state != UNIT_INACTIVE || update_is_release(p, i)))
		return;
	x->is_forced = false;
	name_again(p, i, end == STATUS_UPDATE_COMMITTED);
	/* One that was only interrupted is taken up again at the next look. */
	if (end != STATUS_UPDATE_ROLLED_BACK || x->op != UPDATE_DO_GIVE_UP || !x->was_stopped)
		memcpy(x->seen, x->tag, sizeof(x->seen));
	if (end != STATUS_UPDATE_NONE)
		x->source[0] = '\0';
	arm_check(p, u);
	tell(p, i, end);
}

static void roll_back(struct pid1 *p, unsigned i, enum update_action op)
{
	struct update *x = &p->units[i].update;

	if (x->is_switched || op == UPDATE_DO_CONDEMN)
		x->is_held = true;	/* until the disk knows, so that the failed one cannot come back with the power */
	if (op == UPDATE_DO_REVERT)
		memcpy(x->digest, p->units[i].entry.current, sizeof(x->digest));
	else if (op == UPDATE_DO_GIVE_UP)
		memcpy(x->digest, p->units[i].entry.slot.next, sizeof(x->digest));
	undo(p, i);
	start_job(p, i, op);
}

/* Rolled back, and written. */
static void settle_back(struct pid1 *p, unsigned i)
{
	struct unit *u = &p->units[i];

	if (u->update.op == UPDATE_DO_REVERT)
		set_current(p, i, u->entry.current, true);
	rest(p, i, STATUS_UPDATE_ROLLED_BACK);
	p->wants_gc = true;
}

static void later(struct pid1 *p, unsigned i)
{
	struct update *x = &p->units[i].update;

	x->is_held = false;
	if (x->fails < 32)
		x->fails++;
	x->timer_ms = p->now_ms + unit_jitter_ms(unit_backoff_ms(RETRY_FIRST_MS, CONFIG_RETRY_MAX_S * 1000U, x->fails), sup_random(p));
}

static void cancel(struct pid1 *p, unsigned i)
{
	struct update *x = &p->units[i].update;

	for (unsigned k = 0; k < JOBS_MAX; k++)
		if (p->jobs[k].unit == (int)i && (p->jobs[k].kind == JOB_CHECK || p->jobs[k].kind == JOB_FETCH))
			job_kill(&p->jobs[k], "cancelled");
	x->timer_ms = 0;
	update_say(p, i, "cancelled");
	fail(p, i, false);
}

static void act(struct pid1 *p, unsigned i, enum update_action action, enum update_event why)
{
	struct update *x = &p->units[i].update;

	switch (action) {
	case UPDATE_DO_CHECK:
		x->begin_ms = p->now_ms;
		update_say(p, i, "");
		/* A file is not asked what it names: it is read. */
		if (x->source[0]) {
			x->tag[0] = '\0';
			update_event(p, i, UPDATE_EV_NEWER);
			break;
		}
		start_job(p, i, action);
		break;
	case UPDATE_DO_COUNT:
		x->was_stopped = false;
		x->is_held = true;
		start_job(p, i, action);
		break;
	case UPDATE_DO_PULL:
	case UPDATE_DO_STAGE:
	case UPDATE_DO_COMMIT:
		start_job(p, i, action);
		break;
	case UPDATE_DO_AGAIN:
		start_job(p, i, (enum update_action)x->op);
		break;
	case UPDATE_DO_CONDEMN:
	case UPDATE_DO_GIVE_UP:
	case UPDATE_DO_REVERT:
	case UPDATE_DO_REFUSE:
		roll_back(p, i, action);
		break;
	case UPDATE_DO_TRY:
		begin_trial(p, i);
		break;
	case UPDATE_DO_WAIT:
		x->timer_ms = 0;
		break;
	case UPDATE_DO_RETURN:
		settle_back(p, i);
		break;
	case UPDATE_DO_SETTLE:
		rest(p, i, STATUS_UPDATE_COMMITTED);
		p->wants_gc = true;
		break;
	case UPDATE_DO_CANCEL:
		cancel(p, i);
		break;
	case UPDATE_DO_REST:
		rest(p, i, STATUS_UPDATE_NONE);
		break;
	case UPDATE_DO_FAIL:
		fail(p, i, why == UPDATE_EV_REFUSED);
		break;
	case UPDATE_DO_LATER:
		later(p, i);
		break;
	case UPDATE_DO_NOTHING:
	case UPDATE_ACTIONS:
		break;
	}
}

void update_event(struct pid1 *p, unsigned i, enum update_event e)
{
	struct unit *u = &p->units[i];
	struct update *x = &u->update;
	struct update_step step = update_step(x->state, e);
	bool is_new = step.next != x->state;

	if (is_new) {
		x->state = step.next;
		x->since_ms = p->now_ms;
		if (x->state != UPDATE_IDLE)
			plog("unit %s: update %s%s%s", u->entry.name, update_state_name(x->state), x->digest[0] ? " " : "", x->digest);
	}
	publish(p, i);
	if (is_new)
		events_say(p, EVENT_UPDATE, (int)i, x->state, x->state == UPDATE_IDLE ? x->why : x->digest);
	act(p, i, step.action, e);
	publish(p, i);
}

/* What a job of OP that is done changed on the disk, in the copy of it. FLOOR: 0 where nothing was said. */
static void mirror(struct unit *u, enum update_action op, uint64_t floor)
{
	struct unit_slot *s = &u->entry.slot;
	struct update *x = &u->update;

	if (op == UPDATE_DO_STAGE) {
		memcpy(s->next, x->digest, sizeof(s->next));
		s->tries = 0;
		return;
	}
	if (op == UPDATE_DO_COUNT) {
		s->tries++;
		return;
	}
	if (op == UPDATE_DO_COMMIT)
		memcpy(s->previous, x->old, sizeof(s->previous));
	if (op == UPDATE_DO_COMMIT && floor)
		snprintf(s->floor, sizeof(s->floor), "%llu", (unsigned long long)floor);
	if (op == UPDATE_DO_REVERT) {
		memcpy(u->entry.current, s->previous, sizeof(u->entry.current));
		s->previous[0] = '\0';
	} else {
		s->next[0] = '\0';
		s->tries = 0;
	}
	if (op != UPDATE_DO_COMMIT && op != UPDATE_DO_GIVE_UP && !update_is_refused(s, x->digest)) {
		memmove(s->refused[1], s->refused[0], sizeof(s->refused[0]) * (UNIT_REFUSED_MAX - 1));
		memcpy(s->refused[0], x->digest, sizeof(s->refused[0]));
	}
}

/* The tag's document is R's: is there anything to do about it? */
static enum update_event judge_check(struct pid1 *p, unsigned i, const struct job_result *r)
{
	struct unit *u = &p->units[i];
	struct update *x = &u->update;
	bool is_staged = u->entry.slot.next[0];
	bool is_same = x->tag[0] && !strcmp(r->digest, x->tag);

	text_printable(x->tag, sizeof(x->tag), r->digest);
	if ((is_staged && is_same) || (!is_staged && !x->is_forced && !strcmp(x->tag, x->seen))) {
		update_say(p, i, is_staged ? "" : "the tag names nothing new");
		return UPDATE_EV_SAME;
	}
	return UPDATE_EV_NEWER;
}

static enum update_event judge_pull(struct pid1 *p, unsigned i, const struct job_result *r)
{
	struct unit *u = &p->units[i];
	struct update *x = &u->update;

	text_printable(x->digest, sizeof(x->digest), r->digest);
	if (!strcmp(x->digest, u->entry.current)) {
		update_say(p, i, "it is in use");
		return u->entry.slot.next[0] ? UPDATE_EV_WENT_BACK : UPDATE_EV_SAME;
	}
	if (update_is_refused(&u->entry.slot, x->digest)) {
		update_say(p, i, "what it names failed here before");
		return u->entry.slot.next[0] ? UPDATE_EV_WENT_BACK : UPDATE_EV_SAME;
	}
	return UPDATE_EV_DONE;
}

void update_job_ended(struct pid1 *p, const struct job *j, unsigned code, const char *text)
{
	unsigned i = (unsigned)j->unit;
	struct update *x;
	enum job_kind wanted;

	if (j->kind == JOB_GC) {
		if (code != JOB_DONE)
			plog("garbage: %s", text);
		return;
	}
	x = &p->units[i].update;
	wanted = x->state == UPDATE_CHECKING ? JOB_CHECK : x->state == UPDATE_DOWNLOADING ? JOB_FETCH : JOB_SLOT;
	if (x->state == UPDATE_CONFIRMING && j->kind == JOB_CHECK) {
		x->is_reached = code == JOB_DONE;
		x->timer_ms = p->now_ms + RETRY_FIRST_MS;
		update_say(p, i, x->is_reached ? "" : text);
		return;
	}
	/* One that was cancelled, or only a note. */
	if (j->kind != wanted || x->state == UPDATE_IDLE || x->timer_ms)
		return;
	if (code == JOB_DONE && (j->kind == JOB_CHECK || j->kind == JOB_FETCH) && strlen(j->result.digest) != 71) {
		update_say(p, i, "no digest was named");
		update_event(p, i, UPDATE_EV_RETRY);
	} else if (code == JOB_DONE && j->kind == JOB_CHECK) {
		update_event(p, i, judge_check(p, i, &j->result));
	} else if (code == JOB_DONE && j->kind == JOB_FETCH) {
		update_event(p, i, judge_pull(p, i, &j->result));
	} else if (code == JOB_DONE) {
		mirror(&p->units[i], (enum update_action)x->op, j->result.bytes_total);
		update_event(p, i, UPDATE_EV_DONE);
	} else if (code == JOB_LATER) {
		x->tag[0] = '\0';	/* the same tag may be signed for more boards at the next look */
		update_say(p, i, text);
		update_event(p, i, UPDATE_EV_SAME);
	} else {
		if (x->state != UPDATE_ROLLED_BACK && x->state != UPDATE_COMMITTED)
			update_say(p, i, text);
		else
			plog("unit %s: %s", p->units[i].entry.name, text);
		update_event(p, i, code == JOB_REFUSED ? UPDATE_EV_REFUSED : UPDATE_EV_RETRY);
	}
}

void update_progress(struct pid1 *p, unsigned i, const struct job_result *r)
{
	struct status_update *s = &p->status->unit[i].update;

	status_begin(p->status);
	s->bytes_done = r->bytes_done;
	s->bytes_total = r->bytes_total;
	status_end(p->status);
}

static bool is_in_window(const struct unit *u)
{
	struct timespec now;

	if (u->update.is_forced || !u->entry.update.is_auto)
		return true;
	clock_gettime(CLOCK_REALTIME, &now);
	return update_is_in_window(u->entry.update.window_from, u->entry.update.window_to, (unsigned)(now.tv_sec / 60 % (24 * 60)));
}

/* Is the unit in a state from which a restart leads to the new image, with nothing of the old one half done? */
static bool can_switch(const struct unit *u)
{
	return u->state == UNIT_WAITING || u->state == UNIT_ACTIVATING || u->state == UNIT_RUNNING || u->state == UNIT_BACKOFF ||
		u->state == UNIT_EXITED || u->state == UNIT_REFUSED || u->state == UNIT_FAILED;
}

static uint64_t look(struct pid1 *p, unsigned i, uint64_t now_ms)
{
	struct unit *u = &p->units[i];
	struct update *x = &u->update;

	if (x->state == UPDATE_CONFIRMING)
		return update_watch(p, i, now_ms);
	if (x->timer_ms && x->timer_ms > now_ms)
		return x->timer_ms;
	if (x->timer_ms && update_takes(x->state, UPDATE_EV_TIMER)) {
		x->timer_ms = 0;
		update_event(p, i, UPDATE_EV_TIMER);
		return x->timer_ms;
	}
	if (x->state == UPDATE_IDLE && (u->state != UNIT_INACTIVE || update_is_release(p, i)) && u->entry.slot.next[0]) {
		memcpy(x->digest, u->entry.slot.next, sizeof(x->digest));
		x->begin_ms = now_ms;
		if (update_found(&u->entry.slot) == UPDATE_EV_FOUND_SPENT)
			update_say(p, i, "all attempts at it were interrupted");
		update_event(p, i, update_found(&u->entry.slot));
		return now_ms;
	}
	if (x->state == UPDATE_STAGED && (can_switch(u) || update_is_release(p, i))) {
		if (!is_in_window(u))
			return now_ms + WINDOW_LOOK_MS;
		x->timer_ms = 0;
		update_event(p, i, UPDATE_EV_GO);
		return now_ms;
	}
	if (!x->check_ms || (x->state != UPDATE_IDLE && x->state != UPDATE_STAGED) || (!u->entry.current[0] && !update_is_release(p, i)))
		return 0;
	if (x->check_ms > now_ms)
		return x->check_ms;
	if (!is_in_window(u))
		return now_ms + WINDOW_LOOK_MS;
	arm_check(p, u);
	update_event(p, i, UPDATE_EV_ASKED);
	return now_ms;
}

static bool is_one_being_staged(const struct pid1 *p)
{
	for (unsigned i = 0; i < p->units_len; i++)
		if (p->units[i].is_used && p->units[i].update.state == UPDATE_VERIFIED)
			return true;
	return false;
}

uint64_t update_scan(struct pid1 *p, uint64_t now_ms)
{
	uint64_t next = 0;

	if (p->power != STATUS_POWER_ON || !p->status->is_data_there || !p->is_table_with_store)
		return 0;
	for (unsigned i = 0; i < p->units_len; i++) {
		uint64_t due;

		if (!p->units[i].is_used || p->units[i].is_gone || p->units[i].entry.error[0])
			continue;
		due = look(p, i, now_ms);
		if (p->units[i].update.check_ms != p->status->unit[i].update.due_ms)
			publish(p, i);
		if (due && (!next || due < next))
			next = due;
	}
	/* With no pull about, whose layers no image names yet, and no image that no slot names yet. */
	if (p->wants_gc && !is_one_being_staged(p) && !job_count(p, JOB_PULL, -1) && !job_count(p, JOB_FETCH, -1) && !job_count(p, JOB_GC, -1) &&
	    !job_count(p, JOB_PREPARE, -1) && job_run_update(p, JOB_GC, -1))
		p->wants_gc = false;
	return next;
}
