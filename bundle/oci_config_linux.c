/* SPDX-License-Identifier: MIT */
/* `linux` of config.json: namespaces, limits, devices, what is hidden, seccomp. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "file.h"
#include "oci_config_inner.h"
#include "seccomp_default.h"

enum { PROFILE_MAX = 1 << 20 };

static const char *const masked[] = {
	"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi",
	"/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware", NULL,
};
static const char *const readonly[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL };

static void namespaces(struct oci_writer *w, yyjson_mut_val *lin)
{
	static const char *const types[] = { "pid", "ipc", "uts", "mount", "cgroup", "network" };
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(w->doc, lin, "namespaces");
	size_t count = sizeof(types) / sizeof(*types) - (w->in->unit->network == UNIT_NETWORK_HOST);

	for (size_t i = 0; i < count; i++)
		yyjson_mut_obj_add_str(w->doc, yyjson_mut_arr_add_obj(w->doc, list), "type", types[i]);
}

static bool is_unmasked(const struct unit_file *u, const char *path)
{
	for (uint32_t i = 0; i < u->unmask.count; i++)
		if (strcmp(u->unmask.at[i], "ALL") == 0 || strcmp(u->unmask.at[i], path) == 0)
			return true;
	return false;
}

static yyjson_mut_val *hidden(struct oci_writer *w, yyjson_mut_val *lin, const char *key, const char *const *paths)
{
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(w->doc, lin, key);

	for (; *paths; paths++)
		if (!is_unmasked(w->in->unit, *paths))
			yyjson_mut_arr_add_str(w->doc, list, *paths);
	return list;
}

static void resources(struct oci_writer *w, yyjson_mut_val *lin, yyjson_mut_val **devices)
{
	const struct unit_file *u = w->in->unit;
	yyjson_mut_val *out = yyjson_mut_obj_add_obj(w->doc, lin, "resources"), *part, *rule;

	*devices = yyjson_mut_obj_add_arr(w->doc, out, "devices");
	rule = yyjson_mut_arr_add_obj(w->doc, *devices);
	yyjson_mut_obj_add_bool(w->doc, rule, "allow", false);
	yyjson_mut_obj_add_str(w->doc, rule, "access", "rwm");
	part = yyjson_mut_obj_add_obj(w->doc, out, "memory");
	yyjson_mut_obj_add_uint(w->doc, part, "limit", u->memory_max);
	/* runtime-spec: memory and swap together. */
	yyjson_mut_obj_add_int(w->doc, part, "swap", u->swap_max < 0 ? -1 : (int64_t)u->memory_max + u->swap_max);
	if (u->memory_low)
		yyjson_mut_obj_add_uint(w->doc, part, "reservation", u->memory_low);
	part = yyjson_mut_obj_add_obj(w->doc, out, "pids");
	yyjson_mut_obj_add_uint(w->doc, part, "limit", u->pids_max);
	if (!u->cpu_percent && !u->cpu_weight && !u->cpu_set)
		return;
	part = yyjson_mut_obj_add_obj(w->doc, out, "cpu");
	if (u->cpu_percent) {
		yyjson_mut_obj_add_uint(w->doc, part, "quota", (uint64_t)u->cpu_percent * 1000);
		yyjson_mut_obj_add_uint(w->doc, part, "period", 100000);
	}
	/* The smallest number of v1 shares that every runtime turns back into this v2 weight. */
	if (u->cpu_weight)
		yyjson_mut_obj_add_uint(w->doc, part, "shares", 2 + ((uint64_t)(u->cpu_weight - 1) * 262142 + 9998) / 9999);
	if (u->cpu_set)
		yyjson_mut_obj_add_strcpy(w->doc, part, "cpus", u->cpu_set);
}

static void add_device(struct oci_writer *w, yyjson_mut_val *list, yyjson_mut_val *rules, const char *path, const struct stat *st)
{
	const char *type = S_ISBLK(st->st_mode) ? "b" : "c";
	yyjson_mut_val *d = yyjson_mut_arr_add_obj(w->doc, list), *rule = yyjson_mut_arr_add_obj(w->doc, rules);

	yyjson_mut_obj_add_str(w->doc, d, "type", type);
	yyjson_mut_obj_add_strcpy(w->doc, d, "path", path);
	yyjson_mut_obj_add_uint(w->doc, d, "major", major(st->st_rdev));
	yyjson_mut_obj_add_uint(w->doc, d, "minor", minor(st->st_rdev));
	/* The program's user gets it: nobody in the container has the power to take it. */
	yyjson_mut_obj_add_uint(w->doc, d, "fileMode", 0600);
	yyjson_mut_obj_add_uint(w->doc, d, "uid", w->in->user->uid);
	yyjson_mut_obj_add_uint(w->doc, d, "gid", w->in->user->gid);
	yyjson_mut_obj_add_bool(w->doc, rule, "allow", true);
	yyjson_mut_obj_add_str(w->doc, rule, "type", type);
	yyjson_mut_obj_add_uint(w->doc, rule, "major", major(st->st_rdev));
	yyjson_mut_obj_add_uint(w->doc, rule, "minor", minor(st->st_rdev));
	yyjson_mut_obj_add_str(w->doc, rule, "access", "rw");
}

