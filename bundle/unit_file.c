/* SPDX-License-Identifier: MIT */
/* From assignments (quadlet.c) by the table of keys (unit_keys.c) to a checked unit. */
#include "unit_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quadlet.h"
#include "unit_keys.h"

static const char suffix[] = ".container", release_suffix[] = ".release";

struct parse {
	struct unit_file *u;
	const char *path;
	const struct unit_notices *notices;
	struct err *e;
};

const char *unit_file_text(struct unit_file *u, const char *text, size_t len)
{
	char *at = u->text + u->text_used;

	if (len >= sizeof(u->text) - u->text_used)
		return NULL;
	memcpy(at, text, len);
	at[len] = '\0';
	u->text_used += len + 1;
	return at;
}

static void defaults(struct unit_file *u)
{
	u->start_limit_burst = 5;
	u->start_limit_interval_ms = 10000;
	u->is_read_only = true;
	u->has_tmpfs = true;
	u->memory_max = (uint64_t)CONFIG_UNIT_MEMORY_MIB << 20;
	u->pids_max = CONFIG_UNIT_PIDS;
	u->shm_size = (uint64_t)CONFIG_UNIT_SHM_MIB << 20;
	u->pull = UNIT_PULL_MISSING;
	u->restart = UNIT_RESTART_NO;
	u->restart_sec_ms = 1000;
	u->restart_max_sec_ms = 60000;
	u->timeout_start_ms = 90000;
	u->timeout_stop_ms = 10000;
	u->is_enabled = true;
	u->log_burst = CONFIG_LOG_BURST;
	u->log_interval_ms = 30000;
	u->log_size_max = CONFIG_LOG_FILE_KIB * 1024;
	u->pre_switch_ms = 60000;
}

static int name_from_path(struct unit_file *u, const char *path, struct err *e)
{
	const char *last = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	size_t len = strlen(last), tail = sizeof(release_suffix) - 1;
	bool is_release = len > tail && strcmp(last + len - tail, release_suffix) == 0;

	if (!is_release)
		tail = sizeof(suffix) - 1;
	snprintf(u->name, sizeof(u->name), "%.*s", (int)(len > tail ? len - tail : len), last);
	if (len <= tail || (!is_release && strcmp(last + len - tail, suffix) != 0))
		return err_set(e, -EINVAL, "%s: the name of a unit file ends in %s", path, suffix);
	if (strchr(last, '@'))
		return err_set(e, -ENOTSUP, "%s: templates (@) are not supported: write one file a unit", path);
	if (len - tail >= sizeof(u->name))
		return err_set(e, -EFBIG, "%s: the name is longer than %u bytes", path, UNIT_NAME_MAX - 1);
	for (const char *p = u->name; *p; p++)
		if (!isalnum((unsigned char)*p) && (p == u->name || !strchr("-_.", *p)))
			return err_set(e, -EINVAL, "%s: a unit's name has letters, digits, '-', '_' and '.' in it, nothing else", path);
	return 0;
}

static int unknown(struct parse *p, const struct quadlet_line *l)
{
	const struct unit_key *near = unit_keys_near(l->section, l->key);
	char shown[80];

	span_escape(span_str(l->section), shown, sizeof(shown));
	if (!unit_keys_has_section(l->section))
		return err_set(p->e, -EINVAL, "%s:%u: unknown section [%s]; there are [Unit], [Container], [Service], [Install], "
			"[Quadlet] and [X-Coracle]", p->path, l->line, shown);
	if (!near)
		return err_set(p->e, -EINVAL, "%s:%u: unknown key %s= in [%s]; docs/unit-keys.md lists all", p->path, l->line,
			l->key, shown);
	if (strcmp(near->section, l->section) == 0)
		return err_set(p->e, -EINVAL, "%s:%u: unknown key %s= in [%s]; did you mean %s=?", p->path, l->line, l->key,
			shown, near->name);
	return err_set(p->e, -EINVAL, "%s:%u: unknown key %s= in [%s]; did you mean %s= in [%s]?", p->path, l->line, l->key,
		shown, near->name, near->section);
}

static void notice(struct parse *p, const struct quadlet_line *l, const struct unit_key *k)
{
	char text[UNIT_NOTICE_MAX + 256];

	if (!p->notices)
		return;
	snprintf(text, sizeof(text), "%s:%u: %s= has no effect: %s", p->path, l->line, l->key, k->text);
	p->notices->say(p->notices->arg, text);
}

/* %n and its like (systemd.unit(5), "Specifiers"): the few that a unit without instances and without a host user can have. */
static int specifiers(struct parse *p, const struct quadlet_line *l, char *out, size_t size)
{
	size_t len = 0;

	for (const char *s = l->value; *s; s++) {
		char one[UNIT_NAME_MAX + 16] = { *s };

		/* "50%" is no specifier. */
		if (*s == '%' && (s[1] == '%' || isalpha((unsigned char)s[1]))) {
			s++;
			if (*s == '%')
				snprintf(one, sizeof(one), "%%");
			else if (*s == 'n')
				snprintf(one, sizeof(one), "%s.service", p->u->name);
			else if (*s == 'N' || *s == 'p')
				snprintf(one, sizeof(one), "%s", p->u->name);
			else
				return err_set(p->e, -ENOTSUP, "%s:%u: %s=: %%%c is not supported (%%n, %%N, %%p and %%%% are)",
					p->path, l->line, l->key, *s);
		}
		if (strlen(one) >= size - len)
			return err_set(p->e, -EFBIG, "%s:%u: %s=: too long", p->path, l->line, l->key);
		memcpy(out + len, one, strlen(one));
		len += strlen(one);
	}
	out[len] = '\0';
	return 0;
}

