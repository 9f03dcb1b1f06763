/* SPDX-License-Identifier: MIT */
/* The folders of units, their order, what they say about each other, and which image each has in use. */
#include "units.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "slots.h"

struct found {
	char path[256];		/* as unit_entry's */
	char name[UNIT_NAME_MAX + 16];	/* of the file */
	bool has_drop_ins;
};

struct search {
	struct unit_table *t;
	struct found found[CONFIG_UNITS_MAX];
	uint32_t count;
	const char *store_dir;
	const struct unit_notices *notices;
};

static bool ends_with(const char *s, const char *tail)
{
	size_t a = strlen(s), b = strlen(tail);

	return a > b && strcmp(s + a - b, tail) == 0;
}

static void complain(struct unit_table *t, const char *text)
{
	if (!t->error[0])
		snprintf(t->error, sizeof(t->error), "%s", text);
}

static void say(const struct unit_notices *n, const char *text)
{
	if (n)
		n->say(n->arg, text);
}

static struct found *find(struct search *s, const char *name)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (strcmp(s->found[i].name, name) == 0)
			return &s->found[i];
	return NULL;
}

static void add_file(struct search *s, const char *dir, const char *name)
{
	struct found *f = find(s, name);
	char text[UNIT_TEXT_MAX];

	if (!f && s->count == CONFIG_UNITS_MAX) {
		snprintf(text, sizeof(text), "%.200s/%.100s: not read: more than %d units (CONFIG_UNITS_MAX)", dir, name,
			CONFIG_UNITS_MAX);
		complain(s->t, text);
		return;
	}
	if (strlen(dir) + strlen(name) + 2 > sizeof(f->path) || strlen(name) >= sizeof(f->name)) {
		snprintf(text, sizeof(text), "%.200s/%.100s: not read: the path is longer than %zu bytes", dir, name,
			sizeof(f->path) - 1);
		complain(s->t, text);
		return;
	}
	if (!f)
		f = &s->found[s->count++];
	snprintf(f->name, sizeof(f->name), "%s", name);
	snprintf(f->path, sizeof(f->path), "%s/%s", dir, name);
}

static void add_entry(struct search *s, const char *dir, const char *name)
{
	static const char *const others[] = { ".volume", ".network", ".pod", ".kube", ".image", ".build", ".service", ".socket",
		".timer" };
	char text[512];

	if (name[0] == '.')
		return;
	if (ends_with(name, ".container")) {
		add_file(s, dir, name);
		return;
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (ends_with(name, others[i])) {
			snprintf(text, sizeof(text), "%s/%s: not read: only .container units exist here", dir, name);
			say(s->notices, text);
		}
}

static void read_folder(struct search *s, const char *dir)
{
	DIR *d = opendir(dir);
	char text[UNIT_TEXT_MAX];
	struct dirent *entry;

	if (!d) {
		snprintf(text, sizeof(text), "%.250s: %s: no units read from there", dir, strerror(errno));
		complain(s->t, text);
		return;
	}
	while ((entry = readdir(d)))
		add_entry(s, dir, entry->d_name);
	closedir(d);
}

/* A drop-in that is passed over could be the one that takes a capability away. */
static void find_drop_ins(struct search *s, const char *const *dirs, size_t count)
{
	for (uint32_t i = 0; i < s->count; i++)
		for (size_t k = 0; k < count; k++) {
			char path[512];
			struct stat st;

			if ((size_t)snprintf(path, sizeof(path), "%s/%s.d", dirs[k], s->found[i].name) < sizeof(path) &&
			    stat(path, &st) == 0)
				s->found[i].has_drop_ins = true;
		}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct found *)a)->name, ((const struct found *)b)->name);
}

static void copy(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text ? text : "");
}

