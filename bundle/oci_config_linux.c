/* SPDX-License-Identifier: MIT */
/* `linux` of config.json: namespaces, limits, devices, what is hidden, seccomp. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <yyjson.h>

#include "file.h"
#include "net_plan.h"
#include "oci_config_inner.h"
#include "seccomp_default.h"

enum { PROFILE_MAX = 1 << 20 };

static const char *const masked[] = {
	"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi",
	"/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware", NULL,
};
static const char *const readonly[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL };

void oci_config_ids(struct oci_writer *w, const char *key)
{
	json_out_array(&w->o, key);
	json_out_object(&w->o, NULL);
	json_out_uint(&w->o, "containerID", 0);
	json_out_uint(&w->o, "hostID", w->in->id_first);
	json_out_uint(&w->o, "size", w->in->id_count);
	json_out_close(&w->o, '}');
	json_out_close(&w->o, ']');
}

static void namespace(struct oci_writer *w, const char *type)
{
	char path[sizeof(NET_RUN) + UNIT_NAME_MAX + 8];

	json_out_object(&w->o, NULL);
	json_out_text(&w->o, "type", type);
	if (strcmp(type, "network") == 0 && w->in->unit->network == UNIT_NETWORK_OWN) {
		snprintf(path, sizeof(path), NET_RUN "/ns/%s", w->in->unit->name);
		json_out_text(&w->o, "path", path);
	}
	json_out_close(&w->o, '}');
}

static void namespaces(struct oci_writer *w)
{
	static const char *const types[] = { "pid", "ipc", "uts", "mount", "cgroup", "network" };
	size_t count = sizeof(types) / sizeof(*types) - (w->in->unit->network == UNIT_NETWORK_HOST);

	json_out_array(&w->o, "namespaces");
	for (size_t i = 0; i < count; i++)
		namespace(w, types[i]);
	if (w->in->id_count)
		namespace(w, "user");
	json_out_close(&w->o, ']');
	if (w->in->id_count) {
		oci_config_ids(w, "uidMappings");
		oci_config_ids(w, "gidMappings");
	}
}

static bool is_unmasked(const struct unit_file *u, const char *path)
{
	for (uint32_t i = 0; i < u->unmask.count; i++)
		if (strcmp(u->unmask.at[i], "ALL") == 0 || strcmp(u->unmask.at[i], path) == 0)
			return true;
	return false;
}

static void hide(struct oci_writer *w, const char *path)
{
	if (!is_unmasked(w->in->unit, path))
		json_out_text(&w->o, NULL, path);
}

/* What other work does to each processor's heat; x86 alone has it. */
static void hide_heat(struct oci_writer *w)
{
	char path[64];

	for (int i = 0;; i++) {
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/thermal_throttle", i);
		if (access(path, F_OK) < 0)
			return;
		hide(w, path);
	}
}

static void hidden(struct oci_writer *w, const char *key, const char *const *paths, const struct unit_list *more)
{
	json_out_array(&w->o, key);
	for (; *paths; paths++)
		hide(w, *paths);
	if (more)
		hide_heat(w);
	for (uint32_t i = 0; more && i < more->count; i++)
		json_out_text(&w->o, NULL, more->at[i]);
	json_out_close(&w->o, ']');
}

static void cpu(struct oci_writer *w)
{
	const struct unit_file *u = w->in->unit;

	if (!u->cpu_percent && !u->cpu_weight && !u->cpu_set)
		return;
	json_out_object(&w->o, "cpu");
	if (u->cpu_percent) {
		json_out_uint(&w->o, "quota", (uint64_t)u->cpu_percent * 1000);
		json_out_uint(&w->o, "period", 100000);
	}
	/* The smallest number of v1 shares that every runtime turns back into this v2 weight. */
	if (u->cpu_weight)
		json_out_uint(&w->o, "shares", 2 + ((uint64_t)(u->cpu_weight - 1) * 262142 + 9998) / 9999);
	if (u->cpu_set)
		json_out_text(&w->o, "cpus", u->cpu_set);
	json_out_close(&w->o, '}');
}

static void limits(struct oci_writer *w)
{
	const struct unit_file *u = w->in->unit;

	json_out_object(&w->o, "memory");
	json_out_uint(&w->o, "limit", u->memory_max);
	/* runtime-spec: memory and swap together. */
	json_out_int(&w->o, "swap", u->swap_max < 0 ? -1 : (int64_t)u->memory_max + u->swap_max);
	if (u->memory_low)
		json_out_uint(&w->o, "reservation", u->memory_low);
	json_out_close(&w->o, '}');
	json_out_object(&w->o, "pids");
	json_out_uint(&w->o, "limit", u->pids_max);
	json_out_close(&w->o, '}');
	cpu(w);
}

/* AddDevice=[-]HOST[:CONTAINER][:PERMISSIONS] */
struct device {
	char text[512];
	const char *inside, *access;	/* in text */
	struct stat st;
};