static int take(void *arg, const struct quadlet_line *l)
{
	static char value[QUADLET_VALUE_MAX + 256];
	struct parse *p = arg;
	const struct unit_key *k = unit_keys_find(l->section, l->key);
	char shown[100];
	int r;

	if (!k)
		return unknown(p, l);
	if (k->kind == UNIT_KEY_REFUSED)
		return err_set(p->e, -ENOTSUP, "%s:%u: %s= is not supported: %s", p->path, l->line, l->key, k->text);
	if (k->kind == UNIT_KEY_ACCEPTED) {
		notice(p, l, k);
		return 0;
	}
	r = specifiers(p, l, value, sizeof(value));
	if (r < 0)
		return r;
	r = k->set(p->u, value, p->e);
	if (r == 0)
		return 0;
	if (p->e && p->e->text[0])
		return err_prefix(p->e, r, "%s:%u: %s=", p->path, l->line, l->key);
	span_escape(span_str(l->value), shown, sizeof(shown));
	if (r == -EFBIG)
		return err_set(p->e, r, "%s:%u: %s=: too many or too long values", p->path, l->line, l->key);
	return err_set(p->e, r, "%s:%u: %s=%s: takes %s", p->path, l->line, l->key, shown, k->text);
}

bool unit_file_copies(const struct unit_file *u, const char *name, size_t len)
{
	bool does = false;

	for (uint32_t i = 0; i < u->on_update.count; i++) {
		const char *at = u->on_update.at[i], *colon = strchr(at, ':');

		if (!colon || ((size_t)(colon - at) == len && memcmp(at, name, len) == 0))
			does = (colon ? colon[1] : at[0]) == 'c';
	}
	return does;
}

/* Every volume that VolumeOnUpdate= names is there, and what a switch may take. */
static int judge_on_update(struct unit_file *u, const char *path, struct err *e)
{
	bool has_copy = false;

	for (uint32_t k = 0; k < u->on_update.count; k++) {
		const char *at = u->on_update.at[k];
		size_t len = strcspn(at, ":") + 1;
		uint32_t i = 0;

		while (at[len - 1] && i < u->volumes.count && strncmp(u->volumes.at[i], at, len) != 0)
			i++;
		if (at[len - 1] && i == u->volumes.count)
			return err_set(e, -EINVAL, "%s: VolumeOnUpdate=%s: no Volume= of that name", path, at);
	}
	for (uint32_t i = 0; i < u->volumes.count; i++)
		has_copy |= u->volumes.at[i][0] != '/' && unit_file_copies(u, u->volumes.at[i], strcspn(u->volumes.at[i], ":"));
	u->switch_ms = (has_copy ? CONFIG_VOLUME_COPY_DEADLINE_S * 1000U : 0) + (u->pre_switch.count ? u->pre_switch_ms : 0);
	return 0;
}

static int whole(struct unit_file *u, const char *path, struct err *e)
{
	if (!u->image)
		return err_set(e, -EINVAL, "%s: [Container] has no Image=: which image is it to run?", path);
	if (u->network != UNIT_NETWORK_OWN && (u->publish.count || u->dns.count || u->dns_search.count || u->dns_option.count || u->add_host.count ||
	    u->aliases.count || u->ip || u->ip6))
		return err_set(e, -EINVAL, "%s: PublishPort=, DNS=, DNSSearch=, DNSOption=, AddHost=, NetworkAlias=, IP= and IP6= are for Network=bridge or a "
			".network: Network=%s has nothing they could change", path, u->network == UNIT_NETWORK_HOST ? "host" : "none");
	if (!u->has_restart_max && u->restart_max_sec_ms < u->restart_sec_ms)
		u->restart_max_sec_ms = u->restart_sec_ms;
	if (u->type == UNIT_TYPE_ONESHOT && (u->restart == UNIT_RESTART_ALWAYS || u->restart == UNIT_RESTART_ON_SUCCESS))
		return err_set(e, -EINVAL, "%s: Type=oneshot ends when it is done: Restart=on-failure or no", path);
	if (u->watchdog_ms && !u->notify)
		return err_set(e, -EINVAL, "%s: WatchdogSec= needs Notify=yes: the program's WATCHDOG=1 comes the same way", path);
	if (u->type == UNIT_TYPE_ONESHOT && u->notify)
		return err_set(e, -EINVAL, "%s: Type=oneshot is done when it ends: Notify= has no meaning with it", path);
	if (u->restart_max_sec_ms < u->restart_sec_ms)
		return err_set(e, -EINVAL, "%s: RestartMaxDelaySec= is less than RestartSec=", path);
	return judge_on_update(u, path, e);
}

int unit_file_new(struct unit_file **out, struct span text, const char *path, const struct unit_notices *notices, struct err *e)
{
	struct unit_file *u = calloc(1, sizeof(*u));
	struct err own = { "" };
	struct parse p = { .u = u, .path = path, .notices = notices, .e = e ? e : &own };
	int r;

	*out = u;
	if (!u)
		return err_sys(e, ENOMEM, "%s", path);
	defaults(u);
	r = name_from_path(u, path, p.e);
	if (r == 0)
		r = quadlet_parse(text, path, take, &p, p.e);
	return r == 0 ? whole(u, path, p.e) : r;
}

void unit_file_free(struct unit_file *u)
{
	free(u);
}

const char *unit_file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}
