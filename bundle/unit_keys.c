/* SPDX-License-Identifier: MIT */
/*
 * The table of keys and the readers of their values (podman-systemd.unit(5), systemd.unit(5), systemd.service(5)). A reader gets one value with
 * specifiers replaced; an empty value puts the key back to its default. Values come from whoever provisions the board; every one is checked for form here and
 * for meaning where it is used.
 */
#include "unit_keys.h"

#include <ctype.h>
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "caps.h"
#include "quadlet.h"
#include "signals.h"

static int set_text(struct unit_file *u, const char **field, const char *value)
{
	*field = NULL;
	if (!value[0])
		return 0;
	*field = unit_file_text(u, value, strlen(value));
	return *field ? 0 : -EFBIG;
}

static int add_text(struct unit_file *u, struct unit_list *l, const char *value)
{
	const char *at;

	if (l->count == UNIT_LIST_MAX)
		return -EFBIG;
	at = unit_file_text(u, value, strlen(value));
	if (!at)
		return -EFBIG;
	l->at[l->count++] = at;
	return 0;
}

/* Appends the words of VALUE; an empty value empties the list. */
static int add_words(struct unit_file *u, struct unit_list *l, const char *value, bool (*is_good)(const char *word))
{
	char word[QUADLET_VALUE_MAX];
	int r;

	if (!value[0])
		l->count = 0;
	while ((r = quadlet_word(&value, word, sizeof(word))) == 1) {
		if (is_good && !is_good(word))
			return -EINVAL;
		r = add_text(u, l, word);
		if (r < 0)
			return r;
	}
	return r == -EBADMSG ? -EINVAL : r;
}

/* One value a line, not split. */
static int add_line(struct unit_file *u, struct unit_list *l, const char *value)
{
	if (!value[0]) {
		l->count = 0;
		return 0;
	}
	return add_text(u, l, value);
}

static int set_bool(bool *field, const char *value, bool fallback)
{
	if (!value[0]) {
		*field = fallback;
		return 0;
	}
	return quadlet_bool(value, field) ? 0 : -EINVAL;
}

static int set_ms(uint32_t *field, const char *value, uint32_t fallback)
{
	if (!value[0]) {
		*field = fallback;
		return 0;
	}
	return quadlet_ms(value, field) ? 0 : -EINVAL;
}

static bool is_path(const char *s)
{
	size_t len = strlen(s);

	return s[0] == '/' && !strstr(s, "/../") && !(len >= 3 && strcmp(s + len - 3, "/..") == 0);
}

static bool is_env(const char *s)
{
	return s[0] != '=' && !isdigit((unsigned char)s[0]) && strchr(s, '=');
}

static bool is_pair(const char *s)
{
	return s[0] != '=' && strchr(s, '=');
}

/* [Unit] */

static int unit_description(struct unit_file *u, const char *v, struct err *e)
{
	return set_text(u, &u->description, v);
}

/* Names of other units here; targets are reached before any unit starts. */
static int add_units(struct unit_file *u, struct unit_list *l, const char *v, struct err *e)
{
	char word[256];
	int r;

	if (!v[0])
		l->count = 0;
	while ((r = quadlet_word(&v, word, sizeof(word))) == 1) {
		char *dot = strrchr(word, '.');

		if (dot && strcmp(dot, ".target") == 0)
			continue;
		if (!dot || (strcmp(dot, ".service") != 0 && strcmp(dot, ".container") != 0))
			return err_set(e, -ENOTSUP, "%s: only .container, .service and .target units exist here", word);
		*dot = '\0';
		r = add_text(u, l, word);
		if (r < 0)
			return r;
	}
	return r < 0 ? -EINVAL : 0;
}

static int unit_after(struct unit_file *u, const char *v, struct err *e)
{
	return add_units(u, &u->after, v, e);
}

static int unit_requires(struct unit_file *u, const char *v, struct err *e)
{
	return add_units(u, &u->requires, v, e);
}

static int unit_burst(struct unit_file *u, const char *v, struct err *e)
{
	uint64_t n = 5;

	if (v[0] && !quadlet_u64(v, 100000, &n))
		return -EINVAL;
	u->start_limit_burst = (uint32_t)n;
	return 0;
}

static int unit_interval(struct unit_file *u, const char *v, struct err *e)
{
	return set_ms(&u->start_limit_interval_ms, v, 10000);
}

/* [Container] */

static int image(struct unit_file *u, const char *v, struct err *e)
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
	return set_text(u, &u->image, v);
}

