/* SPDX-License-Identifier: MIT */
/*
 * Readers of the values of [Unit], [Service] and [X-Coracle] (systemd.unit(5), systemd.service(5)), and the small readers that those of
 * [Container] use too. Values come from whoever provisions the board; every one is checked for form here and for meaning where it is used.
 */
#include "unit_keys_inner.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "calendar.h"
#include "quadlet.h"
#include "signals.h"

int unit_value_text(struct unit_file *u, const char **field, const char *value)
{
	*field = NULL;
	if (!value[0])
		return 0;
	*field = unit_file_text(u, value, strlen(value));
	return *field ? 0 : -EFBIG;
}

int unit_value_add(struct unit_file *u, struct unit_list *l, const char *value)
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

int unit_value_words(struct unit_file *u, struct unit_list *l, const char *value, bool (*is_good)(const char *word))
{
	char word[QUADLET_VALUE_MAX];
	int r;

	if (!value[0])
		l->count = 0;
	while ((r = quadlet_word(&value, word, sizeof(word))) == 1) {
		if (is_good && !is_good(word))
			return -EINVAL;
		r = unit_value_add(u, l, word);
		if (r < 0)
			return r;
	}
	return r == -EBADMSG ? -EINVAL : r;
}

int unit_value_line(struct unit_file *u, struct unit_list *l, const char *value)
{
	if (!value[0]) {
		l->count = 0;
		return 0;
	}
	return unit_value_add(u, l, value);
}

int unit_value_bool(bool *field, const char *value, bool fallback)
{
	if (!value[0]) {
		*field = fallback;
		return 0;
	}
	return quadlet_bool(value, field) ? 0 : -EINVAL;
}

int unit_value_ms(uint32_t *field, const char *value, uint32_t fallback)
{
	if (!value[0]) {
		*field = fallback;
		return 0;
	}
	return quadlet_ms(value, field) ? 0 : -EINVAL;
}

bool unit_value_is_path(const char *s)
{
	size_t len = strlen(s);

	return s[0] == '/' && !strstr(s, "/../") && !(len >= 3 && strcmp(s + len - 3, "/..") == 0);
}

bool unit_value_is_pair(const char *s)
{
	return s[0] != '=' && strchr(s, '=');
}

int unit_value_size(uint64_t *field, const char *v, uint64_t fallback, uint64_t min)
{
	uint64_t n = fallback;

	if (v[0] && (!quadlet_size(v, &n) || n < min))
		return -EINVAL;
	*field = n;
	return 0;
}

/* [Unit] */

int unit_keys_unit_description(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_text(u, &u->description, v);
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
		r = unit_value_add(u, l, word);
		if (r < 0)
			return r;
	}
	return r < 0 ? -EINVAL : 0;
}

int unit_keys_unit_after(struct unit_file *u, const char *v, struct err *e)
{
	return add_units(u, &u->after, v, e);
}

int unit_keys_unit_requires(struct unit_file *u, const char *v, struct err *e)
{
	return add_units(u, &u->requires, v, e);
}

int unit_keys_unit_wants(struct unit_file *u, const char *v, struct err *e)
{
	return add_units(u, &u->wants, v, e);
}

int unit_keys_unit_burst(struct unit_file *u, const char *v, struct err *e)
{
	uint64_t n = 5;

	if (v[0] && !quadlet_u64(v, 100000, &n))
		return -EINVAL;
	u->start_limit_burst = (uint32_t)n;
	return 0;
}

int unit_keys_unit_interval(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_ms(&u->start_limit_interval_ms, v, 10000);
}

/* [Service] */

int unit_keys_restart(struct unit_file *u, const char *v, struct err *e)
{
	static const struct {
		const char *name;
		enum unit_restart restart;
	} words[] = {
		{ "", UNIT_RESTART_NO }, { "no", UNIT_RESTART_NO }, { "on-success", UNIT_RESTART_ON_SUCCESS },
		{ "on-failure", UNIT_RESTART_ON_FAILURE }, { "on-abnormal", UNIT_RESTART_ON_ABNORMAL },
		{ "on-abort", UNIT_RESTART_ON_ABORT }, { "on-watchdog", UNIT_RESTART_ON_WATCHDOG }, { "always", UNIT_RESTART_ALWAYS },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(words[i].name, v) == 0) {
			u->restart = words[i].restart;
			return 0;
		}
	return -EINVAL;
}

int unit_keys_restart_sec(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_ms(&u->restart_sec_ms, v, 1000);
}

int unit_keys_restart_max(struct unit_file *u, const char *v, struct err *e)
{
	u->has_restart_max = v[0];
	return unit_value_ms(&u->restart_max_sec_ms, v, 60000);
}

int unit_keys_timeout_start(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_ms(&u->timeout_start_ms, v, 90000);
}

