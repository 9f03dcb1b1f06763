/* SPDX-License-Identifier: MIT */
/* Readers of the values of [Container] (podman-systemd.unit(5)). Checked for form here and for meaning where they are used. */
#include "unit_keys_inner.h"

#include <ctype.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "caps.h"
#include "quadlet.h"
#include "signals.h"

static bool is_env(const char *s)
{
	return s[0] != '=' && !isdigit((unsigned char)s[0]) && strchr(s, '=');
}

int unit_keys_image(struct unit_file *u, const char *v, struct err *e)
{
	size_t len;

	if (strncmp(v, "docker://", 9) == 0)
		v += 9;
	len = strlen(v);
	for (const char *p = v; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("._-:/@[]", *p))
			return -EINVAL;
	if ((len > 6 && strcmp(v + len - 6, ".image") == 0 && !strchr(v, '/')) ||
	    (len > 6 && strcmp(v + len - 6, ".build") == 0 && !strchr(v, '/')))
		return err_set(e, -ENOTSUP, "%s: .image and .build units are not supported: name the image itself", v);
	if (len && (len >= UNIT_IMAGE_MAX || !strchr(v, '/') || strcspn(v, ".:") > strcspn(v, "/")) &&
	    strncmp(v, "localhost/", 10) != 0)
		return -EINVAL;
	return unit_value_text(u, &u->image, v);
}

int unit_keys_container_name(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_text(u, &u->container_name, v);
}

/* "$$" is "$"; nothing is expanded: the values of variables are the image's business. */
static void dollars(char *word)
{
	char *to = word;

	for (const char *from = word; *from; from++) {
		if (from[0] == '$' && from[1] == '$')
			from++;
		*to++ = *from;
	}
	*to = '\0';
}

int unit_value_command(struct unit_file *u, struct unit_list *l, const char *v)
{
	char word[QUADLET_VALUE_MAX];
	int r;

	l->count = 0;
	while ((r = quadlet_word(&v, word, sizeof(word))) == 1) {
		dollars(word);
		r = unit_value_add(u, l, word);
		if (r < 0)
			return r;
	}
	return r == -EBADMSG ? -EINVAL : r;
}

int unit_keys_container_exec(struct unit_file *u, const char *v, struct err *e)
{
	u->has_exec = v[0];
	return unit_value_command(u, &u->exec, v);
}

/* A JSON array of strings; its syntax is read as words, with , and [] as blanks. */
static int json_words(struct unit_file *u, struct unit_list *l, const char *v)
{
	char text[QUADLET_VALUE_MAX];
	bool is_quoted = false;
	size_t len = strlen(v);

	if (v[len - 1] != ']' || len >= sizeof(text))
		return -EINVAL;
	memcpy(text, v, len + 1);
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '"' && (i == 0 || text[i - 1] != '\\'))
			is_quoted = !is_quoted;
		else if (!is_quoted && strchr("[],", text[i]))
			text[i] = ' ';
		else if (!is_quoted && !isspace((unsigned char)text[i]))
			return -EINVAL;
	}
	return is_quoted ? -EINVAL : unit_value_command(u, l, text);
}

/* A JSON array of strings, or one path: podman-run(1) --entrypoint. */
int unit_keys_container_entrypoint(struct unit_file *u, const char *v, struct err *e)
{
	u->has_entrypoint = v[0];
	u->entrypoint.count = 0;
	if (v[0] != '[')
		return v[0] ? unit_value_add(u, &u->entrypoint, v) : 0;
	return json_words(u, &u->entrypoint, v);
}

int unit_keys_environment(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_words(u, &u->environment, v, is_env);
}

/* Digits are a number even where too large for an id: never a name (CVE-2024-40635). */
static bool is_user(const char *s)
{
	uint64_t n;

	if (isdigit((unsigned char)s[0]))
		return quadlet_u64(s, UINT32_MAX - 1, &n);
	if (s[0] == '-' || s[0] == '.')
		return false;
	for (const char *p = s; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("_-.$", *p))
			return false;
	return true;
}

