/* SPDX-License-Identifier: MIT */
/* The folders of units, their order, what they say about each other, and which image each has in use. */
#include "units.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "net_files.h"
#include "record.h"
#include "release.h"
#include "slots.h"
#include "store_dir.h"

struct found {
	char path[256];		/* as unit_entry's */
	char name[UNIT_NAME_MAX + 16];	/* of the file */
	bool has_drop_ins, is_of_release;
};

struct search {
	struct unit_table *t;
	struct found found[CONFIG_UNITS_MAX];
	uint32_t count;
	const char *store_dir;
	const struct unit_notices *notices;
	struct slots slots;
	struct release_pins pins;
	bool is_in_release;		/* the folder being read is the release's */
	char release_file[256];		/* NAME.release, "": none */
	struct net_files nets;
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
	f->is_of_release = s->is_in_release;
}

static void add_network(struct search *s, const char *dir, const char *name)
{
	char path[512];
	int r;

	snprintf(path, sizeof(path), "%.250s/%.250s", dir, name);
	r = net_files_read(&s->nets, path, s->store_dir, s->notices);
	if (r < 0) {
		snprintf(path, sizeof(path), "%.180s/%.100s: not read: %s", dir, name, r == -EFBIG ? "more networks than 31" :
			r == -EINVAL ? "a network's name has letters, digits, '-', '_' and '.' in it" : strerror(-r));
		complain(s->t, path);
	}
}