int unit_keys_timeout_both(struct unit_file *u, const char *v, struct err *e)
{
	int r = unit_value_ms(&u->timeout_start_ms, v, 90000);

	return r < 0 ? r : unit_value_ms(&u->timeout_stop_ms, v, 10000);
}

int unit_keys_service_type(struct unit_file *u, const char *v, struct err *e)
{
	if (strcmp(v, "notify") == 0)
		u->notify = UNIT_NOTIFY_YES;
	else if (v[0] && strcmp(v, "simple") != 0 && strcmp(v, "exec") != 0 && strcmp(v, "oneshot") != 0)
		return -EINVAL;
	u->type = strcmp(v, "oneshot") == 0 ? UNIT_TYPE_ONESHOT : UNIT_TYPE_EXEC;
	return 0;
}

int unit_keys_remains(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_bool(&u->remains, v, false);
}

int unit_keys_watchdog(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_ms(&u->watchdog_ms, v, 0);
}

/* Codes by number, signals by name (systemd.service(5), SuccessExitStatus=). */
static int exits(uint16_t list[UNIT_EXITS_MAX], const char *v)
{
	char word[32];
	int r, len = 0;

	while (v[0] && len < UNIT_EXITS_MAX && list[len])
		len++;
	if (!v[0])
		memset(list, 0, UNIT_EXITS_MAX * sizeof(*list));
	while ((r = quadlet_word(&v, word, sizeof(word))) == 1) {
		uint64_t code;

		if (len == UNIT_EXITS_MAX)
			return -EFBIG;
		if (quadlet_u64(word, 255, &code))
			list[len++] = (uint16_t)(UNIT_EXIT_CODE | code);
		else if (!quadlet_u64(word, UINT64_MAX, &code) && signals_number(word) > 0)
			list[len++] = (uint16_t)(UNIT_EXIT_SIGNAL | signals_number(word));
		else
			return -EINVAL;
	}
	return r < 0 ? -EINVAL : 0;
}

int unit_keys_exit_success(struct unit_file *u, const char *v, struct err *e)
{
	return exits(u->exit_success, v);
}

int unit_keys_exit_prevent(struct unit_file *u, const char *v, struct err *e)
{
	return exits(u->exit_prevent, v);
}

int unit_keys_exit_force(struct unit_file *u, const char *v, struct err *e)
{
	return exits(u->exit_force, v);
}

int unit_keys_log_burst(struct unit_file *u, const char *v, struct err *e)
{
	uint64_t n = CONFIG_LOG_BURST;

	if (v[0] && !quadlet_u64(v, UINT32_MAX, &n))
		return -EINVAL;
	u->log_burst = (uint32_t)n;
	return 0;
}

int unit_keys_log_interval(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_ms(&u->log_interval_ms, v, 30000);
}

/* [X-Coracle] */

int unit_keys_x_log_size(struct unit_file *u, const char *v, struct err *e)
{
	uint64_t n = CONFIG_LOG_FILE_KIB * 1024;

	if (v[0] && (!quadlet_size(v, &n) || n > UINT32_MAX))
		return -EINVAL;
	u->log_size_max = (uint32_t)n;
	return 0;
}

int unit_keys_x_critical(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_bool(&u->is_critical, v, false);
}

int unit_keys_x_refuse_secrets(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_bool(&u->refuses_secrets, v, false);
}

int unit_keys_x_enabled(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_bool(&u->is_enabled, v, true);
}

int unit_keys_x_cpu_quota(struct unit_file *u, const char *v, struct err *e)
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

int unit_keys_x_cpu_weight(struct unit_file *u, const char *v, struct err *e)
{
	uint64_t n = 0;

	if (v[0] && (!quadlet_u64(v, 10000, &n) || n == 0))
		return -EINVAL;
	u->cpu_weight = (uint32_t)n;
	return 0;
}

int unit_keys_x_cpus(struct unit_file *u, const char *v, struct err *e)
{
	return strspn(v, "0123456789,-") == strlen(v) && strlen(v) < 100 ? unit_value_text(u, &u->cpu_set, v) : -EINVAL;
}

int unit_keys_x_memory_low(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_size(&u->memory_low, v, 0, 0);
}

int unit_keys_x_swap(struct unit_file *u, const char *v, struct err *e)
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

int unit_keys_x_oom(struct unit_file *u, const char *v, struct err *e)
{
	uint64_t n = 0;

	u->has_oom_score_adj = v[0];
	if (v[0] && !quadlet_u64(v + (v[0] == '-'), 1000, &n))
		return -EINVAL;
	u->oom_score_adj = v[0] == '-' ? -(int32_t)n : (int32_t)n;
	return 0;
}

int unit_keys_x_on_boot(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_ms(&u->on_boot_ms, v, 0);
}

int unit_keys_x_on_calendar(struct unit_file *u, const char *v, struct err *e)
{
	memset(&u->calendar, 0, sizeof(u->calendar));
	return !v[0] || calendar_parse(v, &u->calendar) ? 0 : -EINVAL;
}
