/* SPDX-License-Identifier: MIT */
/* `process` of config.json: what runs, as whom, with what (image-spec conversion.md; the unit's words come before the image's). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "caps.h"
#include "oci_config_inner.h"
#include "quadlet.h"

enum { ENV_MAX = IMAGE_LIST_MAX + UNIT_LIST_MAX + 4 };

static const char default_path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static uint32_t put_list(struct oci_writer *w, const char *const *texts, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		json_out_text(&w->o, NULL, texts[i]);
	return count;
}

static int args(struct oci_writer *w)
{
	const struct unit_file *u = w->in->unit;
	const struct image_config *image = w->in->image;
	uint32_t count;

	json_out_array(&w->o, "args");
	if (u->has_entrypoint)
		count = put_list(w, u->entrypoint.at, u->entrypoint.count);
	else
		count = put_list(w, image->entrypoint.at, image->entrypoint.count);
	/* An Entrypoint= takes the image's Cmd away with its Entrypoint, as podman does: those arguments were meant for the other program. */
	if (u->has_exec)
		count += put_list(w, u->exec.at, u->exec.count);
	else if (!u->has_entrypoint)
		count += put_list(w, image->cmd.at, image->cmd.count);
	json_out_close(&w->o, ']');
	if (count == 0)
		return err_set(w->e, -EINVAL, "the image names no program (Entrypoint, Cmd) and the unit neither: Exec= says what to run");
	return 0;
}

/* Sets NAME=VALUE in LIST, over an earlier one of the same name. */
static void put(const char **list, size_t *count, const char *text)
{
	size_t len = strcspn(text, "=") + 1;

	for (size_t i = 0; i < *count; i++)
		if (strncmp(list[i], text, len) == 0) {
			list[i] = text;
			return;
		}
	list[(*count)++] = text;
}

static bool has(const char *const *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strncmp(list[i], name, strlen(name)) == 0)
			return true;
	return false;
}

static int env(struct oci_writer *w)
{
	const char **list = calloc(ENV_MAX + 1, sizeof(*list));
	char home[sizeof(w->in->user->home) + 8], watchdog[40];
	size_t count = 0;

	if (!list)
		return err_sys(w->e, ENOMEM, "config.json");
	for (uint32_t i = 0; i < w->in->image->env.count; i++)
		put(list, &count, w->in->image->env.at[i]);
	for (uint32_t i = 0; i < w->in->unit->environment.count; i++)
		put(list, &count, w->in->unit->environment.at[i]);
	if (!has(list, count, "PATH="))
		list[count++] = default_path;
	snprintf(home, sizeof(home), "HOME=%s", w->in->user->home);
	if (!has(list, count, "HOME="))
		list[count++] = home;
	/* sd_notify(3), sd_watchdog_enabled(3); init/notify.h has the other end. */
	if (w->in->unit->notify)
		put(list, &count, "NOTIFY_SOCKET=" UNIT_NOTIFY_INSIDE "/socket");
	snprintf(watchdog, sizeof(watchdog), "WATCHDOG_USEC=%llu", w->in->unit->watchdog_ms * 1000ull);
	if (w->in->unit->watchdog_ms)
		put(list, &count, watchdog);
	json_out_texts(&w->o, "env", list);
	free(list);
	return 0;
}

static void user(struct oci_writer *w)
{
	const struct image_user *u = w->in->user;

	json_out_object(&w->o, "user");
	json_out_uint(&w->o, "uid", u->uid);
	json_out_uint(&w->o, "gid", u->gid);
	if (u->groups_len) {
		json_out_array(&w->o, "additionalGids");
		for (uint32_t i = 0; i < u->groups_len; i++)
			json_out_uint(&w->o, NULL, u->groups[i]);
		json_out_close(&w->o, ']');
	}
	json_out_close(&w->o, '}');
}

static void cap_set(struct oci_writer *w, const char *key, uint64_t set)
{
	char name[CAPS_NAME_MAX];

	json_out_array(&w->o, key);
	for (int i = 0; i < 64; i++)
		if (set >> i & 1) {
			caps_name(i, name);
			json_out_text(&w->o, NULL, name);
		}
	json_out_close(&w->o, ']');
}