static void add_entry(struct search *s, const char *dir, const char *name)
{
	static const char *const others[] = { ".volume", ".pod", ".kube", ".image", ".build", ".service", ".socket",
		".timer" };
	char text[512];

	if (name[0] == '.')
		return;
	if (ends_with(name, ".container")) {
		add_file(s, dir, name);
		return;
	}
	if (ends_with(name, ".release")) {
		if ((size_t)snprintf(s->release_file, sizeof(s->release_file), "%s/%s", dir, name) >= sizeof(s->release_file))
			s->release_file[0] = '\0';
		return;
	}
	if (ends_with(name, ".network")) {
		add_network(s, dir, name);
		return;
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (ends_with(name, others[i])) {
			snprintf(text, sizeof(text), "%s/%s: not read: only .container and .network units exist here", dir, name);
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

/* Could it cut the board off the registry that a later image would come from? */
static bool is_over_network(const struct unit_file *u)
{
	return u->network == UNIT_NETWORK_HOST && u->userns == UNIT_USERNS_HOST && (u->cap_add & ~u->cap_drop) >> CAP_NET_ADMIN & 1;
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
	x->startup = u->startup;
	x->startup_success = u->startup_success;
	x->on_failure = u->on_failure;
	x->has_host_users = u->userns == UNIT_USERNS_HOST;
	x->on_boot_ms = u->on_boot_ms;
	x->skips_registry = u->confirms_registry == UNIT_CONFIRMS_NO || (!u->confirms_registry && !is_over_network(u));
	x->has_network = u->network == UNIT_NETWORK_OWN;
	x->calendar = u->calendar;
	x->log_burst = u->log_burst;
	x->log_interval_ms = u->log_interval_ms;
	x->log_size_max = u->log_size_max;
	x->update = u->update;
	x->switch_ms = u->switch_ms;
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

/* What is put back for one must not be taken away from under another. */
static void refuse_shared_copies(struct unit_table *t, struct unit_file **u, uint32_t i)
{
	for (uint32_t v = 0; v < u[i]->volumes.count; v++) {
		const char *at = u[i]->volumes.at[v];
		size_t len = strcspn(at, ":");

		if (at[0] == '/' || !unit_file_copies(u[i], at, len))
			continue;
		for (uint32_t k = 0; k < t->count; k++)
			for (uint32_t w = 0; k != i && u[k] && w < u[k]->volumes.count; w++)
				if (strncmp(u[k]->volumes.at[w], at, len + 1) == 0)
					refuse(&t->unit[i], "VolumeOnUpdate=copy: volume %.*s is unit %s's too", (int)len, at, t->unit[k].name);
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

static void join_slots(struct search *s)
{
	for (uint32_t i = 0; i < s->t->count; i++) {
		struct unit_entry *x = &s->t->unit[i];
		const struct slot *slot = slots_find(&s->slots, x->name);

		/* The release alone says which image its units have. */
		if (x->origin == UNIT_ORIGIN_RELEASE)
			copy(x->current, sizeof(x->current), release_pin(&s->pins, x->name));
		else if (slot && strcmp(slot->ref, x->image) == 0)
			join_slot(x, slot);
	}
}

/* The release itself stands last in the table: what its file says, or else what state/slots has of one that was asked for by hand. */
static void add_release(struct search *s)
{
	const struct slot *slot = slots_find(&s->slots, RELEASE_NAME);
	struct unit_table *t = s->t;
	struct unit_file *u = NULL;
	struct unit_entry *x;
	struct err e = { "" };
	int r = 0;

	if (!s->release_file[0] && (!slot || !slot->ref[0]))
		return;
	if (t->count == CONFIG_UNITS_MAX) {
		complain(t, "no place for the release: too many units (CONFIG_UNITS_MAX)");
		return;
	}
	x = &t->unit[t->count++];
	if (s->release_file[0])
		r = unit_file_read(&u, s->release_file, s->store_dir, NULL, NULL, s->notices, &e);
	if (u)
		fill(x, u);
	else if (slot)
		copy(x->image, sizeof(x->image), slot->next[0] && slot->next_ref[0] ? slot->next_ref : slot->ref);
	copy(x->path, sizeof(x->path), s->release_file);
	copy(x->name, sizeof(x->name), RELEASE_NAME);
	copy(x->error, sizeof(x->error), r < 0 ? e.text : "");
	x->skips_registry = u && u->confirms_registry == UNIT_CONFIRMS_NO;
	x->is_enabled = x->on_boot_ms = x->is_critical = 0;
	memset(&x->calendar, 0, sizeof(x->calendar));
	if (slot)
		join_slot(x, slot);
	unit_file_free(u);
}

/* State/slots, and the folder and the pins of the release that is in use. False: none is. */
static bool find_release(struct search *s, struct store *store, const char *release, char *dir, size_t size)
{
	const struct slot *slot;
	struct err e = { "" };
	char below[RELEASE_DIR_MAX];

	if (slots_read(store, &s->slots, &e) < 0)
		complain(s->t, e.text);
	slot = slots_find(&s->slots, RELEASE_NAME);
	if (!release)
		release = slot ? slot->current : "";
	if (!release[0])
		return false;
	if (release_pins_read(store, release, &s->pins, &e) < 0) {
		complain(s->t, e.text[0] ? e.text : "the release in use is not on the disk");
		return false;
	}
	release_dir(release, below);
	return (size_t)snprintf(dir, size, "%s/%s/units", store->path, below) < size;
}

static void read_folders(struct search *s, const char *const *dirs, size_t count, const char *release)
{
	for (size_t i = 0; i < count; i++) {
		read_folder(s, dirs[i]);
		if (i == 0 && release) {
			s->is_in_release = true;
			read_folder(s, release);
			s->is_in_release = false;
		}
	}
}

/* Is every unit that the release has an image for among what was read? */
static bool has_pinned(struct search *s)
{
	char name[UNIT_NAME_MAX + 16], text[UNIT_TEXT_MAX];

	for (uint32_t i = 0; i < s->pins.count; i++) {
		snprintf(name, sizeof(name), "%s.container", s->pins.at[i].unit);
		if (find(s, name))
			continue;
		snprintf(text, sizeof(text), "unit %s: its file is gone from the release on the disk", s->pins.at[i].unit);
		complain(s->t, text);
		return false;
	}
	return true;
}

static void check_networks(struct search *s, struct unit_file **u)
{
	net_files_check(&s->nets);
	for (uint32_t i = 0; i < s->t->count; i++) {
		struct err e = { "" };

		if (!u[i])
			continue;
		s->t->unit[i].file_crc = net_files_crc(&s->nets, u[i], s->t->unit[i].file_crc);
		if (!s->t->unit[i].error[0] && net_files_unit(&s->nets, u[i], &e) < 0)
			refuse(&s->t->unit[i], "%.360s", e.text);
	}
}

static char *make_plan(struct search *s, struct unit_file **u, size_t *len)
{
	struct unit_file **good = calloc(CONFIG_UNITS_MAX, sizeof(*good));
	bool has_any = false;
	char *plan = NULL;

	for (uint32_t i = 0; good && i < s->t->count; i++) {
		if (!s->t->unit[i].error[0])
			good[i] = u[i];
		has_any |= good[i] && good[i]->network == UNIT_NETWORK_OWN;
	}
	if (has_any)
		plan = net_files_plan(&s->nets, good, s->t->count, len);
	free(good);
	return plan;
}

static void read_units(struct search *s, struct unit_file **u)
{
	for (uint32_t i = 0; i < s->count; i++) {
		struct unit_entry *x = &s->t->unit[i];
		struct err e = { "" };
		char *bytes = NULL;
		size_t len = 0;
		int r = unit_file_read(&u[i], s->found[i].path, s->store_dir, &bytes, &len, s->notices, &e);

		x->file_crc = bytes ? record_crc32(0, bytes, len) : 0;
		x->origin = s->found[i].is_of_release ? UNIT_ORIGIN_RELEASE : UNIT_ORIGIN_BOARD;
		free(bytes);

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

/* Does a line userns-host= of BOARD name that unit? */
static bool is_named(const char *board, const char *name)
{
	static const char key[] = "userns-host";
	size_t len = strlen(name);

	for (const char *at = board; *at; at += strcspn(at, "\n"), at += *at != 0) {
		const char *word = at + strspn(at, " \t");

		if (strncmp(word, key, sizeof(key) - 1) != 0)
			continue;
		word += sizeof(key) - 1;
		word += strspn(word, " \t");
		while (*word == '=' || *word == ' ' || *word == '\t') {
			word += 1 + strspn(word + 1, " \t");
			if (strncmp(word, name, len) == 0 && strchr(" \t\r\n", word[len]))
				return true;
			word += strcspn(word, " \t\r\n");
		}
	}
	return false;
}

void units_judge_host(struct unit_table *t, const char *board)
{
	for (uint32_t i = 0; i < t->count; i++) {
		struct unit_entry *x = &t->unit[i];

		if (x->has_host_users && !x->error[0] && !is_named(board, x->name))
			refuse(x, "UserNS=host: this board lets no unit have its own ids but those that userns-host= of board.conf names");
	}
	unit_table_seal(t);
}

int units_compile(struct unit_table *t, const char *const *dirs, size_t count, struct store *store, const char *store_dir, const char *release,
	const struct unit_notices *notices, char **plan, size_t *plan_len)
{
	char folder[256];
	bool has_release = false, is_whole = false;
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
	net_files_begin(&s->nets);
	has_release = store && find_release(s, store, release, folder, sizeof(folder));
	read_folders(s, dirs, count, has_release ? folder : NULL);
	is_whole = has_release && has_pinned(s);
	find_drop_ins(s, dirs, count);
	qsort(s->found, s->count, sizeof(s->found[0]), by_name);
	t->count = s->count;
	read_units(s, u);
	check_networks(s, u);
	for (uint32_t i = 0; i < t->count; i++)
		if (u[i] && !t->unit[i].error[0])
			link_unit(t, &t->unit[i], u[i]);
	for (uint32_t i = 0; i < t->count; i++)
		if (u[i] && !t->unit[i].error[0])
			refuse_shared_copies(t, u, i);
	refuse_circles(t);
	join_slots(s);
	add_release(s);
	if (plan)
		*plan = make_plan(s, u, plan_len);
out:
	for (uint32_t i = 0; u && i < CONFIG_UNITS_MAX; i++)
		unit_file_free(u[i]);
	free(u);
	free(s);
	unit_table_seal(t);
	return release && release[0] && !is_whole ? -EUCLEAN : 0;
}
