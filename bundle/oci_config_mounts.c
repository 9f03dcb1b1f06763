/* SPDX-License-Identifier: MIT */
/*
 * `mounts` of config.json: the kernel's file systems, the tmpfs that a read-only root needs, the unit's Tmpfs= and Volume=, the image's Volumes.
 * Whatever a unit names comes after what is always there, parents before what lies below them; a place it names itself is not also a default.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net_plan.h"
#include "oci_config_inner.h"
#include "quadlet.h"

enum { OWN_MAX = 3 * UNIT_LIST_MAX + 4, PATH_ROOM = 1024, OPTIONS_ROOM = 32 };

enum own_kind { OWN_SECRETS, OWN_NAMES, OWN_DEFAULT, OWN_IMAGE, OWN_TMPFS, OWN_VOLUME };

struct own {
	enum own_kind kind;
	char target[PATH_ROOM];
	char source[PATH_ROOM];		/* VOLUME: as written */
	const char *options;		/* as written, or NULL */
};

struct own_list {
	struct own at[OWN_MAX];
	size_t count;
};

static void add(struct oci_writer *w, const char *target, const char *type, const char *source, const char *const *options, bool is_mapped)
{
	json_out_object(&w->o, NULL);
	json_out_text(&w->o, "destination", target);
	json_out_text(&w->o, "type", type);
	json_out_text(&w->o, "source", source);
	json_out_texts(&w->o, "options", options);
	if (is_mapped) {
		oci_config_ids(w, "uidMappings");
		oci_config_ids(w, "gidMappings");
	}
	json_out_close(&w->o, '}');
}

static void kernel_mounts(struct oci_writer *w)
{
	static const char *const proc[] = { "nosuid", "noexec", "nodev", NULL };
	static const char *const dev[] = { "nosuid", "noexec", "strictatime", "mode=755", "size=64k", NULL };
	static const char *const pts[] = { "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5", NULL };
	static const char *const ro[] = { "nosuid", "noexec", "nodev", "ro", NULL };
	static const char *const bind_ro[] = { "bind", "rprivate", "nosuid", "noexec", "nodev", "ro", NULL };
	static const char *const notify[] = { "bind", "nosuid", "noexec", "nodev", "ro", NULL };
	char size[40], source[sizeof(UNIT_NOTIFY_OUTSIDE) + UNIT_NAME_MAX];
	const char *const shm[] = { "nosuid", "noexec", "nodev", "mode=1777", size, NULL };

	snprintf(size, sizeof(size), "size=%llu", (unsigned long long)w->in->unit->shm_size);
	add(w, "/proc", "proc", "proc", proc, false);
	add(w, "/dev", "tmpfs", "tmpfs", dev, false);
	add(w, "/dev/pts", "devpts", "devpts", pts, false);
	add(w, "/dev/shm", "tmpfs", "shm", shm, false);
	add(w, "/dev/mqueue", "mqueue", "mqueue", proc, false);
	/* sysfs belongs to the network namespace: the host's cannot be mounted anew in a user namespace. */
	if (w->in->id_count && w->in->unit->network == UNIT_NETWORK_HOST)
		add(w, "/sys", "bind", "/sys", bind_ro, false);
	else
		add(w, "/sys", "sysfs", "sysfs", ro, false);
	add(w, "/sys/fs/cgroup", "cgroup", "cgroup", ro, false);
	if (w->in->unit->notify) {
		snprintf(source, sizeof(source), "%s/%s", UNIT_NOTIFY_OUTSIDE, w->in->unit->name);
		add(w, UNIT_NOTIFY_INSIDE, "bind", source, notify, false);
	}
}

/* Without slashes at the end or doubled, so that two spellings of one place are one. */
static bool tidy(const char *from, size_t len, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (from[i] == '/' && (i + 1 == len || from[i + 1] == '/') && !(i == 0 && n == 0 && len == 1))
			continue;
		if (n + 1 >= PATH_ROOM)
			return false;
		out[n++] = from[i];
	}
	out[n] = '\0';
	return n > 1;
}

