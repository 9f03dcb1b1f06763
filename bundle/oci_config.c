/* SPDX-License-Identifier: MIT */
/* The frame of config.json; process, mounts and linux are in the files of those names. */
#include "oci_config.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "oci_config_inner.h"
#include "signals.h"

yyjson_mut_val *oci_config_strings(struct oci_writer *w, yyjson_mut_val *object, const char *key, const char *const *texts)
{
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(w->doc, object, key);

	for (; *texts; texts++)
		yyjson_mut_arr_add_strcpy(w->doc, list, *texts);
	return list;
}

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

/* Ours first: a unit's annotation or label cannot take the name of one of them. */
static void annotations(struct oci_writer *w)
{
	const struct unit_file *u = w->in->unit;
	const struct unit_list *lists[] = { &u->annotations, &u->labels };
	yyjson_mut_val *out = yyjson_mut_obj_add_obj(w->doc, w->root, "annotations");

	yyjson_mut_obj_add_strcpy(w->doc, out, "org.coracle.unit", u->name);
	yyjson_mut_obj_add_strcpy(w->doc, out, "org.coracle.image", u->image);
	yyjson_mut_obj_add_strcpy(w->doc, out, "org.coracle.digest", w->in->digest);
	if (u->container_name)
		yyjson_mut_obj_add_strcpy(w->doc, out, "org.coracle.container-name", u->container_name);
	for (size_t k = 0; k < 2; k++)
		for (uint32_t i = 0; i < lists[k]->count; i++) {
			const char *text = lists[k]->at[i], *equals = strchr(text, '=');
			yyjson_mut_val *key = yyjson_mut_strncpy(w->doc, text, (size_t)(equals - text));

			if (!yyjson_mut_obj_getn(out, text, (size_t)(equals - text)))
				yyjson_mut_obj_add(out, key, yyjson_mut_strcpy(w->doc, equals + 1));
		}
}

int oci_config_write(const struct oci_config *c, char **json, size_t *len, struct err *e)
{
	struct oci_writer w = { .in = c, .doc = yyjson_mut_doc_new(NULL), .e = e };
	yyjson_mut_val *root;
	int r;

	*json = NULL;
	if (!w.doc)
		return err_sys(e, ENOMEM, "config.json");
	w.root = yyjson_mut_obj(w.doc);
	yyjson_mut_doc_set_root(w.doc, w.root);
	yyjson_mut_obj_add_str(w.doc, w.root, "ociVersion", "1.0.2");
	r = oci_config_process(&w);
	if (r == 0) {
		root = yyjson_mut_obj_add_obj(w.doc, w.root, "root");
		yyjson_mut_obj_add_str(w.doc, root, "path", "rootfs");
		yyjson_mut_obj_add_bool(w.doc, root, "readonly", true);
		yyjson_mut_obj_add_strcpy(w.doc, w.root, "hostname", c->unit->hostname ? c->unit->hostname : c->unit->name);
		r = oci_config_mounts(&w);
	}
	if (r == 0)
		r = oci_config_linux(&w);
	if (r == 0) {
		annotations(&w);
		*json = yyjson_mut_write(w.doc, YYJSON_WRITE_PRETTY_TWO_SPACES, len);
		if (!*json)
			r = err_set(e, -EINVAL, "config.json: cannot be written: a text of the unit or the image is not UTF-8");
	}
	yyjson_mut_doc_free(w.doc);
	return r;
}