static void fill(struct unit_entry *x, const struct unit_file *u)
{
	copy(x->description, sizeof(x->description), u->description);
	copy(x->image, sizeof(x->image), u->image);
	x->restart = u->restart;
	x->pull = u->pull;
	x->restart_sec_ms = u->restart_sec_ms;
	x->restart_max_sec_ms = u->restart_max_sec_ms;
	x->start_limit_burst = u->start_limit_burst;
	x->start_limit_interval_ms = u->start_limit_interval_ms;
	x->timeout_start_ms = u->timeout_start_ms;
	x->timeout_stop_ms = u->timeout_stop_ms;
	x->stop_signal = u->stop_signal;
	x->is_critical = u->is_critical;
	x->refuses_secrets = u->refuses_secrets;
	x->is_enabled = u->is_enabled;
	x->type = u->type;
	x->remains = u->remains;
	x->notify = u->notify;
	x->watchdog_ms = u->watchdog_ms;
	x->health = u->health;
	x->on_failure = u->on_failure;
	x->on_boot_ms = u->on_boot_ms;
	x->calendar = u->calendar;
	x->log_burst = u->log_burst;
	x->log_interval_ms = u->log_interval_ms;
	x->log_size_max = u->log_size_max;
	x->update = u->update;
	memcpy(x->exit_success, u->exit_success, sizeof(x->exit_success));
	memcpy(x->exit_prevent, u->exit_prevent, sizeof(x->exit_prevent));
	memcpy(x->exit_force, u->exit_force, sizeof(x->exit_force));
}

static uint32_t index_of(const struct unit_table *t, const char *name)
{
	for (uint32_t i = 0; i < t->count; i++)
		if (strcmp(t->unit[i].name, name) == 0)
			return i + 1;
	return 0;
}

static void refuse(struct unit_entry *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void refuse(struct unit_entry *x, const char *fmt, ...)
{
	struct err e = { "" };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e.text, sizeof(e.text), fmt, ap);
	va_end(ap);
	err_prefix(&e, 0, "%s", x->path);
	copy(x->error, sizeof(x->error), e.text);
}

/* One key's names into the list of dependencies; units that are not here are left out, as in systemd. */
static void link_names(struct unit_table *t, struct unit_entry *x, const struct unit_list *names, uint16_t kind)
{
	for (uint32_t i = 0; i < names->count; i++) {
		uint32_t other = index_of(t, names->at[i]);
		int d = 0;

		if (!other || &t->unit[other - 1] == x)
			continue;
		while (d < UNIT_DEPS_MAX && x->dep[d].unit && x->dep[d].unit != other)
			d++;
		if (d == UNIT_DEPS_MAX) {
			refuse(x, "After=, Requires= and Wants= name more than %d units", UNIT_DEPS_MAX);
			return;
		}
		x->dep[d].unit = (uint16_t)other;
		x->dep[d].kinds |= kind;
	}
}

static void link_unit(struct unit_table *t, struct unit_entry *x, const struct unit_file *u)
{
	for (uint32_t i = 0; i < u->requires.count; i++)
		if (!index_of(t, u->requires.at[i]))
			refuse(x, "Requires=%s: there is no such unit here", u->requires.at[i]);
	link_names(t, x, &u->after, UNIT_DEP_AFTER);
	link_names(t, x, &u->requires, UNIT_DEP_REQUIRES);
	link_names(t, x, &u->wants, UNIT_DEP_WANTS);
}

/* Walks After= from unit START; where it comes back, PATH names the units on the way. At most count steps deep, since visited units
 * are marked. */
static bool is_in_circle(const struct unit_table *t, uint32_t start, uint32_t at, uint8_t *seen, char *path, size_t size)
{
	size_t len = strlen(path);

	for (int k = 0; k < UNIT_DEPS_MAX; k++) {
		const struct unit_dep *d = &t->unit[at].dep[k];

		if (!d->unit || !(d->kinds & UNIT_DEP_AFTER) || (d->unit - 1u != start && seen[d->unit - 1]))
			continue;
		snprintf(path + len, size - len, " -> %s", t->unit[d->unit - 1].name);
		if (d->unit - 1u == start)
			return true;
		seen[d->unit - 1] = 1;
		if (is_in_circle(t, start, d->unit - 1u, seen, path, size))
			return true;
	}
	path[len] = '\0';
	return false;
}