/* A later one at the same place wins. */
static int put(struct oci_writer *w, struct own_list *l, enum own_kind kind, const char *target, size_t len, const char *options)
{
	struct own *o = NULL;
	char path[PATH_ROOM];

	if (!tidy(target, len, path) || strcmp(path, "/proc") == 0 || strcmp(path, "/sys") == 0 || strcmp(path, "/dev") == 0)
		return err_set(w->e, -EINVAL, "%.*s: nothing can be mounted there", (int)len, target);
	for (size_t i = 0; i < l->count && !o; i++)
		if (strcmp(l->at[i].target, path) == 0)
			o = &l->at[i];
	if (!o && l->count == OWN_MAX)
		return err_set(w->e, -EFBIG, "more than %d mounts", OWN_MAX);
	if (!o)
		o = &l->at[l->count++];
	o->kind = kind;
	o->options = options;
	o->source[0] = '\0';
	snprintf(o->target, sizeof(o->target), "%s", path);
	return 0;
}

static int collect(struct oci_writer *w, struct own_list *l)
{
	static const char *const scratch[] = { "/run", "/tmp", "/var/tmp" }, *const names[] = { "/etc/hosts", "/etc/resolv.conf" };
	const struct unit_file *u = w->in->unit;
	int r = 0;

	for (size_t i = 0; u->has_tmpfs && r == 0 && i < 3; i++)
		r = put(w, l, OWN_DEFAULT, scratch[i], strlen(scratch[i]), i ? "mode=1777" : "mode=755");
	if (r == 0 && u->secrets.count)
		r = put(w, l, OWN_SECRETS, "/run/secrets", 12, NULL);
	for (int i = 0; u->network == UNIT_NETWORK_OWN && r == 0 && i < 2; i++)
		r = put(w, l, OWN_NAMES, names[i], strlen(names[i]), NULL);
	for (uint32_t i = 0; r == 0 && i < w->in->image->volumes.count; i++)
		r = put(w, l, OWN_IMAGE, w->in->image->volumes.at[i], strlen(w->in->image->volumes.at[i]), NULL);
	for (uint32_t i = 0; r == 0 && i < u->tmpfs.count; i++) {
		const char *colon = strchr(u->tmpfs.at[i], ':');
		size_t len = colon ? (size_t)(colon - u->tmpfs.at[i]) : strlen(u->tmpfs.at[i]);

		r = put(w, l, OWN_TMPFS, u->tmpfs.at[i], len, colon ? colon + 1 : NULL);
	}
	for (uint32_t i = 0; r == 0 && i < u->volumes.count; i++) {
		const char *source = u->volumes.at[i], *target = strchr(source, ':') + 1, *colon = strchr(target, ':');
		struct own *o;

		r = put(w, l, OWN_VOLUME, target, colon ? (size_t)(colon - target) : strlen(target), colon ? colon + 1 : NULL);
		for (size_t k = 0; r == 0 && k < l->count; k++) {
			o = &l->at[k];
			if (o->kind == OWN_VOLUME && !o->source[0] &&
			    !span_copy(span_of(source, (size_t)(target - 1 - source)), o->source, sizeof(o->source)))
				r = err_set(w->e, -EFBIG, "Volume=%.80s: too long", source);
		}
	}
	return r;
}

static unsigned depth(const char *path)
{
	unsigned n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

static int by_depth(const void *a, const void *b)
{
	const struct own *x = a, *y = b;

	return depth(x->target) != depth(y->target) ? (int)depth(x->target) - (int)depth(y->target) : strcmp(x->target, y->target);
}

static bool is_one_of(const char *word, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(*list, word) == 0)
			return true;
	return false;
}

