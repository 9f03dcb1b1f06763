/* SPDX-License-Identifier: MIT */
/*
 * What comes to the updates from elsewhere in PID 1: wishes of the console, a new unit table, what units do and may. Each is a note or one event for
 * update_run.c. Never allocates, never waits.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "pid1.h"
#include "sup.h"
#include "text.h"
#include "update_run.h"

bool update_is_release(const struct pid1 *p, unsigned i)
{
	return i + 1 == p->release;
}

void update_adopt(struct pid1 *p, unsigned i, struct unit_entry *e, bool is_with_store)
{
	struct unit *u = &p->units[i];
	struct update *x = &u->update;

	/* Asked for by hand, it may be another than the file's. */
	if (update_is_release(p, i) && x->state != UPDATE_IDLE)
		memcpy(e->image, u->entry.image, sizeof(e->image));
	if (strcmp(u->entry.image, e->image) != 0) {
		/* Pointed at another image: what was under way is of no use any more. */
		memset(x, 0, sizeof(*x));
	} else if (x->is_loaded) {
		memcpy(e->current, u->entry.current, sizeof(e->current));
		e->slot = u->entry.slot;
	}
	if (!x->is_loaded && is_with_store) {
		x->is_loaded = true;
		/* After a power cut in the street not all boards ask at once. */
		x->check_ms = e->update.is_auto ? p->now_ms + 1 + sup_random(p) % (e->update.interval_ms ? e->update.interval_ms :
			CONFIG_UPDATE_INTERVAL_S * 1000U) : 0;
	}
	if (!e->update.is_auto)
		x->check_ms = 0;
	else if (!x->check_ms && x->is_loaded)
		x->check_ms = p->now_ms + 1;
}

const char *update_obstacle(const struct pid1 *p, unsigned i)
{
	const struct unit *u = &p->units[i];
	bool is_held = u->update.is_held || (p->release && u->entry.origin == UNIT_ORIGIN_RELEASE &&
		(p->is_release_switch || p->units[p->release - 1].update.is_held));

	return is_held ? "waits for a step of its update to be on the disk" : NULL;
}

void update_ended(struct pid1 *p, unsigned i)
{
	p->units[i].update.ends++;
}

void update_stopped(struct pid1 *p, unsigned i)
{
	p->units[i].update.was_stopped = true;
}

static int refuse(char *text, size_t size, int code, const char *fmt, const char *name, const char *what)
{
	snprintf(text, size, fmt, name, what);
	return code;
}

int update_ask(struct pid1 *p, unsigned i, const char *source, char *text, size_t size)
{
	struct unit *u = &p->units[i];
	struct update *x = &u->update;
	bool is_elsewhere = update_is_release(p, i) && !strncmp(source, "docker://", 9);
	const char *image = is_elsewhere ? source + 9 : u->entry.image;

	if (is_elsewhere)
		source = "";
	if (!p->is_table_with_store || u->entry.error[0])
		return refuse(text, size, -EAGAIN, "%s: %s", u->entry.name, u->entry.error[0] ? u->entry.error : "no data partition yet");
	if (update_is_release(p, i) ? !image[0] : !u->entry.current[0])
		return refuse(text, size, -EINVAL, "%s: has no image yet: its start pulls it%s", u->entry.name, "");
	if (!source[0] && strchr(image, '@'))
		return refuse(text, size, -EINVAL, "%s: %s names a digest, which never moves: name a tag", u->entry.name, image);
	if (!update_takes(x->state, UPDATE_EV_ASKED) || job_count(p, JOB_CHECK, (int)i) || job_count(p, JOB_FETCH, (int)i))
		return refuse(text, size, -EBUSY, "%s: an update is under way: %s", u->entry.name,
			update_state_name(x->state));
	if (is_elsewhere) {
		text_copy(p->release_image, sizeof(p->release_image), u->entry.image);
		text_copy(u->entry.image, sizeof(u->entry.image), image);
	}
	text_copy(x->source, sizeof(x->source), source);
	x->is_forced = true;
	x->digest[0] = '\0';
	update_event(p, i, UPDATE_EV_ASKED);
	snprintf(text, size, "%s: %s", u->entry.name, update_state_name(x->state));
	return 0;
}

int update_back(struct pid1 *p, unsigned i, char *text, size_t size)
{
	struct unit *u = &p->units[i];
	struct update *x = &u->update;

	if (!update_takes(x->state, UPDATE_EV_BACK))
		return refuse(text, size, -EBUSY, "%s: %s: try again in a moment", u->entry.name, update_state_name(x->state));
	if (x->state == UPDATE_IDLE && !u->entry.slot.previous[0])
		return refuse(text, size, -ENOENT, "%s: no image from before%s", u->entry.name, "");
	if (x->state == UPDATE_IDLE)
		x->begin_ms = p->now_ms;
	update_say(p, i, "asked for by hand");
	update_event(p, i, UPDATE_EV_BACK);
	snprintf(text, size, "%s: %s", u->entry.name, update_state_name(x->state));
	return 0;
}
