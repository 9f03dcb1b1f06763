/* SPDX-License-Identifier: MIT */
/* Readers of the keys that say how a unit is updated: AutoUpdate= of podman-systemd.unit(5), and ours in [X-Coracle] beside it. */
#include <errno.h>
#include <string.h>

#include "quadlet.h"
#include "unit_keys_inner.h"

enum { INTERVAL_MIN_MS = 10000, PRE_SWITCH_MS = 60000, PRE_SWITCH_MIN_MS = 1000, PRE_SWITCH_MAX_MS = 3600000 };

int unit_keys_auto_update(struct unit_file *u, const char *v, struct err *e)
{
	u->update.is_auto = strcmp(v, "registry") == 0;
	return u->update.is_auto || !v[0] ? 0 :
		err_set(e, -EINVAL, "only \"registry\": other images do not come here by themselves");
}

int unit_keys_x_update_interval(struct unit_file *u, const char *v, struct err *e)
{
	int r = unit_value_ms(&u->update.interval_ms, v, 0);

	return r == 0 && v[0] && u->update.interval_ms < INTERVAL_MIN_MS ? -EINVAL : r;
}

int unit_keys_x_confirm(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_ms(&u->update.confirm_ms, v, 0);
}

int unit_keys_x_confirm_window(struct unit_file *u, const char *v, struct err *e)
{
	int r = unit_value_ms(&u->update.confirm_window_ms, v, 0);

	return r == 0 && v[0] && u->update.confirm_window_ms == 0 ? -EINVAL : r;
}

int unit_keys_x_confirm_registry(struct unit_file *u, const char *v, struct err *e)
{
	bool is_wanted = true;
	int r = unit_value_bool(&is_wanted, v, true);

	u->confirms_registry = !v[0] ? UNIT_CONFIRMS_DEFAULT : is_wanted ? UNIT_CONFIRMS_YES : UNIT_CONFIRMS_NO;
	return r;
}

/* "HH:MM" at *V, which moves behind it; minutes of the day, or -1. */
static int take_minutes(const char **v)
{
	const char *s = *v;
	int hours, minutes;

	for (int i = 0; i < 5; i++)
		if (i == 2 ? s[i] != ':' : s[i] < '0' || s[i] > '9')
			return -1;
	hours = (s[0] - '0') * 10 + s[1] - '0';
	minutes = (s[3] - '0') * 10 + s[4] - '0';
	*v += 5;
	return hours < 24 && minutes < 60 ? hours * 60 + minutes : -1;
}

int unit_keys_x_update_window(struct unit_file *u, const char *v, struct err *e)
{
	int from, to;

	u->update.window_from = u->update.window_to = 0;
	if (!v[0])
		return 0;
	from = take_minutes(&v);
	if (from < 0 || *v++ != '-')
		return -EINVAL;
	to = take_minutes(&v);
	if (to < 0 || *v)
		return -EINVAL;
	u->update.window_from = (uint16_t)from;
	u->update.window_to = (uint16_t)to;
	return 0;
}

/* [NAME:]copy|keep */
static bool is_on_update(const char *s)
{
	const char *colon = strchr(s, ':'), *what = colon ? colon + 1 : s;

	return colon != s && (strcmp(what, "copy") == 0 || strcmp(what, "keep") == 0);
}

int unit_keys_x_volume_on_update(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_words(u, &u->on_update, v, is_on_update);
}

int unit_keys_x_pre_switch(struct unit_file *u, const char *v, struct err *e)
{
	return unit_value_command(u, &u->pre_switch, v);
}

int unit_keys_x_pre_switch_sec(struct unit_file *u, const char *v, struct err *e)
{
	int r = unit_value_ms(&u->pre_switch_ms, v, PRE_SWITCH_MS);

	return r == 0 && (u->pre_switch_ms < PRE_SWITCH_MIN_MS || u->pre_switch_ms > PRE_SWITCH_MAX_MS) ? -EINVAL : r;
}