/* Puts TEXT's options behind BASE into OUT (words in STORE). An option takes its opposite out of BASE. */
static int options(struct oci_writer *w, const struct own *o, const char *const *base, char *store, size_t size, const char **out)
{
	static const char *const flags[] = { "ro", "rw", "exec", "noexec", "suid", "nosuid", "dev", "nodev", NULL };
	static const char *const binds[] = { "bind", "rbind", "private", "rprivate", "slave", "rslave", NULL };
	static const char *const ignored[] = { "z", "Z", "copy", "nocopy", "notmpcopyup", NULL };
	static const char *const sizes[] = { "size", "mode", "uid", "gid", "nr_inodes", NULL };
	size_t count = 0;
	char *save = NULL;

	for (; *base; base++)
		out[count++] = *base;
	if (!o->options)
		goto end;
	if (!span_copy(span_str(o->options), store, size))
		return err_set(w->e, -EFBIG, "%.80s: options too long", o->target);
	for (char *word = strtok_r(store, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		char *equals = strchr(word, '=');
		bool is_good = is_one_of(word, flags) || (o->kind == OWN_VOLUME && is_one_of(word, binds));

		if (is_one_of(word, ignored))
			continue;
		if (o->kind != OWN_VOLUME && equals) {
			*equals = '\0';
			is_good = is_one_of(word, sizes) && equals[1] && strspn(equals + 1, "0123456789kmgKMG%") == strlen(equals + 1);
			*equals = '=';
		}
		if (!is_good || count == OPTIONS_ROOM - 1)
			return err_set(w->e, -EINVAL, "%s: option \"%.40s\" is not taken; docs/unit-keys.md, %s=, lists those that are",
				o->target, word, o->kind == OWN_VOLUME ? "Volume" : "Tmpfs");
		for (size_t i = 0; i < count; i++)
			if ((strncmp(out[i], "no", 2) == 0 && strcmp(out[i] + 2, word) == 0) ||
			    (strcmp(out[i], "rbind") == 0 && strcmp(word, "bind") == 0) || strcmp(out[i], word) == 0 ||
			    (equals && strncmp(out[i], word, (size_t)(equals - word) + 1) == 0))
				out[i--] = out[--count];
		out[count++] = word;
	}
end:
	out[count] = NULL;
	return 0;
}

static int add_own(struct oci_writer *w, const struct own *o)
{
	static const char *const tmpfs[] = { "nosuid", "nodev", "noexec", NULL }, *const run[] = { "nosuid", "nodev", NULL };
	/* What lies below is mapped with it; without a user namespace the word is not there. */
	const char *bind[] = { "rbind", "rprivate", "nosuid", "nodev", w->in->id_count ? "ridmap" : NULL, NULL };
	static const char *const names[] = { "bind", "rprivate", "nosuid", "nodev", "noexec", "ro", NULL };
	static const char *const secrets[] = { "nosuid", "nodev", "noexec", "ro", "mode=0755", "size=1m", NULL };
	char store[512], path[2 * PATH_ROOM], mode[3][32];
	const char *out[OPTIONS_ROOM];
	int r;

	if (o->kind == OWN_NAMES) {
		snprintf(path, sizeof(path), NET_RUN "/files/%s%s", w->in->unit->name, strrchr(o->target, '/'));
		add(w, o->target, "bind", path, names, false);
		return 0;
	}
	if (o->kind == OWN_SECRETS) {
		add(w, o->target, "tmpfs", "secrets", secrets, false);
		return 0;
	}
	if (o->kind != OWN_VOLUME) {
		/* The image's author expects to own them and to run what was put there, as in an ordinary directory. */
		const char *image[] = { "nosuid", "nodev", mode[0], mode[1], mode[2], NULL };

		snprintf(mode[0], sizeof(mode[0]), "mode=0755");
		snprintf(mode[1], sizeof(mode[1]), "uid=%u", w->in->user->uid);
		snprintf(mode[2], sizeof(mode[2]), "gid=%u", w->in->user->gid);
		r = options(w, o, o->kind == OWN_IMAGE ? image : o->kind == OWN_DEFAULT ? run : tmpfs, store, sizeof(store), out);
		if (r == 0)
			add(w, o->target, "tmpfs", "tmpfs", out, false);
		return r;
	}
	r = options(w, o, bind, store, sizeof(store), out);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s%s%s", o->source[0] == '/' ? "" : w->in->store, o->source[0] == '/' ? "" : "/volumes/", o->source);
	add(w, o->target, "bind", path, out, w->in->id_count);
	return 0;
}

int oci_config_mounts(struct oci_writer *w)
{
	struct own_list *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return err_sys(w->e, ENOMEM, "config.json");
	json_out_array(&w->o, "mounts");
	kernel_mounts(w);
	r = collect(w, l);
	qsort(l->at, l->count, sizeof(l->at[0]), by_depth);
	for (size_t i = 0; r == 0 && i < l->count; i++)
		r = add_own(w, &l->at[i]);
	json_out_close(&w->o, ']');
	free(l);
	return r;
}