int unit_keys_user(struct unit_file *u, const char *v, struct err *e)
{
	char name[256];
	const char *colon = strchr(v, ':');
	int r;

	if (!colon)
		return is_user(v) ? unit_value_text(u, &u->user, v) : -EINVAL;
	if ((size_t)snprintf(name, sizeof(name), "%.*s", (int)(colon - v), v) >= sizeof(name) || !name[0] || !colon[1] ||
	    !is_user(name) || !is_user(colon + 1))
		return -EINVAL;
	r = unit_value_text(u, &u->user, name);
	return r < 0 ? r : unit_value_text(u, &u->group, colon + 1);
}

int unit_keys_group(struct unit_file *u, const char *v, struct err *e)
{
	return is_user(v) ? unit_value_text(u, &u->group, v) : -EINVAL;
}

int unit_keys_group_add(struct unit_file *u, const char *v, struct err *e)
{
	if (strcmp(v, "keep-groups") == 0)
		return err_set(e, -ENOTSUP, "keep-groups: there is no caller whose groups could be kept: name the groups");
	return unit_value_words(u, &u->groups, v, is_user);
}

int unit_keys_user_ns(struct unit_file *u, const char *v, struct err *e)
{
	if (strncmp(v, "auto:", 5) == 0 || strncmp(v, "keep-id", 7) == 0 || strcmp(v, "nomap") == 0)
		return err_set(e, -ENOTSUP, "%s: every unit has a range of ids of its own, from 0 on: auto demands it, host does without", v);
	if (v[0] && strcmp(v, "host") != 0 && strcmp(v, "auto") != 0)
		return -EINVAL;
	u->userns = !v[0] ? UNIT_USERNS_SHOULD : v[0] == 'h' ? UNIT_USERNS_HOST : UNIT_USERNS_MUST;
	return 0;
}

int unit_keys_workdir(struct unit_file *u, const char *v, struct err *e)
{
	return !v[0] || unit_value_is_path(v) ? unit_value_text(u, &u->workdir, v) : -EINVAL;
}

int unit_keys_hostname(struct unit_file *u, const char *v, struct err *e)
{
	if (strlen(v) > 64 || v[0] == '-' || v[0] == '.')
		return -EINVAL;
	for (const char *p = v; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '-' && *p != '.')
			return -EINVAL;
	return unit_value_text(u, &u->hostname, v);
}

int unit_keys_read_only(struct unit_file *u, const char *v, struct err *e)
{
	int r = unit_value_bool(&u->is_read_only, v, true);

	if (r == 0 && !u->is_read_only)
		return err_set(e, -ENOTSUP, "false: the root of a container is always read-only here: Tmpfs= for scratch, Volume= for what "
			"has to stay");
	return r;
}

int unit_keys_read_only_tmpfs(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_bool(&u->has_tmpfs, v, true);
}

int unit_keys_tmpfs(struct unit_file *u, const char *v, struct err *e)
{
	return !v[0] || unit_value_is_path(v) ? unit_value_line(u, &u->tmpfs, v) : -EINVAL;
}

static bool is_volume_name(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && (i == 0 || !strchr("_.-", s[i])))
			return false;
	return len > 0 && len < 128;
}

int unit_keys_volume(struct unit_file *u, const char *v, struct err *e)
{
	const char *colon = strchr(v, ':');
	size_t len = colon ? (size_t)(colon - v) : 0;

	if (!v[0])
		return unit_value_line(u, &u->volumes, v);
	if (!colon)
		return unit_value_is_path(v) ? err_set(e, -ENOTSUP, "a volume without a name lives no longer than the container: use Tmpfs=%.200s", v) :
			-EINVAL;
	if (len > 7 && strncmp(colon - 7, ".volume", 7) == 0)
		return err_set(e, -ENOTSUP, ".volume units are not supported: write a plain name, Volume=%.*s%s", (int)(len - 7), v,
			colon);
	if (v[0] != '/' && !is_volume_name(v, len))
		return -EINVAL;
	return unit_value_is_path(colon + 1) && (v[0] != '/' || (unit_value_is_path(v) && len > 1)) ? unit_value_line(u, &u->volumes, v) : -EINVAL;
}

