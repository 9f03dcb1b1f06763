/* SPDX-License-Identifier: MIT */
/*
 * Taking a unit table in. The table was checked for shape (unit_table_check);
 * units are matched by name, so that one that runs goes on running while its
 * entry changes below it. Storage is static: a unit keeps its place until it
 * is gone and inactive. Never allocates.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "helper.h"
#include "notify.h"
#include "pid1.h"
#include "plog.h"
#include "sup.h"
#include "text.h"
#include "update_run.h"

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void drop_log(struct unit *u)
{
	for (int k = 0; k < 2; k++) {
		close_fd(&u->out_fd[k]);
		close_fd(&u->err_fd[k]);
	}
	close_fd(&u->ring_fd);
	close_fd(&u->ring_read_fd);
}

static void drop(struct pid1 *p, unsigned i)
{
	struct unit *u = &p->units[i];

	drop_log(u);
	close_fd(&u->record_fd);
	notify_close(p, i);
	u->is_used = false;
	if (update_is_release(p, i))
		p->release = 0;
	status_begin(p->status);
	memset(&p->status->unit[i], 0, sizeof(p->status->unit[i]));
	status_end(p->status);
}

bool sup_make_log(struct unit *u)
{
	char name[UNIT_NAME_MAX + 8];

	if (u->ring_fd >= 0)
		return false;
	snprintf(name, sizeof(name), "log-%s", u->entry.name);
	if (pipe2(u->out_fd, O_CLOEXEC) == 0 && pipe2(u->err_fd, O_CLOEXEC) == 0 &&
	    ring_make(name, CONFIG_LOG_RING_KIB, &u->ring_fd, &u->ring_read_fd) == 0) {
		fcntl(u->out_fd[0], F_SETFL, O_NONBLOCK);
		fcntl(u->err_fd[0], F_SETFL, O_NONBLOCK);
		return true;
	}
	drop_log(u);	/* without a ring nobody would read the pipes */
	plog("unit %s: its output cannot be kept: no pipes or no memory", u->entry.name);
	return false;
}

static int place(struct pid1 *p, const struct unit_entry *e)
{
	int i = sup_find(p, e->name);
	struct unit *u;

	if (i >= 0)
		return i;
	for (i = 0; i < CONFIG_UNITS_MAX && p->units[i].is_used; i++)
		;
	if (i == CONFIG_UNITS_MAX)
		return -1;
	u = &p->units[i];
	memset(u, 0, sizeof(*u));
	u->record_fd = u->report_fd = u->pidfd = u->ring_fd = u->ring_read_fd = u->notify_fd = u->health.out_fd = -1;
	u->out_fd[0] = u->out_fd[1] = u->err_fd[0] = u->err_fd[1] = -1;
	u->entry = *e;
	u->entry.current[0] = '\0';
	if (!strcmp(e->name, UNIT_RELEASE_NAME)) {
		p->release = (unsigned)i + 1;
	} else {
		sup_make_log(u);
		u->is_dirty = true;	/* a group left by whoever ran before */
	}
	u->is_used = true;
	if ((unsigned)i >= p->units_len)
		p->units_len = (unsigned)i + 1;
	return i;
}

static void take_entry(struct pid1 *p, unsigned i, const struct unit_entry *given)
{
	struct unit *u = &p->units[i];
	struct status_unit *s = &p->status->unit[i];
	bool is_same_image = !strcmp(u->entry.image, given->image);
	struct unit_entry copy = *given, *e = &copy;

	update_adopt(p, i, e, p->is_table_with_store);
	/* What this boot pulled counts until the slots know of it. */
	if (!e->current[0] && is_same_image)
		memcpy(e->current, u->entry.current, sizeof(e->current));
	if (memcmp(&u->entry.path, &e->path, sizeof(*e) - offsetof(struct unit_entry, path)) != 0)
		close_fd(&u->record_fd);
	u->entry = *e;

	status_begin(p->status);
	text_printable(s->name, sizeof(s->name), e->name);
	text_printable(s->image, sizeof(s->image), e->image);
	text_printable(s->digest, sizeof(s->digest), e->current);
	s->is_enabled = e->is_enabled;
	s->is_critical = e->is_critical;
	if (!s->since_ms)
		s->since_ms = p->now_ms;
	if (p->cgroup_dir[0])
		snprintf(s->cgroup, sizeof(s->cgroup), "%.40s/%s", p->cgroup_dir, e->name);
	status_end(p->status);
	if (!update_is_release(p, i))
		notify_open(p, i);
}

int sup_add_release(struct pid1 *p)
{
	static struct unit_entry e = { .name = UNIT_RELEASE_NAME };
	int i = place(p, &e);

	if (i >= 0) {
		p->units[i].update.is_loaded = true;
		take_entry(p, (unsigned)i, &e);
		p->status->count = p->units_len;
	}
	return i;
}