static int container_name(struct unit_file *u, const char *v, struct err *e)
{
	return set_text(u, &u->container_name, v);
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

static int command(struct unit_file *u, struct unit_list *l, const char *v)
{
	char word[QUADLET_VALUE_MAX];
	int r;

	l->count = 0;
	while ((r = quadlet_word(&v, word, sizeof(word))) == 1) {
		dollars(word);
		r = add_text(u, l, word);
		if (r < 0)
			return r;
	}
	return r == -EBADMSG ? -EINVAL : r;
}

static int container_exec(struct unit_file *u, const char *v, struct err *e)
{
	u->has_exec = v[0];
	return command(u, &u->exec, v);
}

/* A JSON array of strings, or one path: podman-run(1) --entrypoint. The array's syntax is read as words, with , and [] as blanks. */
static int container_entrypoint(struct unit_file *u, const char *v, struct err *e)
{
	char text[QUADLET_VALUE_MAX];
	bool is_quoted = false;
	size_t len = strlen(v);

	u->has_entrypoint = v[0];
	u->entrypoint.count = 0;
	if (v[0] != '[')
		return v[0] ? add_text(u, &u->entrypoint, v) : 0;
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
	return is_quoted ? -EINVAL : command(u, &u->entrypoint, text);
}

static int environment(struct unit_file *u, const char *v, struct err *e)
{
	return add_words(u, &u->environment, v, is_env);
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

static int user(struct unit_file *u, const char *v, struct err *e)
{
	char name[256];
	const char *colon = strchr(v, ':');
	int r;

	if (!colon)
		return is_user(v) ? set_text(u, &u->user, v) : -EINVAL;
	if ((size_t)snprintf(name, sizeof(name), "%.*s", (int)(colon - v), v) >= sizeof(name) || !name[0] || !colon[1] ||
	    !is_user(name) || !is_user(colon + 1))
		return -EINVAL;
	r = set_text(u, &u->user, name);
	return r < 0 ? r : set_text(u, &u->group, colon + 1);
}

static int group(struct unit_file *u, const char *v, struct err *e)
{
	return is_user(v) ? set_text(u, &u->group, v) : -EINVAL;
}

static int group_add(struct unit_file *u, const char *v, struct err *e)
{
	if (strcmp(v, "keep-groups") == 0)
		return err_set(e, -ENOTSUP, "keep-groups: there is no caller whose groups could be kept: name the groups");
	return add_words(u, &u->groups, v, is_user);
}

static int user_ns(struct unit_file *u, const char *v, struct err *e)
{
	if (!v[0] || strcmp(v, "host") == 0)
		return 0;
	if (strcmp(v, "auto") == 0 || strncmp(v, "auto:", 5) == 0 || strncmp(v, "keep-id", 7) == 0 || strcmp(v, "nomap") == 0)
		return err_set(e, -ENOTSUP, "%s: a unit cannot have a user namespace yet, and one that asks for it is not started "
			"without: take the key out", v);
	return -EINVAL;
}

static int workdir(struct unit_file *u, const char *v, struct err *e)
{
	return !v[0] || is_path(v) ? set_text(u, &u->workdir, v) : -EINVAL;
}

static int hostname(struct unit_file *u, const char *v, struct err *e)
{
	if (strlen(v) > 64 || v[0] == '-' || v[0] == '.')
		return -EINVAL;
	for (const char *p = v; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '-' && *p != '.')
			return -EINVAL;
	return set_text(u, &u->hostname, v);
}

static int network(struct unit_file *u, const char *v, struct err *e)
{
	if (v[0] && strcmp(v, "none") != 0 && strcmp(v, "host") != 0)
		return err_set(e, -ENOTSUP, "%.80s: there are no bridges or networks here: none (no network at all) or host (the board's "
			"own)", v);
	u->network = strcmp(v, "host") == 0 ? UNIT_NETWORK_HOST : UNIT_NETWORK_NONE;
	return 0;
}

static int read_only(struct unit_file *u, const char *v, struct err *e)
{
	int r = set_bool(&u->is_read_only, v, true);

	if (r == 0 && !u->is_read_only)
		return err_set(e, -ENOTSUP, "false: the root of a container is always read-only here: Tmpfs= for scratch, Volume= for what "
			"has to stay");
	return r;
}

static int read_only_tmpfs(struct unit_file *u, const char *v, struct err *e)
{
	return set_bool(&u->has_tmpfs, v, true);
}

static int tmpfs(struct unit_file *u, const char *v, struct err *e)
{
	return !v[0] || is_path(v) ? add_line(u, &u->tmpfs, v) : -EINVAL;
}

static bool is_volume_name(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && (i == 0 || !strchr("_.-", s[i])))
			return false;
	return len > 0 && len < 128;
}

static int volume(struct unit_file *u, const char *v, struct err *e)
{
	const char *colon = strchr(v, ':');
	size_t len = colon ? (size_t)(colon - v) : 0;

	if (!v[0])
		return add_line(u, &u->volumes, v);
	if (!colon)
		return is_path(v) ? err_set(e, -ENOTSUP, "a volume without a name lives no longer than the container: use Tmpfs=%.200s", v) :
			-EINVAL;
	if (len > 7 && strncmp(colon - 7, ".volume", 7) == 0)
		return err_set(e, -ENOTSUP, ".volume units are not supported: write a plain name, Volume=%.*s%s", (int)(len - 7), v,
			colon);
	if (v[0] != '/' && !is_volume_name(v, len))
		return -EINVAL;
	return is_path(colon + 1) && (v[0] != '/' || (is_path(v) && len > 1)) ? add_line(u, &u->volumes, v) : -EINVAL;
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

static int add_capability(struct unit_file *u, const char *v, struct err *e)
{
	int r = caps(&u->cap_add, v, e);

	/* Without a filter of devices it is every disk of the board. */
	if (r == 0 && u->cap_add >> CAP_MKNOD & 1)
		return err_set(e, -ENOTSUP, "CAP_MKNOD (also as part of all): would open every device of the board: AddDevice= names those "
			"needed");
	return r;
}

static int drop_capability(struct unit_file *u, const char *v, struct err *e)
{
	return caps(&u->cap_drop, v, e);
}

static int no_new_privileges(struct unit_file *u, const char *v, struct err *e)
{
	bool is_set = true;
	int r = set_bool(&is_set, v, true);

	u->has_new_privileges = !is_set;
	return r;
}

static int seccomp_profile(struct unit_file *u, const char *v, struct err *e)
{
	return !v[0] || strcmp(v, "unconfined") == 0 || is_path(v) ? set_text(u, &u->seccomp, v) : -EINVAL;
}

static int size(uint64_t *field, const char *v, uint64_t fallback, uint64_t min)
{
	uint64_t n = fallback;

	if (v[0] && (!quadlet_size(v, &n) || n < min))
		return -EINVAL;
	*field = n;
	return 0;
}

static int memory(struct unit_file *u, const char *v, struct err *e)
{
	return size(&u->memory_max, v, (uint64_t)CONFIG_UNIT_MEMORY_MIB << 20, 256 * 1024);
}

static int shm_size(struct unit_file *u, const char *v, struct err *e)
{
	return size(&u->shm_size, v, (uint64_t)CONFIG_UNIT_SHM_MIB << 20, 4096);
}

static int pids_limit(struct unit_file *u, const char *v, struct err *e)
{
	uint64_t n = CONFIG_UNIT_PIDS;

	if (v[0] && (!quadlet_u64(v, 4194304, &n) || n == 0))
		return -EINVAL;
	u->pids_max = n;
	return 0;
}

static int ulimit(struct unit_file *u, const char *v, struct err *e)
{
	return !v[0] || is_pair(v) ? add_line(u, &u->ulimits, v) : -EINVAL;
}

static int stop_signal(struct unit_file *u, const char *v, struct err *e)
{
	int n = v[0] ? signals_number(v) : 0;

	if (n < 0)
		return -EINVAL;
	u->stop_signal = (uint32_t)n;
	return 0;
}

static int stop_timeout(struct unit_file *u, const char *v, struct err *e)
{
	return set_ms(&u->timeout_stop_ms, v, 10000);
}

static int colon_paths(struct unit_file *u, struct unit_list *l, const char *v, bool may_be_all)
{
	char path[1024];

	if (!v[0])
		l->count = 0;
	if (may_be_all && strcasecmp(v, "ALL") == 0)
		return add_text(u, l, "ALL");
	while (*v) {
		size_t len = strcspn(v, ":");

		if (len == 0 || len >= sizeof(path))
			return -EINVAL;
		memcpy(path, v, len);
		path[len] = '\0';
		if (!is_path(path))
			return -EINVAL;
		if (add_text(u, l, path) < 0)
			return -EFBIG;
		v += len + (v[len] == ':');
	}
	return 0;
}

static int mask(struct unit_file *u, const char *v, struct err *e)
{
	return colon_paths(u, &u->mask, v, false);
}

static int unmask(struct unit_file *u, const char *v, struct err *e)
{
	return colon_paths(u, &u->unmask, v, true);
}

static int add_device(struct unit_file *u, const char *v, struct err *e)
{
	return !v[0] || strncmp(v + (v[0] == '-'), "/dev/", 5) == 0 ? add_line(u, &u->devices, v) : -EINVAL;
}

static int sysctl(struct unit_file *u, const char *v, struct err *e)
{
	return add_words(u, &u->sysctls, v, is_pair);
}

static int pull(struct unit_file *u, const char *v, struct err *e)
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

static int label(struct unit_file *u, const char *v, struct err *e)
{
	return add_words(u, &u->labels, v, is_pair);
}

static int annotation(struct unit_file *u, const char *v, struct err *e)
{
	return add_words(u, &u->annotations, v, is_pair);
}

/* [Service] */

static int restart(struct unit_file *u, const char *v, struct err *e)
{
	static const struct {
		const char *name;
		enum unit_restart restart;
	} words[] = {
		{ "", UNIT_RESTART_NO }, { "no", UNIT_RESTART_NO }, { "on-success", UNIT_RESTART_ON_SUCCESS },
		{ "on-failure", UNIT_RESTART_ON_FAILURE }, { "on-abnormal", UNIT_RESTART_ON_ABNORMAL },
		{ "on-abort", UNIT_RESTART_ON_ABORT }, { "always", UNIT_RESTART_ALWAYS },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(words[i].name, v) == 0) {
			u->restart = words[i].restart;
			return 0;
		}
	return -EINVAL;
}

static int restart_sec(struct unit_file *u, const char *v, struct err *e)
{
	return set_ms(&u->restart_sec_ms, v, 1000);
}

static int restart_max(struct unit_file *u, const char *v, struct err *e)
{
	u->has_restart_max = v[0];
	return set_ms(&u->restart_max_sec_ms, v, 60000);
}

static int timeout_start(struct unit_file *u, const char *v, struct err *e)
{
	return set_ms(&u->timeout_start_ms, v, 90000);
}

static int timeout_both(struct unit_file *u, const char *v, struct err *e)
{
	int r = set_ms(&u->timeout_start_ms, v, 90000);

	return r < 0 ? r : set_ms(&u->timeout_stop_ms, v, 10000);
}

static int service_type(struct unit_file *u, const char *v, struct err *e)
{
	if (!v[0] || strcmp(v, "simple") == 0 || strcmp(v, "exec") == 0)
		return 0;
	return -EINVAL;
}

/* [X-Coracle] */

static int x_critical(struct unit_file *u, const char *v, struct err *e)
{
	return set_bool(&u->is_critical, v, false);
}

static int x_enabled(struct unit_file *u, const char *v, struct err *e)
{
	return set_bool(&u->is_enabled, v, true);
}

static int x_cpu_quota(struct unit_file *u, const char *v, struct err *e)
{
	char digits[16];
	uint64_t n = 0;
	size_t len = strlen(v);

	if (len && (v[len - 1] != '%' || len > sizeof(digits)))
		return -EINVAL;
	snprintf(digits, sizeof(digits), "%.*s", (int)(len ? len - 1 : 0), v);
	if (len && (!quadlet_u64(digits, 100000, &n) || n == 0))
		return -EINVAL;
	u->cpu_percent = (uint32_t)n;
	return 0;
}

static int x_cpu_weight(struct unit_file *u, const char *v, struct err *e)
{
	uint64_t n = 0;

	if (v[0] && (!quadlet_u64(v, 10000, &n) || n == 0))
		return -EINVAL;
	u->cpu_weight = (uint32_t)n;
	return 0;
}

static int x_cpus(struct unit_file *u, const char *v, struct err *e)
{
	return strspn(v, "0123456789,-") == strlen(v) && strlen(v) < 100 ? set_text(u, &u->cpu_set, v) : -EINVAL;
}

static int x_memory_low(struct unit_file *u, const char *v, struct err *e)
{
	return size(&u->memory_low, v, 0, 0);
}

static int x_swap(struct unit_file *u, const char *v, struct err *e)
{
	uint64_t n = 0;

	if (strcmp(v, "infinity") == 0) {
		u->swap_max = -1;
		return 0;
	}
	if (v[0] && !quadlet_size(v, &n))
		return -EINVAL;
	u->swap_max = (int64_t)n;
	return 0;
}

static int x_oom(struct unit_file *u, const char *v, struct err *e)
{
	uint64_t n = 0;

	u->has_oom_score_adj = v[0];
	if (v[0] && !quadlet_u64(v + (v[0] == '-'), 1000, &n))
		return -EINVAL;
	u->oom_score_adj = v[0] == '-' ? -(int32_t)n : (int32_t)n;
	return 0;
}

#define HONOURED(section, name, set, text) { section, name, UNIT_KEY_HONOURED, set, text }
#define ACCEPTED(section, name, text) { section, name, UNIT_KEY_ACCEPTED, NULL, text }
#define REFUSED(section, name, text) { section, name, UNIT_KEY_REFUSED, NULL, text }

#define NO_PODMAN "there is no podman here"
#define NO_HOOKS "no program of the host is run for a container: do it in the image, or in a unit of its own that this one is After="
#define NO_BRIDGE "there are no bridges or networks here: Network=host or Network=none"
#define NO_USERNS "user namespaces of units are not there yet: take it out"
#define NO_HEALTH "health checks by command are not there yet: take it out"
#define NO_SELINUX "there is no SELinux here"
#define NO_CONDITION "conditions are not checked here: decide when the unit files are written to the board"
#define USE_CONTAINER "units are containers: the key of that meaning in [Container] or [X-Coracle] does it"
#define TIME "a time span like 30, 90s, 1min 30s or infinity"
#define BOOLEAN "yes or no"

static const struct unit_key keys[] = {
	HONOURED("Unit", "Description", unit_description, "text, shown in status"),
	HONOURED("Unit", "After", unit_after, "names of units (NAME.container or NAME.service), at most 4 that exist; targets count as reached"),
	HONOURED("Unit", "Requires", unit_requires, "names of units that must exist here; it orders nothing (After= does)"),
	HONOURED("Unit", "StartLimitBurst", unit_burst, "a number of starts, 0 for no limit; default 5"),
	HONOURED("Unit", "StartLimitIntervalSec", unit_interval, TIME "; default 10s"),
	ACCEPTED("Unit", "Wants", "every enabled unit is started anyway"),
	ACCEPTED("Unit", "Documentation", "it is for people"),
	ACCEPTED("Unit", "DefaultDependencies", "there are no implicit dependencies"),
	ACCEPTED("Unit", "SourcePath", "it is for people"),
	REFUSED("Unit", "Before", "write After= into the other unit"),
	REFUSED("Unit", "BindsTo", "units do not stop one another: After= orders, Restart= keeps alive"),
	REFUSED("Unit", "PartOf", "units do not stop one another"),
	REFUSED("Unit", "Upholds", "Restart=always in the other unit keeps it alive"),
	REFUSED("Unit", "Requisite", "units do not stop one another: After= orders"),
	REFUSED("Unit", "Conflicts", "units do not stop one another: Enabled=no in [X-Coracle] keeps one from starting"),
	REFUSED("Unit", "OnFailure", "no unit is started by another's end: a supervisor watches `coracle status --json`"),
	REFUSED("Unit", "OnSuccess", "no unit is started by another's end"),
	REFUSED("Unit", "StartLimitAction", "Critical=yes in [X-Coracle] marks a unit without which the board is of no use"),
	REFUSED("Unit", "FailureAction", "Critical=yes in [X-Coracle] marks a unit without which the board is of no use"),
	REFUSED("Unit", "SuccessAction", "no unit's end powers the board off"),
	REFUSED("Unit", "RequiresMountsFor", "Volume= names what is mounted"),
	REFUSED("Unit", "ConditionPathExists", NO_CONDITION),
	REFUSED("Unit", "ConditionPathIsDirectory", NO_CONDITION),
	REFUSED("Unit", "ConditionHost", NO_CONDITION),
	REFUSED("Unit", "ConditionArchitecture", NO_CONDITION),
	REFUSED("Unit", "ConditionKernelCommandLine", NO_CONDITION),
	REFUSED("Unit", "AssertPathExists", NO_CONDITION),
	REFUSED("Unit", "StopWhenUnneeded", "a unit runs until it is stopped"),

	HONOURED("Container", "Image", image, "REGISTRY[:PORT]/REPOSITORY[:TAG][@DIGEST], with or without docker:// in front"),
	HONOURED("Container", "Exec", container_exec, "words; they replace the image's Cmd. $$ is a dollar, nothing is expanded"),
	HONOURED("Container", "Entrypoint", container_entrypoint, "one path, or [\"a\", \"JSON\", \"array\"]; replaces the image's Entrypoint and its Cmd"),
	HONOURED("Container", "Environment", environment, "NAME=VALUE words"),
	HONOURED("Container", "User", user, "a name of the image's /etc/passwd or a number, :GROUP may follow"),
	HONOURED("Container", "Group", group, "a name of the image's /etc/group or a number"),
	HONOURED("Container", "GroupAdd", group_add, "names of the image's /etc/group or numbers"),
	HONOURED("Container", "UserNS", user_ns, "host, which is how units run for now"),
	HONOURED("Container", "WorkingDir", workdir, "an absolute path"),
	HONOURED("Container", "HostName", hostname, "a host name; default: the unit's name"),
	HONOURED("Container", "ContainerName", container_name, "a name, kept as an annotation; commands use the unit's name"),
	HONOURED("Container", "Network", network, "none (the default) or host"),
	HONOURED("Container", "ReadOnly", read_only, "yes, which is the default and the only way"),
	HONOURED("Container", "ReadOnlyTmpfs", read_only_tmpfs, BOOLEAN "; yes (the default) puts a tmpfs on /run, /tmp and /var/tmp"),
	HONOURED("Container", "Tmpfs", tmpfs, "PATH[:OPTIONS], options: size= mode= uid= gid= nr_inodes= ro rw exec noexec suid nosuid dev nodev"),
	HONOURED("Container", "Volume", volume, "NAME:PATH[:OPTIONS] (kept under volumes/ of the store) or /HOST/PATH:PATH[:OPTIONS]; options: ro rw exec noexec suid nosuid nodev rbind bind rprivate"),
	HONOURED("Container", "AddCapability", add_capability, "names of capabilities(7); there are none by default"),
	HONOURED("Container", "DropCapability", drop_capability, "names of capabilities(7), or all; taken from those that AddCapability= gave"),
	HONOURED("Container", "NoNewPrivileges", no_new_privileges, BOOLEAN "; default yes"),
	HONOURED("Container", "SeccompProfile", seccomp_profile, "unconfined, or the absolute path of an OCI seccomp JSON file on the board; default: the built-in allow-list"),
	HONOURED("Container", "Memory", memory, "a size like 64m of at least 256k; the default is a limit too"),
	HONOURED("Container", "PidsLimit", pids_limit, "a number from 1; the default is a limit too"),
	HONOURED("Container", "ShmSize", shm_size, "a size like 16m for /dev/shm"),
	HONOURED("Container", "Ulimit", ulimit, "NAME=SOFT[:HARD], -1 for no limit (nofile, nproc, core, memlock, stack, ...)"),
	HONOURED("Container", "StopSignal", stop_signal, "the name or number of a signal (SIGTERM, RTMIN+3, 15); default: the image's, else SIGTERM"),
	HONOURED("Container", "StopTimeout", stop_timeout, TIME "; default 10s"),
	HONOURED("Container", "Mask", mask, "absolute paths, separated by colons"),
	HONOURED("Container", "Unmask", unmask, "absolute paths, separated by colons, or ALL"),
	HONOURED("Container", "AddDevice", add_device, "[-]/dev/NODE[:/dev/NAME][:rwm]; with - only where the board has it"),
	HONOURED("Container", "Sysctl", sysctl, "NAME=VALUE of net.* (not with Network=host), kernel.msg*, kernel.sem, kernel.shm*, fs.mqueue.*"),
	HONOURED("Container", "Pull", pull, "missing (the default), always, newer (as always) or never"),
	HONOURED("Container", "Label", label, "NAME=VALUE words; kept as annotations, never behaviour"),
	HONOURED("Container", "Annotation", annotation, "NAME=VALUE words; kept in config.json, never behaviour"),
	ACCEPTED("Container", "LogDriver", "logs go to the board's own rings; `coracle logs` shows them"),
	ACCEPTED("Container", "LogOpt", "logs go to the board's own rings"),
	ACCEPTED("Container", "Timezone", "only TZ= in Environment= reaches the program: set it there"),
	ACCEPTED("Container", "RunInit", "a pid namespace's first process is the program itself; orphans of it are reaped with it"),
	ACCEPTED("Container", "AutoUpdate", "updates have their own command"),
	ACCEPTED("Container", "CgroupsMode", "every unit has a cgroup of its own"),
	ACCEPTED("Container", "Retry", "a pull is tried again with backoff for ever"),
	ACCEPTED("Container", "RetryDelay", "a pull is tried again with backoff for ever"),
	ACCEPTED("Container", "HttpProxy", "no proxy variables are handed in"),
	ACCEPTED("Container", "SecurityLabelDisable", NO_SELINUX),
	ACCEPTED("Container", "SecurityLabelFileType", NO_SELINUX),
	ACCEPTED("Container", "SecurityLabelLevel", NO_SELINUX),
	ACCEPTED("Container", "SecurityLabelNested", NO_SELINUX),
	ACCEPTED("Container", "SecurityLabelType", NO_SELINUX),
	ACCEPTED("Container", "ExposeHostPort", "it publishes nothing in podman either"),
	REFUSED("Container", "Mount", "use Volume= or Tmpfs="),
	REFUSED("Container", "Secret", "secrets are not there yet: a Volume= of a directory of mode 0700"),
	REFUSED("Container", "PublishPort", NO_BRIDGE),
	REFUSED("Container", "AddHost", "put the name into the image's /etc/hosts, or a Volume= on it"),
	REFUSED("Container", "DNS", "put a Volume= on /etc/resolv.conf"),
	REFUSED("Container", "DNSOption", "put a Volume= on /etc/resolv.conf"),
	REFUSED("Container", "DNSSearch", "put a Volume= on /etc/resolv.conf"),
	REFUSED("Container", "IP", NO_BRIDGE),
	REFUSED("Container", "IP6", NO_BRIDGE),
	REFUSED("Container", "NetworkAlias", NO_BRIDGE),
	REFUSED("Container", "EnvironmentFile", "write Environment= lines"),
	REFUSED("Container", "EnvironmentHost", "the environment of PID 1 is not handed in: write Environment= lines"),
	REFUSED("Container", "UIDMap", NO_USERNS),
	REFUSED("Container", "GIDMap", NO_USERNS),
	REFUSED("Container", "SubUIDMap", NO_USERNS),
	REFUSED("Container", "SubGIDMap", NO_USERNS),
	REFUSED("Container", "RemapUsers", NO_USERNS),
	REFUSED("Container", "RemapUid", NO_USERNS),
	REFUSED("Container", "RemapGid", NO_USERNS),
	REFUSED("Container", "RemapUidSize", NO_USERNS),
	REFUSED("Container", "HealthCmd", NO_HEALTH),
	REFUSED("Container", "HealthInterval", NO_HEALTH),
	REFUSED("Container", "HealthLogDestination", NO_HEALTH),
	REFUSED("Container", "HealthMaxLogCount", NO_HEALTH),
	REFUSED("Container", "HealthMaxLogSize", NO_HEALTH),
	REFUSED("Container", "HealthOnFailure", NO_HEALTH),
	REFUSED("Container", "HealthRetries", NO_HEALTH),
	REFUSED("Container", "HealthStartPeriod", NO_HEALTH),
	REFUSED("Container", "HealthStartupCmd", NO_HEALTH),
	REFUSED("Container", "HealthStartupInterval", NO_HEALTH),
	REFUSED("Container", "HealthStartupRetries", NO_HEALTH),
	REFUSED("Container", "HealthStartupSuccess", NO_HEALTH),
	REFUSED("Container", "HealthStartupTimeout", NO_HEALTH),
	REFUSED("Container", "HealthTimeout", NO_HEALTH),
	REFUSED("Container", "Notify", "readiness by sd_notify is not there yet: take it out"),
	REFUSED("Container", "Pod", "there are no pods: one container a unit"),
	REFUSED("Container", "StartWithPod", "there are no pods: one container a unit"),
	REFUSED("Container", "PodmanArgs", NO_PODMAN ": use the key that has that meaning"),
	REFUSED("Container", "GlobalArgs", NO_PODMAN ": use the key that has that meaning"),
	REFUSED("Container", "ContainersConfModule", NO_PODMAN),
	REFUSED("Container", "ReloadCmd", "there is no reload: `coracle restart`"),
	REFUSED("Container", "ReloadSignal", "there is no reload: `coracle restart`"),
	REFUSED("Container", "Rootfs", "units run signed images: Image="),
	REFUSED("Container", "ServiceName", "a unit is named by its file"),
	REFUSED("Container", "VolatileTmp", "ReadOnlyTmpfs=yes is the default and does it"),
	REFUSED("Container", "AppArmor", "AppArmor is not used here: take it out"),

	HONOURED("Service", "Restart", restart, "no (the default), on-success, on-failure, on-abnormal, on-abort or always"),
	HONOURED("Service", "RestartSec", restart_sec, TIME ": the first delay, doubled at each further failure; default 1s"),
	HONOURED("Service", "RestartMaxDelaySec", restart_max, TIME ": where doubling ends; default 60s"),
	HONOURED("Service", "TimeoutStartSec", timeout_start, TIME "; default 90s"),
	HONOURED("Service", "TimeoutStopSec", stop_timeout, TIME "; default 10s; the same as StopTimeout= in [Container]"),
	HONOURED("Service", "TimeoutSec", timeout_both, TIME ", for both start and stop"),
	HONOURED("Service", "StartLimitBurst", unit_burst, "as in [Unit]"),
	HONOURED("Service", "StartLimitIntervalSec", unit_interval, "as in [Unit]"),
	HONOURED("Service", "StartLimitInterval", unit_interval, "as StartLimitIntervalSec= in [Unit]"),
	HONOURED("Service", "Type", service_type, "simple or exec; oneshot is Restart=no, notify is not there yet"),
	ACCEPTED("Service", "RestartSteps", "the delay doubles until RestartMaxDelaySec="),
	ACCEPTED("Service", "KillMode", "the whole cgroup is killed after TimeoutStopSec="),
	ACCEPTED("Service", "Delegate", "every unit has a cgroup of its own"),
	ACCEPTED("Service", "NotifyAccess", "readiness by sd_notify is not there yet"),
	ACCEPTED("Service", "SyslogIdentifier", "logs are kept by unit"),
	ACCEPTED("Service", "StandardOutput", "stdout goes to the unit's log"),
	ACCEPTED("Service", "StandardError", "stderr goes to the unit's log"),
	REFUSED("Service", "RemainAfterExit", "a unit is inactive when its program has ended"),
	REFUSED("Service", "ExecStart", "Exec= and Entrypoint= in [Container]"),
	REFUSED("Service", "ExecStartPre", NO_HOOKS),
	REFUSED("Service", "ExecStartPost", NO_HOOKS),
	REFUSED("Service", "ExecStop", "StopSignal= in [Container]"),
	REFUSED("Service", "ExecStopPost", NO_HOOKS),
	REFUSED("Service", "ExecReload", "there is no reload: `coracle restart`"),
	REFUSED("Service", "ExecCondition", NO_HOOKS),
	REFUSED("Service", "Environment", "Environment= in [Container] reaches the program"),
	REFUSED("Service", "EnvironmentFile", "Environment= in [Container] reaches the program"),
	REFUSED("Service", "User", "User= in [Container]"),
	REFUSED("Service", "Group", "Group= in [Container]"),
	REFUSED("Service", "WorkingDirectory", "WorkingDir= in [Container]"),
	REFUSED("Service", "WatchdogSec", "readiness by sd_notify is not there yet"),
	REFUSED("Service", "SuccessExitStatus", "0 is success: let the program end with it"),
	REFUSED("Service", "RestartPreventExitStatus", "only Restart= decides"),
	REFUSED("Service", "RestartForceExitStatus", "only Restart= decides"),
	REFUSED("Service", "RestartMode", "only Restart= decides"),
	REFUSED("Service", "KillSignal", "StopSignal= in [Container]"),
	REFUSED("Service", "SendSIGKILL", "a program that does not stop in time is always killed"),
	REFUSED("Service", "RuntimeMaxSec", "a unit runs until it is stopped"),
	REFUSED("Service", "MemoryMax", "Memory= in [Container]"),
	REFUSED("Service", "MemoryHigh", "Memory= in [Container]"),
	REFUSED("Service", "MemorySwapMax", "MemorySwapMax= in [X-Coracle]"),
	REFUSED("Service", "TasksMax", "PidsLimit= in [Container]"),
	REFUSED("Service", "CPUQuota", "CpuQuota= in [X-Coracle]"),
	REFUSED("Service", "CPUWeight", "CpuWeight= in [X-Coracle]"),
	REFUSED("Service", "AllowedCPUs", "Cpus= in [X-Coracle]"),
	REFUSED("Service", "IOWeight", "I/O is not weighed yet"),
	REFUSED("Service", "Nice", "CpuWeight= in [X-Coracle]"),
	REFUSED("Service", "OOMScoreAdjust", "OomScoreAdjust= in [X-Coracle]"),
	REFUSED("Service", "LimitNOFILE", "Ulimit=nofile=... in [Container]"),
	REFUSED("Service", "LimitNPROC", "Ulimit=nproc=... in [Container]"),
	REFUSED("Service", "LimitCORE", "Ulimit=core=... in [Container]"),
	REFUSED("Service", "LimitMEMLOCK", "Ulimit=memlock=... in [Container]"),
	REFUSED("Service", "Slice", "every unit has a cgroup of its own"),
	REFUSED("Service", "PIDFile", "the program's process is known without"),
	REFUSED("Service", "NoNewPrivileges", USE_CONTAINER),
	REFUSED("Service", "CapabilityBoundingSet", USE_CONTAINER),
	REFUSED("Service", "SystemCallFilter", USE_CONTAINER),

	ACCEPTED("Install", "WantedBy", "every unit is started at boot unless [X-Coracle] says Enabled=no"),
	ACCEPTED("Install", "RequiredBy", "every unit is started at boot unless [X-Coracle] says Enabled=no"),
	ACCEPTED("Install", "UpheldBy", "every unit is started at boot unless [X-Coracle] says Enabled=no"),
	REFUSED("Install", "Alias", "a unit is named by its file"),
	REFUSED("Install", "DefaultInstance", "there are no templates: write one file a unit"),
	REFUSED("Install", "Also", "every unit is started at boot"),

	ACCEPTED("Quadlet", "DefaultDependencies", "there are no implicit dependencies"),

	HONOURED("X-Coracle", "Critical", x_critical, BOOLEAN "; default no: the board is of no use without this unit"),
	HONOURED("X-Coracle", "Enabled", x_enabled, BOOLEAN "; default yes: started at boot"),
	HONOURED("X-Coracle", "CpuQuota", x_cpu_quota, "percent of one CPU, like 50% or 150%"),
	HONOURED("X-Coracle", "CpuWeight", x_cpu_weight, "1 to 10000; the kernel's default is 100"),
	HONOURED("X-Coracle", "Cpus", x_cpus, "a list like 0-1,3"),
	HONOURED("X-Coracle", "MemoryMax", memory, "as Memory= in [Container]"),
	HONOURED("X-Coracle", "MemoryLow", x_memory_low, "a size that is kept for the unit under pressure"),
	HONOURED("X-Coracle", "MemorySwapMax", x_swap, "a size, or infinity; default 0: no swap"),
	HONOURED("X-Coracle", "PidsMax", pids_limit, "as PidsLimit= in [Container]"),
	HONOURED("X-Coracle", "OomScoreAdjust", x_oom, "-1000 to 1000"),
};

enum { KEYS = sizeof(keys) / sizeof(*keys), NEAR_MAX = 4 };

const struct unit_key *unit_keys_at(size_t index)
{
	return index < KEYS ? &keys[index] : NULL;
}

const struct unit_key *unit_keys_find(const char *section, const char *name)
{
	for (size_t i = 0; i < KEYS; i++)
		if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

const struct unit_key *unit_keys_near(const char *section, const char *name)
{
	const struct unit_key *best = NULL;
	unsigned least = NEAR_MAX * 4;

	for (size_t i = 0; i < KEYS; i++) {
		bool is_here = strcmp(keys[i].section, section) == 0;
		unsigned d = quadlet_distance(keys[i].name, name);
		unsigned cost = d * 4 + !is_here * 2u + (keys[i].kind == UNIT_KEY_REFUSED);

		/* A key of the same name in another section comes before a distant one of this. */
		if (d < NEAR_MAX && d < strlen(name) && cost < least) {
			least = cost;
			best = &keys[i];
		}
	}
	return best;
}

bool unit_keys_has_section(const char *section)
{
	for (size_t i = 0; i < KEYS; i++)
		if (strcmp(keys[i].section, section) == 0)
			return true;
	return false;
}