static int caps(uint64_t *set, const char *v, struct err *e)
{
	char word[64];
	int r;

	if (!v[0])
		*set = 0;
	while ((r = quadlet_word(&v, word, sizeof(word))) == 1) {
		int number = caps_number(word);

		if (strcasecmp(word, "all") == 0)
			*set |= caps_all();
		else if (number >= 0)
			*set |= 1ull << number;
		else
			return err_set(e, -EINVAL, "%s: no capability of that name (capabilities(7))", word);
	}
	return r < 0 ? -EINVAL : 0;
}

int unit_keys_add_capability(struct unit_file *u, const char *v, struct err *e)
{
	int r = caps(&u->cap_add, v, e);

	/* Without a filter of devices it is every disk of the board. */
	if (r == 0 && u->cap_add >> CAP_MKNOD & 1)
		return err_set(e, -ENOTSUP, "CAP_MKNOD (also as part of all): would open every device of the board: AddDevice= names those "
			"needed");
	return r;
}

int unit_keys_drop_capability(struct unit_file *u, const char *v, struct err *e)
{
	return caps(&u->cap_drop, v, e);
}

int unit_keys_no_new_privileges(struct unit_file *u, const char *v, struct err *e)
{
	bool is_set = true;
	int r = unit_value_bool(&is_set, v, true);

	u->has_new_privileges = !is_set;
	return r;
}

int unit_keys_run_init(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_bool(&u->has_init, v, false);
}

int unit_keys_seccomp_profile(struct unit_file *u, const char *v, struct err *e)
{
	return !v[0] || strcmp(v, "unconfined") == 0 || unit_value_is_path(v) ? unit_value_text(u, &u->seccomp, v) : -EINVAL;
}

int unit_keys_memory(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_size(&u->memory_max, v, (uint64_t)CONFIG_UNIT_MEMORY_MIB << 20, 256 * 1024);
}

int unit_keys_shm_size(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_size(&u->shm_size, v, (uint64_t)CONFIG_UNIT_SHM_MIB << 20, 4096);
}

int unit_keys_pids_limit(struct unit_file *u, const char *v, struct err *e)
{
	uint64_t n = CONFIG_UNIT_PIDS;

	if (v[0] && (!quadlet_u64(v, 4194304, &n) || n == 0))
		return -EINVAL;
	u->pids_max = n;
	return 0;
}

int unit_keys_ulimit(struct unit_file *u, const char *v, struct err *e)
{
	return !v[0] || unit_value_is_pair(v) ? unit_value_line(u, &u->ulimits, v) : -EINVAL;
}

int unit_keys_stop_signal(struct unit_file *u, const char *v, struct err *e)
{
	int n = v[0] ? signals_number(v) : 0;

	if (n < 0)
		return -EINVAL;
	u->stop_signal = (uint32_t)n;
	return 0;
}

int unit_keys_stop_timeout(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_ms(&u->timeout_stop_ms, v, 10000);
}

static int colon_paths(struct unit_file *u, struct unit_list *l, const char *v, bool may_be_all)
{
	char path[1024];

	if (!v[0])
		l->count = 0;
	if (may_be_all && strcasecmp(v, "ALL") == 0)
		return unit_value_add(u, l, "ALL");
	while (*v) {
		size_t len = strcspn(v, ":");

		if (len == 0 || len >= sizeof(path))
			return -EINVAL;
		memcpy(path, v, len);
		path[len] = '\0';
		if (!unit_value_is_path(path))
			return -EINVAL;
		if (unit_value_add(u, l, path) < 0)
			return -EFBIG;
		v += len + (v[len] == ':');
	}
	return 0;
}