/* Inheritable and ambient are empty (CVE-2022-24769) but for a user other than root, who would lose what the unit gave at the exec. */
static void capabilities(struct oci_writer *w)
{
	uint64_t set = w->in->unit->cap_add & ~w->in->unit->cap_drop;
	uint64_t kept = w->in->user->uid ? set : 0;

	json_out_object(&w->o, "capabilities");
	cap_set(w, "bounding", set);
	cap_set(w, "effective", set);
	cap_set(w, "permitted", set);
	cap_set(w, "inheritable", kept);
	cap_set(w, "ambient", kept);
	json_out_close(&w->o, '}');
}

static bool limit(const char *text, size_t len, uint64_t *out)
{
	char digits[24];

	if (len >= sizeof(digits))
		return false;
	memcpy(digits, text, len);
	digits[len] = '\0';
	if (strcmp(digits, "-1") == 0 || strcmp(digits, "unlimited") == 0) {
		*out = UINT64_MAX;
		return true;
	}
	return quadlet_u64(digits, UINT64_MAX - 1, out);
}

static void add_rlimit(struct oci_writer *w, const char *type, uint64_t soft, uint64_t hard)
{
	json_out_object(&w->o, NULL);
	json_out_text(&w->o, "type", type);
	json_out_uint(&w->o, "hard", hard);
	json_out_uint(&w->o, "soft", soft);
	json_out_close(&w->o, '}');
}

/* Ulimit=NAME=SOFT[:HARD]. The name is checked when it is compiled. */
static int rlimits(struct oci_writer *w)
{
	const struct unit_list *l = &w->in->unit->ulimits;
	bool has_files = false, has_core = false;

	json_out_array(&w->o, "rlimits");
	for (uint32_t i = 0; i < l->count; i++) {
		const char *equals = strchr(l->at[i], '='), *colon = strchr(equals, ':');
		char type[32] = "RLIMIT_";
		size_t len = (size_t)(equals - l->at[i]);
		uint64_t soft, hard;

		if (len + 8 > sizeof(type) || !limit(equals + 1, colon ? (size_t)(colon - equals - 1) : strlen(equals + 1), &soft) ||
		    !limit(colon ? colon + 1 : equals + 1, strlen(colon ? colon + 1 : equals + 1), &hard) || soft > hard)
			return err_set(w->e, -EINVAL, "Ulimit=%.80s: takes NAME=SOFT[:HARD], numbers or -1, SOFT not above HARD", l->at[i]);
		for (size_t k = 0; k < len; k++)
			type[7 + k] = (char)(l->at[i][k] & ~0x20);
		has_files |= strcmp(type, "RLIMIT_NOFILE") == 0;
		has_core |= strcmp(type, "RLIMIT_CORE") == 0;
		add_rlimit(w, type, soft, hard);
	}
	if (!has_files)
		add_rlimit(w, "RLIMIT_NOFILE", 1024, 4096);
	if (!has_core)
		add_rlimit(w, "RLIMIT_CORE", 0, 0);
	json_out_close(&w->o, ']');
	return 0;
}

int oci_config_process(struct oci_writer *w)
{
	const struct unit_file *u = w->in->unit;
	const char *cwd = u->workdir ? u->workdir : w->in->image->workdir[0] ? w->in->image->workdir : "/";
	int r;

	if (cwd[0] != '/')
		return err_set(w->e, -EINVAL, "image config: config.WorkingDir: \"%.80s\" is no absolute path: WorkingDir= overrides it", cwd);
	json_out_object(&w->o, "process");
	json_out_bool(&w->o, "terminal", false);
	user(w);
	r = args(w);
	if (r == 0)
		r = env(w);
	json_out_text(&w->o, "cwd", cwd);
	capabilities(w);
	if (r == 0)
		r = rlimits(w);
	json_out_bool(&w->o, "noNewPrivileges", !u->has_new_privileges);
	if (u->has_oom_score_adj)
		json_out_int(&w->o, "oomScoreAdj", u->oom_score_adj);
	json_out_close(&w->o, '}');
	return r;
}