static void refuse_circles(struct unit_table *t)
{
	for (uint32_t i = 0; i < t->count; i++) {
		uint8_t seen[CONFIG_UNITS_MAX] = { 0 };
		char path[UNIT_TEXT_MAX] = "";

		if (t->unit[i].error[0] || !is_in_circle(t, i, i, seen, path, sizeof(path)))
			continue;
		refuse(&t->unit[i], "After= leads in a circle: %s%s", t->unit[i].name, path);
		/* The others of the circle can run now. */
		memset(t->unit[i].dep, 0, sizeof(t->unit[i].dep));
	}
}

static void join_slot(struct unit_entry *x, const struct slot *s)
{
	copy(x->current, sizeof(x->current), s->current);
	copy(x->slot.next, sizeof(x->slot.next), s->next);
	copy(x->slot.previous, sizeof(x->slot.previous), s->previous);
	for (int i = 0; i < UNIT_REFUSED_MAX; i++)
		copy(x->slot.refused[i], sizeof(x->slot.refused[i]), s->refused[i]);
	if (s->floor)
		snprintf(x->slot.floor, sizeof(x->slot.floor), "%" PRIu64, s->floor);
	x->slot.tries = s->tries;
}

static void join_slots(struct unit_table *t, struct store *store)
{
	struct slots *slots = malloc(sizeof(*slots));
	struct err e = { "" };

	if (!slots)
		return;
	if (slots_read(store, slots, &e) < 0)
		complain(t, e.text);
	for (uint32_t i = 0; i < t->count; i++) {
		const struct slot *s = slots_find(slots, t->unit[i].name);

		if (s && strcmp(s->ref, t->unit[i].image) == 0)
			join_slot(&t->unit[i], s);
	}
	free(slots);
}

static void read_units(struct search *s, struct unit_file **u)
{
	for (uint32_t i = 0; i < s->count; i++) {
		struct unit_entry *x = &s->t->unit[i];
		struct err e = { "" };
		int r = unit_file_read(&u[i], s->found[i].path, s->store_dir, NULL, NULL, s->notices, &e);

		copy(x->path, sizeof(x->path), s->found[i].path);
		snprintf(x->name, sizeof(x->name), "%.*s", (int)(strlen(s->found[i].name) - strlen(".container")), s->found[i].name);
		if (u[i])
			fill(x, u[i]);
		if (r < 0)
			copy(x->error, sizeof(x->error), e.text[0] ? e.text : "cannot be read");
		else if (s->found[i].has_drop_ins)
			refuse(x, "drop-ins (%s.d) are not supported: edit the file", s->found[i].name);
	}
}

void units_compile(struct unit_table *t, const char *const *dirs, size_t count, struct store *store, const char *store_dir,
	const struct unit_notices *notices)
{
	struct search *s = calloc(1, sizeof(*s));
	struct unit_file **u = calloc(CONFIG_UNITS_MAX, sizeof(*u));

	memset(t, 0, sizeof(*t));
	if (!s || !u) {
		complain(t, "no memory to read the units");
		goto out;
	}
	s->t = t;
	s->store_dir = store_dir;
	s->notices = notices;
	for (size_t i = 0; i < count; i++)
		read_folder(s, dirs[i]);
	find_drop_ins(s, dirs, count);
	qsort(s->found, s->count, sizeof(s->found[0]), by_name);
	t->count = s->count;
	read_units(s, u);
	for (uint32_t i = 0; i < t->count; i++)
		if (u[i] && !t->unit[i].error[0])
			link_unit(t, &t->unit[i], u[i]);
	refuse_circles(t);
	if (store)
		join_slots(t, store);
out:
	for (uint32_t i = 0; u && i < CONFIG_UNITS_MAX; i++)
		unit_file_free(u[i]);
	free(u);
	free(s);
	unit_table_seal(t);
}