int unit_keys_mask(struct unit_file *u, const char *v, struct err *e)
{
	return colon_paths(u, &u->mask, v, false);
}

int unit_keys_unmask(struct unit_file *u, const char *v, struct err *e)
{
	return colon_paths(u, &u->unmask, v, true);
}

int unit_keys_add_device(struct unit_file *u, const char *v, struct err *e)
{
	return !v[0] || strncmp(v + (v[0] == '-'), "/dev/", 5) == 0 ? unit_value_line(u, &u->devices, v) : -EINVAL;
}

static bool is_file_name(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr("_.-", s[i]))
			return false;
	return len > 0 && len < 64 && s[0] != '.';
}

int unit_keys_secret(struct unit_file *u, const char *v, struct err *e)
{
	size_t len = strcspn(v, ",");

	if (v[0] && !is_file_name(v, len))
		return -EINVAL;
	for (const char *at = v + len; *at; at += len) {
		at++;
		len = strcspn(at, ",");
		if (strncmp(at, "type=env", 8) == 0)
			return err_set(e, -ENOTSUP, "type=env: other processes of the user could read it: it is a file, /run/secrets/%.*s", (int)strcspn(v, ","), v);
		if (strncmp(at, "type=mount", len) == 0 && len == 10)
			continue;
		if (strncmp(at, "target=", 7) == 0 ? !is_file_name(at + 7, len - 7) :
		    (strncmp(at, "uid=", 4) && strncmp(at, "gid=", 4) && strncmp(at, "mode=", 5)) || strspn(strchr(at, '=') + 1, "0123456789") != len - (size_t)(strchr(at, '=') + 1 - at))
			return -EINVAL;
	}
	return unit_value_line(u, &u->secrets, v);
}

int unit_keys_sysctl(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_words(u, &u->sysctls, v, unit_value_is_pair);
}

int unit_keys_pull(struct unit_file *u, const char *v, struct err *e)
{
	static const struct {
		const char *name;
		enum unit_pull pull;
	} words[] = {
		{ "", UNIT_PULL_MISSING }, { "missing", UNIT_PULL_MISSING }, { "always", UNIT_PULL_ALWAYS },
		{ "never", UNIT_PULL_NEVER }, { "newer", UNIT_PULL_ALWAYS },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(words[i].name, v) == 0) {
			u->pull = words[i].pull;
			return 0;
		}
	return -EINVAL;
}

int unit_keys_label(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_words(u, &u->labels, v, unit_value_is_pair);
}

int unit_keys_annotation(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_words(u, &u->annotations, v, unit_value_is_pair);
}

int unit_keys_notify(struct unit_file *u, const char *v, struct err *e)
{
	bool is_set = false;

	if (strcmp(v, "healthy") != 0 && unit_value_bool(&is_set, v, false) < 0)
		return -EINVAL;
	u->notify = is_set ? UNIT_NOTIFY_YES : v[0] == 'h' ? UNIT_NOTIFY_HEALTHY : UNIT_NOTIFY_NO;
	return 0;
}

/* One check a unit: the last key that names one counts. */
static void begin_health(struct unit_file *u, uint32_t kind)
{
	u->health.kind = kind;
	memset(u->health.arg, 0, sizeof(u->health.arg));
}

/* Appends the words of a command line to H. */
static int check_words(struct unit_file *u, struct unit_health *h, const char *v)
{
	struct unit_list words = { .count = 0 };
	int r = 0;

	if (h->kind != UNIT_HEALTH_CMD)
		return 0;
	if (v[0] == '[')
		r = json_words(u, &words, v);
	else if (!unit_health_add(h, "/bin/sh") || !unit_health_add(h, "-c") || !unit_health_add(h, v))
		r = -EFBIG;
	if (r == 0 && v[0] == '[' && (words.count == 0 || words.count > UNIT_HEALTH_WORDS_MAX))
		r = -EINVAL;
	for (uint32_t i = 0; r == 0 && i < words.count; i++)
		if (!unit_health_add(h, words.at[i]))
			r = -EFBIG;
	return r;
}