/* AddDevice=[-]HOST[:CONTAINER][:PERMISSIONS] */
static int one_device(struct oci_writer *w, yyjson_mut_val *list, yyjson_mut_val *rules, const char *text)
{
	bool is_optional = text[0] == '-';
	char parts[512], *save = NULL, *host, *inside, *access, *word;
	struct stat st;

	if (!span_copy(span_str(text + is_optional), parts, sizeof(parts)))
		return err_set(w->e, -EFBIG, "AddDevice=%.80s: too long", text);
	host = strtok_r(parts, ":", &save);
	inside = host;
	access = "rw";
	word = strtok_r(NULL, ":", &save);
	if (word && word[0] == '/') {
		inside = word;
		word = strtok_r(NULL, ":", &save);
	}
	if (word)
		access = word;
	if (strncmp(inside, "/dev/", 5) != 0 || strstr(inside, "/..") || strtok_r(NULL, ":", &save))
		return err_set(w->e, -EINVAL, "AddDevice=%s: takes /dev/NODE[:/dev/NAME][:rw]", text);
	if (strcmp(access, "rw") != 0 && strcmp(access, "rwm") != 0)
		return err_set(w->e, -ENOTSUP, "AddDevice=%s: access \"%s\" cannot be enforced yet: rw", text, access);
	if (stat(host, &st) < 0)
		return is_optional && errno == ENOENT ? 0 : err_set(w->e, -ENODEV, "AddDevice=%s: the board has no %s (yet): a - in front "
			"makes it optional", text, host);
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(w->e, -EINVAL, "AddDevice=%s: %s is no device", text, host);
	add_device(w, list, rules, inside, &st);
	return 0;
}

/* The profile format of docker and podman has conditions (includes, archMap) that only their engine resolves. */
static int profile_file(struct oci_writer *w, yyjson_mut_val *lin, const char *path)
{
	yyjson_doc *doc = NULL;
	yyjson_val *root, *group;
	char *text = NULL;
	size_t len, i, max;
	int r = file_read(AT_FDCWD, path, PROFILE_MAX, &text, &len, w->e);

	if (r < 0)
		return err_prefix(w->e, -EINVAL, "SeccompProfile=");
	doc = yyjson_read(text, len, 0);
	root = yyjson_doc_get_root(doc);
	if (!yyjson_is_obj(root) || !yyjson_is_str(yyjson_obj_get(root, "defaultAction")))
		r = err_set(w->e, -EBADMSG, "SeccompProfile=%s: is no JSON object with a defaultAction (runtime-spec, \"Seccomp\")", path);
	yyjson_arr_foreach(yyjson_obj_get(root, "syscalls"), i, max, group) {
		if (yyjson_obj_size(yyjson_obj_get(group, "includes")) || yyjson_obj_size(yyjson_obj_get(group, "excludes")))
			r = err_set(w->e, -ENOTSUP, "SeccompProfile=%s: syscalls[%zu]: includes and excludes are not resolved here: write a "
				"profile as the runtime-spec has it", path, i);
	}
	if (r == 0)
		yyjson_mut_obj_add_val(w->doc, lin, "seccomp", yyjson_val_mut_copy(w->doc, root));
	yyjson_doc_free(doc);
	free(text);
	return r;
}

static int seccomp(struct oci_writer *w, yyjson_mut_val *lin)
{
	const struct unit_file *u = w->in->unit;
	yyjson_mut_val *out;

	if (u->seccomp && strcmp(u->seccomp, "unconfined") == 0)
		return 0;
	if (u->seccomp)
		return profile_file(w, lin, u->seccomp);
	out = seccomp_default(w->doc, w->in->image->architecture, u->cap_add & ~u->cap_drop);
	if (!out)
		return err_sys(w->e, ENOMEM, "config.json");
	yyjson_mut_obj_add_val(w->doc, lin, "seccomp", out);
	return 0;
}

static void sysctls(struct oci_writer *w, yyjson_mut_val *lin)
{
	const struct unit_list *l = &w->in->unit->sysctls;
	yyjson_mut_val *out = l->count ? yyjson_mut_obj_add_obj(w->doc, lin, "sysctl") : NULL;

	for (uint32_t i = 0; i < l->count; i++) {
		const char *equals = strchr(l->at[i], '=');

		yyjson_mut_obj_put(out, yyjson_mut_strncpy(w->doc, l->at[i], (size_t)(equals - l->at[i])),
			yyjson_mut_strcpy(w->doc, equals + 1));
	}
}

int oci_config_linux(struct oci_writer *w)
{
	const struct unit_file *u = w->in->unit;
	yyjson_mut_val *lin = yyjson_mut_obj_add_obj(w->doc, w->root, "linux"), *rules, *list;
	char cgroup[UNIT_NAME_MAX + 16];
	int r = 0;

	snprintf(cgroup, sizeof(cgroup), "/coracle/%s", u->name);
	yyjson_mut_obj_add_strcpy(w->doc, lin, "cgroupsPath", cgroup);
	namespaces(w, lin);
	resources(w, lin, &rules);
	list = yyjson_mut_obj_add_arr(w->doc, lin, "devices");
	for (uint32_t i = 0; r == 0 && i < u->devices.count; i++)
		r = one_device(w, list, rules, u->devices.at[i]);
	list = hidden(w, lin, "maskedPaths", masked);
	for (uint32_t i = 0; i < u->mask.count; i++)
		yyjson_mut_arr_add_strcpy(w->doc, list, u->mask.at[i]);
	hidden(w, lin, "readonlyPaths", readonly);
	sysctls(w, lin);
	return r == 0 ? seccomp(w, lin) : r;
}
