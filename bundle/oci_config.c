/* SPDX-License-Identifier: MIT */
/* The frame of config.json; process, mounts and linux are in the files of those names. */
#include "oci_config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oci_config_inner.h"
#include "signals.h"

int oci_config_stop_signal(const struct unit_file *u, const struct image_config *image, struct err *e)
{
	int n;

	if (u->stop_signal)
		return (int)u->stop_signal;
	if (!image->stop_signal[0])
		return SIGTERM;
	n = signals_number(image->stop_signal);
	return n > 0 ? n : err_set(e, -EINVAL, "image config: config.StopSignal: \"%.40s\" is no signal: StopSignal= in the unit overrides it",
		image->stop_signal);
}

static const char *const own_names[] = { "org.coracle.unit", "org.coracle.image", "org.coracle.digest", "org.coracle.container-name", "org.coracle.userns",
	"org.coracle.init" };

/* Does NAME= (LEN bytes) stand in LIST at FROM or after it? */
static bool is_in(const struct unit_list *list, uint32_t from, const char *name, size_t len)
{
	for (uint32_t i = from; i < list->count; i++)
		if (strncmp(list->at[i], name, len) == 0 && list->at[i][len] == '=')
			return true;
	return false;
}

/* All of our prefix, also the names that this version does not write. */
static bool is_own(const char *name, size_t len)
{
	static const char prefix[] = "org.coracle.";

	return len >= sizeof(prefix) - 1 && memcmp(name, prefix, sizeof(prefix) - 1) == 0;
}

/* Of one name the last counts; annotations come before labels, and neither takes the name of one of ours. */
static void foreign(struct oci_writer *w, const struct unit_list *list, const struct unit_list *before)
{
	for (uint32_t i = 0; i < list->count; i++) {
		const char *text = list->at[i];
		size_t len = strcspn(text, "=");
		char name[256];

		if (is_own(text, len) || is_in(list, i + 1, text, len) || (before && is_in(before, 0, text, len)))
			continue;
		if (span_copy(span_of(text, len), name, sizeof(name)))
			json_out_text(&w->o, name, text + len + 1);
	}
}

/* The value of option NAME= in TEXT, or NULL; *LEN its length. */
static const char *option(const char *text, const char *name, size_t *len)
{
	for (const char *at = strchr(text, ','); at; at = strchr(at, ',')) {
		at++;
		if (strncmp(at, name, strlen(name)) == 0) {
			*len = strcspn(at + strlen(name), ",");
			return at + strlen(name);
		}
	}
	return NULL;
}

/* Secret=, for our own compiler: other runtimes make an empty /run/secrets of it. "UID GID MODE SOURCE" */
static void secret(struct oci_writer *w, const char *text)
{
	char key[128], value[1200];
	size_t target_len = strcspn(text, ","), n = 0;
	const char *target = text, *o;
	unsigned long uid = w->in->user->uid, gid = w->in->user->gid, mode = 0400;

	if ((o = option(text, "target=", &n))) {
		target = o;
		target_len = n;
	}
	if ((o = option(text, "uid=", &n)))
		uid = strtoul(o, NULL, 10);
	if ((o = option(text, "gid=", &n)))
		gid = strtoul(o, NULL, 10);
	if ((o = option(text, "mode=", &n)))
		mode = strtoul(o, NULL, 8);
	snprintf(key, sizeof(key), "org.coracle.secret.%.*s", (int)target_len, target);
	snprintf(value, sizeof(value), "%lu %lu %lu %s/config/secrets/%.*s", uid, gid, mode, w->in->store, (int)strcspn(text, ","), text);
	json_out_text(&w->o, key, value);
}

static void annotations(struct oci_writer *w)
{
	const struct unit_file *u = w->in->unit;

	json_out_object(&w->o, "annotations");
	json_out_text(&w->o, own_names[0], u->name);
	json_out_text(&w->o, own_names[1], u->image);
	json_out_text(&w->o, own_names[2], w->in->digest);
	if (u->container_name)
		json_out_text(&w->o, own_names[3], u->container_name);
	if (w->in->id_count && u->userns == UNIT_USERNS_SHOULD)
		json_out_text(&w->o, own_names[4], "optional");
	if (u->has_init)
		json_out_text(&w->o, own_names[5], "yes");
	for (uint32_t i = 0; i < u->secrets.count; i++)
		secret(w, u->secrets.at[i]);
	foreign(w, &u->annotations, NULL);
	foreign(w, &u->labels, &u->annotations);
	json_out_close(&w->o, '}');
}

int oci_config_write(const struct oci_config *c, char **json, size_t *len, struct err *e)
{
	struct oci_writer w = { .in = c, .e = e };
	int r, end;

	json_out_object(&w.o, NULL);
	json_out_text(&w.o, "ociVersion", "1.0.2");
	r = oci_config_process(&w);
	json_out_object(&w.o, "root");
	json_out_text(&w.o, "path", "rootfs");
	json_out_bool(&w.o, "readonly", true);
	json_out_close(&w.o, '}');
	json_out_text(&w.o, "hostname", c->unit->hostname ? c->unit->hostname : c->unit->name);
	if (r == 0)
		r = oci_config_mounts(&w);
	if (r == 0)
		r = oci_config_linux(&w);
	annotations(&w);
	json_out_close(&w.o, '}');
	end = json_out_end(&w.o, json, len);
	if (r < 0) {
		free(*json);
		*json = NULL;
		return r;
	}
	if (end == -EILSEQ)
		return err_set(e, -EINVAL, "config.json: a text of the unit or the image is not UTF-8");
	return end < 0 ? err_sys(e, -end, "config.json") : 0;
}
