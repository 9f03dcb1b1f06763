/* SPDX-License-Identifier: MIT */
/* Reads an image config. Its bytes are covered by a verified digest; its author is still only the author of one container. */
#include "image_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "jv.h"

static int strings(const struct jv *j, struct image_list *out, struct err *e)
{
	size_t count;
	int r = jv_array(j, IMAGE_LIST_MAX, &count, e);

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct jv one = jv_at(j, i);

		out->at[out->count] = NULL;
		r = jv_str(&one, &out->at[out->count], e);
		if (r == 0 && !out->at[out->count])
			r = err_set(e, -EBADMSG, "%s: is no string", one.path);
		out->count++;
	}
	return r;
}

/* "Volumes": {"/data": {}} (config.md): a set, written as an object. */
static int volumes(const struct jv *j, struct image_list *out, struct err *e)
{
	yyjson_val *key, *value;
	size_t i, max;
	int r = jv_object(j, e);

	if (r < 0 || !j->v)
		return r;
	yyjson_obj_foreach(j->v, i, max, key, value) {
		const char *path = yyjson_get_str(key);

		if (out->count == 64)
			return err_set(e, -EFBIG, "%s: more than 64 volumes", j->path);
		if (path[0] != '/' || !path[1] || strlen(path) != yyjson_get_len(key) || strstr(path, "/..") || strchr(path, ':'))
			return err_set(e, -EBADMSG, "%s: \"%.80s\" is no absolute path", j->path, path);
		out->at[out->count++] = path;
	}
	return 0;
}

static int layers(struct image_config *c, const struct jv *root, struct err *e)
{
	struct jv rootfs = jv_get(root, "rootfs"), list = jv_get(&rootfs, "diff_ids");
	size_t count;
	int r = jv_array(&list, CONFIG_LAYERS_MAX, &count, e);

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct jv one = jv_at(&list, i);
		const char *text = NULL;

		r = jv_str(&one, &text, e);
		if (r == 0 && (!text || digest_parse(span_str(text), &c->diff_id[i]) < 0))
			r = err_set(e, -EBADMSG, "%s: is no sha256 digest", one.path);
	}
	c->diff_ids = (uint32_t)count;
	if (r == 0 && count == 0)
		r = err_set(e, -EBADMSG, "%s: the image has no layers", list.path);
	return r;
}

static int text(const struct jv *object, const char *key, const char **out, struct err *e)
{
	struct jv j = jv_get(object, key);

	*out = "";
	return jv_str(&j, out, e);
}

static int nanoseconds(const struct jv *object, const char *key, uint32_t *ms, struct err *e)
{
	struct jv j = jv_get(object, key);
	uint64_t ns = 0;
	int r = jv_u64(&j, UINT32_MAX * 1000000ull, &ns, e);

	*ms = (uint32_t)(ns / 1000000);
	return r;
}

/* ["NONE"], ["CMD", "argv"...], ["CMD-SHELL", "line"]; not in image-spec, yet in most images that have one. */
static int health(struct image_config *c, const struct jv *run, struct err *e)
{
	struct jv check = jv_get(run, "Healthcheck"), test = jv_get(&check, "Test"), retries = jv_get(&check, "Retries");
	struct unit_health *h = &c->health;
	struct image_list words = { .count = 0 };
	int r = strings(&test, &words, e);

	if (r == 0)
		r = nanoseconds(&check, "Interval", &h->interval_ms, e);
	if (r == 0)
		r = nanoseconds(&check, "Timeout", &h->timeout_ms, e);
	if (r == 0)
		r = nanoseconds(&check, "StartPeriod", &h->start_period_ms, e);
	if (r == 0)
		r = jv_u32(&retries, &h->retries, e);
	if (r < 0 || words.count < 2 || (strcmp(words.at[0], "CMD") != 0 && strcmp(words.at[0], "CMD-SHELL") != 0))
		return r;
	h->kind = UNIT_HEALTH_CMD;
	if (words.at[0][3] && (!unit_health_add(h, "/bin/sh") || !unit_health_add(h, "-c")))
		return -EFBIG;
	for (uint32_t i = 1; i < words.count; i++)
		if (!unit_health_add(h, words.at[i]))
			return err_set(e, -EFBIG, "%s: longer than %d bytes: HealthCmd= in the unit overrides it", test.path,
				UNIT_HEALTH_ARG_MAX);
	return 0;
}

/* A label of another shape is no reason to refuse an image. */
static void version(struct image_config *c, const struct jv *run)
{
	yyjson_val *label = yyjson_obj_get(yyjson_obj_get(run->v, "Labels"), "org.opencontainers.image.version");

	c->version = yyjson_is_str(label) ? yyjson_get_str(label) : "";
}

static int read_all(struct image_config *c, const struct jv *root, struct err *e)
{
	struct jv run = jv_get(root, "config"), entrypoint = jv_get(&run, "Entrypoint"), cmd = jv_get(&run, "Cmd");
	struct jv env = jv_get(&run, "Env"), dirs = jv_get(&run, "Volumes");
	int r = text(root, "architecture", &c->architecture, e);

	if (r == 0)
		r = jv_object(&run, e);
	if (r == 0)
		version(c, &run);
	if (r == 0)
		r = text(&run, "User", &c->user, e);
	if (r == 0)
		r = text(&run, "WorkingDir", &c->workdir, e);
	if (r == 0)
		r = text(&run, "StopSignal", &c->stop_signal, e);
	if (r == 0)
		r = strings(&entrypoint, &c->entrypoint, e);
	if (r == 0)
		r = strings(&cmd, &c->cmd, e);
	if (r == 0)
		r = strings(&env, &c->env, e);
	if (r == 0)
		r = volumes(&dirs, &c->volumes, e);
	if (r == 0)
		r = health(c, &run, e);
	if (r == 0)
		r = layers(c, root, e);
	return r;
}

int image_config_new(struct image_config **out, struct span json, struct err *e)
{
	struct image_config *c = calloc(1, sizeof(*c));
	yyjson_read_err why;
	struct jv root;
	int r;

	*out = NULL;
	if (!c)
		return err_sys(e, ENOMEM, "image config");
	c->doc = yyjson_read_opts((char *)json.at, json.len, 0, NULL, &why);
	if (!c->doc) {
		free(c);
		return err_set(e, -EBADMSG, "image config: byte %zu: %s", why.pos, why.msg);
	}
	root = jv_root(c->doc, "image config");
	r = yyjson_is_obj(root.v) ? read_all(c, &root, e) : err_set(e, -EBADMSG, "image config: is no object");
	if (r < 0) {
		image_config_free(c);
		return r;
	}
	*out = c;
	return 0;
}

void image_config_free(struct image_config *c)
{
	if (c)
		yyjson_doc_free(c->doc);
	free(c);
}