/* 1: there; 0: optional and not there. */
static int parse_device(struct oci_writer *w, const char *text, struct device *d)
{
	bool is_optional = text[0] == '-';
	char *save = NULL, *host, *word;

	if (!span_copy(span_str(text + is_optional), d->text, sizeof(d->text)))
		return err_set(w->e, -EFBIG, "AddDevice=%.80s: too long", text);
	host = strtok_r(d->text, ":", &save);
	d->inside = host;
	d->access = "rw";
	word = strtok_r(NULL, ":", &save);
	if (word && word[0] == '/') {
		d->inside = word;
		word = strtok_r(NULL, ":", &save);
	}
	if (word)
		d->access = word;
	if (strncmp(d->inside, "/dev/", 5) != 0 || strstr(d->inside, "/..") || strtok_r(NULL, ":", &save) ||
	    strspn(d->access, "rwm") != strlen(d->access) || strspn(d->access, "m") == strlen(d->access))
		return err_set(w->e, -EINVAL, "AddDevice=%s: takes /dev/NODE[:/dev/NAME][:rwm]", text);
	if (stat(host, &d->st) < 0)
		return is_optional && errno == ENOENT ? 0 : err_set(w->e, -ENODEV, "AddDevice=%s: the board has no %s (yet): a - in front "
			"makes it optional", text, host);
	if (!S_ISCHR(d->st.st_mode) && !S_ISBLK(d->st.st_mode))
		return err_set(w->e, -EINVAL, "AddDevice=%s: %s is no device", text, host);
	return 1;
}

static void numbers(struct oci_writer *w, const struct device *d)
{
	json_out_text(&w->o, "type", S_ISBLK(d->st.st_mode) ? "b" : "c");
	json_out_uint(&w->o, "major", major(d->st.st_rdev));
	json_out_uint(&w->o, "minor", minor(d->st.st_rdev));
}

static void put_rule(struct oci_writer *w, const struct device *d)
{
	json_out_object(&w->o, NULL);
	json_out_bool(&w->o, "allow", true);
	numbers(w, d);
	json_out_text(&w->o, "access", d->access);
	json_out_close(&w->o, '}');
}

/* The program's user gets it: nobody in the container has the power to take it. */
static void put_node(struct oci_writer *w, const struct device *d)
{
	json_out_object(&w->o, NULL);
	json_out_text(&w->o, "path", d->inside);
	numbers(w, d);
	json_out_uint(&w->o, "fileMode", (strchr(d->access, 'r') ? 0400 : 0) | (strchr(d->access, 'w') ? 0200 : 0));
	json_out_uint(&w->o, "uid", w->in->user->uid);
	json_out_uint(&w->o, "gid", w->in->user->gid);
	json_out_close(&w->o, '}');
}

static int each_device(struct oci_writer *w, void (*put)(struct oci_writer *w, const struct device *d))
{
	const struct unit_list *l = &w->in->unit->devices;
	int r = 0;

	for (uint32_t i = 0; r >= 0 && i < l->count; i++) {
		struct device d;

		r = parse_device(w, l->at[i], &d);
		if (r == 1)
			put(w, &d);
	}
	return r < 0 ? r : 0;
}

static int resources(struct oci_writer *w)
{
	int r;

	json_out_object(&w->o, "resources");
	json_out_array(&w->o, "devices");
	json_out_object(&w->o, NULL);
	json_out_bool(&w->o, "allow", false);
	json_out_text(&w->o, "access", "rwm");
	json_out_close(&w->o, '}');
	r = each_device(w, put_rule);
	json_out_close(&w->o, ']');
	limits(w);
	json_out_close(&w->o, '}');
	json_out_array(&w->o, "devices");
	if (r == 0)
		r = each_device(w, put_node);
	json_out_close(&w->o, ']');
	return r;
}

/* The profile format of docker and podman has conditions (includes, archMap) that only their engine resolves. */
static int profile_file(struct oci_writer *w, const char *path)
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
		json_out_raw(&w->o, "seccomp", text, len);
	yyjson_doc_free(doc);
	free(text);
	return r;
}

static int seccomp(struct oci_writer *w)
{
	const struct unit_file *u = w->in->unit;

	if (u->seccomp && strcmp(u->seccomp, "unconfined") == 0)
		return 0;
	if (u->seccomp)
		return profile_file(w, u->seccomp);
	seccomp_default(&w->o, "seccomp", w->in->image->architecture, u->cap_add & ~u->cap_drop);
	return 0;
}

/* Of one name the last counts. */
static void sysctls(struct oci_writer *w)
{
	const struct unit_list *l = &w->in->unit->sysctls;

	json_out_object(&w->o, "sysctl");
	for (uint32_t i = 0; i < l->count; i++) {
		size_t len = strcspn(l->at[i], "=");
		bool is_later = false;
		char name[256];

		for (uint32_t k = i + 1; k < l->count; k++)
			is_later |= strncmp(l->at[k], l->at[i], len + 1) == 0;
		/* Its user namespace has no power over a network that coracle-net made: that sets them. */
		is_later |= w->in->unit->network == UNIT_NETWORK_OWN && strncmp(l->at[i], "net.", 4) == 0;
		if (!is_later && span_copy(span_of(l->at[i], len), name, sizeof(name)))
			json_out_text(&w->o, name, l->at[i] + len + 1);
	}
	json_out_close(&w->o, '}');
}

int oci_config_linux(struct oci_writer *w)
{
	char cgroup[UNIT_NAME_MAX + 16];
	int r;

	snprintf(cgroup, sizeof(cgroup), "/coracle/%s", w->in->unit->name);
	json_out_object(&w->o, "linux");
	json_out_text(&w->o, "cgroupsPath", cgroup);
	namespaces(w);
	r = resources(w);
	hidden(w, "maskedPaths", masked, &w->in->unit->mask);
	hidden(w, "readonlyPaths", readonly, NULL);
	if (w->in->unit->sysctls.count)
		sysctls(w);
	if (r == 0)
		r = seccomp(w);
	json_out_close(&w->o, '}');
	return r;
}