static uint32_t kind_of(const char *v)
{
	return !v[0] ? UNIT_HEALTH_UNSAID : strcmp(v, "none") == 0 ? UNIT_HEALTH_OFF : UNIT_HEALTH_CMD;
}

int unit_keys_health_cmd(struct unit_file *u, const char *v, struct err *e)
{
	begin_health(u, kind_of(v));
	return check_words(u, &u->health, v);
}

int unit_keys_startup_cmd(struct unit_file *u, const char *v, struct err *e)
{
	u->startup.kind = kind_of(v);
	memset(u->startup.arg, 0, sizeof(u->startup.arg));
	return check_words(u, &u->startup, v);
}

/* PORT or PORT/PATH. */
static int probe(struct unit_file *u, const char *v, uint32_t kind)
{
	size_t len = strcspn(v, "/");
	uint64_t port = 0;
	char digits[8];

	begin_health(u, v[0] ? kind : UNIT_HEALTH_UNSAID);
	if (!v[0])
		return 0;
	snprintf(digits, sizeof(digits), "%.*s", (int)len, v);
	if (!quadlet_u64(digits, 65535, &port) || port == 0 || (v[len] && kind == UNIT_HEALTH_TCP) ||
	    strlen(v + len) >= sizeof(u->health.arg))
		return -EINVAL;
	for (const char *p = v + len; *p; p++)
		if (*p <= ' ' || *p > '~')
			return -EINVAL;
	u->health.port = (uint32_t)port;
	snprintf(u->health.arg, sizeof(u->health.arg), "%s", v[len] ? v + len : "/");
	return 0;
}

int unit_keys_x_health_tcp(struct unit_file *u, const char *v, struct err *e)
{
	return probe(u, v, UNIT_HEALTH_TCP);
}

int unit_keys_x_health_http(struct unit_file *u, const char *v, struct err *e)
{
	return probe(u, v, UNIT_HEALTH_HTTP);
}

int unit_keys_health_interval(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_ms(&u->health.interval_ms, strcmp(v, "disable") == 0 ? "infinity" : v, 0);
}

int unit_keys_startup_interval(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_ms(&u->startup.interval_ms, strcmp(v, "disable") == 0 ? "infinity" : v, 0);
}

int unit_keys_health_timeout(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_ms(&u->health.timeout_ms, v, 0);
}

int unit_keys_startup_timeout(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_ms(&u->startup.timeout_ms, v, 0);
}

int unit_keys_health_start_period(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_ms(&u->health.start_period_ms, v, 0);
}

static int times(uint32_t *to, const char *v, uint64_t least)
{
	uint64_t n = 0;

	if (v[0] && (!quadlet_u64(v, 1000, &n) || n < least))
		return -EINVAL;
	*to = (uint32_t)n;
	return 0;
}

int unit_keys_health_retries(struct unit_file *u, const char *v, struct err *e)
{
	return times(&u->health.retries, v, 1);
}

int unit_keys_startup_retries(struct unit_file *u, const char *v, struct err *e)
{
	return times(&u->startup.retries, v, 0);
}

int unit_keys_startup_success(struct unit_file *u, const char *v, struct err *e)
{
	return times(&u->startup_success, v, 0);
}

int unit_keys_health_on_failure(struct unit_file *u, const char *v, struct err *e)
{
	static const char *const words[] = { "none", "kill", "restart", "stop" };

	for (uint32_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!v[0] || strcmp(words[i], v) == 0) {
			u->on_failure = i;
			return 0;
		}
	return -EINVAL;
}