static void no_after(struct unit *u)
{
	for (int d = 0; d < UNIT_DEPS_MAX; d++)
		u->entry.dep[d].kinds &= (uint16_t)~UNIT_DEP_AFTER;
}

/* Marks what can be put in an order by After=; what is left over waits in a circle, for itself in the end. coracle-bundle has refused
 * those by name: this is for a table that says otherwise. */
static void break_circles(struct pid1 *p)
{
	bool is_ordered[CONFIG_UNITS_MAX] = { false };
	bool has_moved = true;

	while (has_moved) {
		has_moved = false;
		for (unsigned i = 0; i < p->units_len; i++) {
			bool is_free = !is_ordered[i];

			for (unsigned k = 0; k < p->units_len && is_free; k++)
				is_free = is_ordered[k] || !p->units[k].is_used || !sup_depends(p, i, k, UNIT_DEP_AFTER);
			is_ordered[i] |= is_free;
			has_moved |= is_free;
		}
	}
	for (unsigned i = 0; i < p->units_len; i++) {
		if (!p->units[i].is_used || is_ordered[i])
			continue;
		plog("unit %s: After= leads in a circle and is ignored", p->units[i].entry.name);
		no_after(&p->units[i]);
	}
}

void sup_adopt(struct pid1 *p, const struct unit_table *t)
{
	int where[CONFIG_UNITS_MAX];
	bool is_listed[CONFIG_UNITS_MAX] = { false };
	bool is_new[CONFIG_UNITS_MAX] = { false }, is_changed[CONFIG_UNITS_MAX] = { false };
	bool has_new = false;

	for (uint32_t k = 0; k < t->count; k++) {
		bool was_there = sup_find(p, t->unit[k].name) >= 0;

		where[k] = place(p, &t->unit[k]);
		if (where[k] < 0) {
			plog("unit %s: no place for it, at most %d units", t->unit[k].name, CONFIG_UNITS_MAX);
			continue;
		}
		is_listed[where[k]] = true;
		/* One that was on its way out, and comes back, starts like a new one. */
		is_new[where[k]] = !was_there || p->units[where[k]].is_gone;
		is_changed[where[k]] = p->is_release_switch && p->units[where[k]].entry.file_crc != t->unit[k].file_crc;
		has_new |= !was_there;
	}
	for (uint32_t k = 0; k < t->count; k++) {
		unsigned i = (unsigned)where[k];
		struct unit *u = &p->units[i];
		bool was_bad;

		if (where[k] < 0)
			continue;
		was_bad = u->entry.error[0] && !t->unit[k].error[0];
		take_entry(p, i, &t->unit[k]);
		for (int d = 0; d < UNIT_DEPS_MAX; d++) {
			unsigned a = t->unit[k].dep[d].unit;

			u->entry.dep[d].unit = a && where[a - 1] >= 0 ? (uint16_t)(where[a - 1] + 1) : 0;
		}
		u->is_gone = false;
		if (was_bad && u->state == UNIT_REFUSED)
			sup_event(p, i, UNIT_EV_START);
	}
	for (unsigned i = 0; i < p->units_len; i++) {
		struct unit *u = &p->units[i];

		if (u->is_used && !is_listed[i] && !(update_is_release(p, i) && u->update.state != UPDATE_IDLE)) {
			u->is_gone = true;
			sup_event(p, i, UNIT_EV_STOP);
		}
	}
	break_circles(p);
	status_begin(p->status);
	p->status->count = p->units_len;
	text_printable(p->status->units_error, sizeof(p->status->units_error), t->error);
	status_end(p->status);
	if (has_new)
		helper_renew_logger(p);
	p->is_release_switch = false;
	for (unsigned i = 0; i < p->units_len; i++)
		if (is_changed[i] && p->units[i].state != UNIT_INACTIVE && p->units[i].state != UNIT_STOPPING)
			sup_ask(p, i, UNIT_EV_RESTART);
		else if (is_new[i] && p->units[i].entry.is_enabled && !p->units[i].entry.on_boot_ms && !p->units[i].entry.calendar.months &&
			p->power == STATUS_POWER_ON)
			sup_ask(p, i, UNIT_EV_START);
}

void sup_drop_gone(struct pid1 *p)
{
	for (unsigned i = 0; i < p->units_len; i++) {
		struct unit *u = &p->units[i];

		if (!u->is_used || !u->is_gone || u->state != UNIT_INACTIVE || u->is_dirty)
			continue;
		plog("unit %s: gone", u->entry.name);
		events_say(p, EVENT_GONE, (int)i, 0, "");
		drop(p, i);
	}
}
