/* SPDX-License-Identifier: MIT */
/* Compiles a bundle's config.json into a run record; the parts are in compile_*.c. config.json is written by us or handed in by whoever may
 * run containers: it is checked for form, but trusted to say what is to be run. */
#include "compile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compile_inner.h"
#include "file.h"

void compile_note(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "coracle-bundle: note: %s\n", text);
}

int compile_strings(struct compile *c, const struct jv *j, size_t max, struct record_list *list)
{
	struct record_str *out;
	size_t count;
	int r = jv_array(j, max, &count, c->e);

	out = r == 0 ? record_build_list(c->b, list, count, sizeof(*out)) : NULL;
	for (size_t i = 0; out && r == 0 && i < count; i++) {
		struct jv one = jv_at(j, i);
		const char *text = NULL;

		r = jv_str(&one, &text, c->e);
		if (r == 0 && !text)
			r = err_set(c->e, -EBADMSG, "%s: is no string", one.path);
		if (r == 0)
			out[i] = record_build_str(c->b, text);
	}
	return r;
}

static int version(struct compile *c)
{
	struct jv j = jv_get(&c->root, "ociVersion");
	const char *text = NULL;
	int r = jv_str(&j, &text, c->e);

	if (r == 0 && (!text || strncmp(text, "1.", 2) != 0))
		r = err_set(c->e, text ? -ENOTSUP : -EBADMSG, "%s: is \"%.40s\", 1.x is understood", j.path, text ? text : "");
	return r;
}

static int platforms(struct compile *c)
{
	static const char *const others[] = { "windows", "solaris", "vm", "zos", "freebsd" };
	static const char *const hooks[] = { "prestart", "createRuntime", "createContainer", "startContainer", "poststart",
		"poststop" };
	struct jv hook = jv_get(&c->root, "hooks");
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(others) / sizeof(*others); i++) {
		struct jv j = jv_get(&c->root, others[i]);

		r = jv_refuse(&j, "this is Linux", c->e);
	}
	for (size_t i = 0; r == 0 && i < sizeof(hooks) / sizeof(*hooks); i++) {
		struct jv j = jv_get(&hook, hooks[i]);

		r = jv_refuse(&j, "no program of the host is run for a container", c->e);
	}
	return r;
}

static int names(struct compile *c)
{
	struct jv host = jv_get(&c->root, "hostname"), domain = jv_get(&c->root, "domainname");
	const char *text = NULL, *other = NULL;
	int r = jv_str(&host, &text, c->e);

	if (r == 0)
		r = jv_str(&domain, &other, c->e);
	if (r < 0)
		return r;
	if ((text && text[0]) || (other && other[0]))
		if (!(c->head->clone_flags & CLONE_NEWUTS))
			return err_set(c->e, -EBADMSG, "%s: needs a uts namespace of its own", host.path);
	if ((text && strlen(text) > 64) || (other && strlen(other) > 64))
		return err_set(c->e, -EFBIG, "%s: longer than 64 bytes", host.path);
	c->head->hostname = record_build_str(c->b, text && text[0] ? text : NULL);
	c->head->domainname = record_build_str(c->b, other && other[0] ? other : NULL);
	return 0;
}

/* The reaper is our own program: a tracer with the board's powers could open it by /proc/1/exe, dumpable or not (CVE-2019-5736). */
static int init_is_safe(const struct compile *c)
{
	const struct record_head *h = c->head;

	if (!(h->flags & RECORD_INIT) || h->clone_flags & CLONE_NEWUSER || !(h->cap_permitted & 1ull << CAP_SYS_PTRACE))
		return 0;
	return err_set(c->e, -EPERM, "RunInit= with CAP_SYS_PTRACE and without a user namespace of its own: it could change the board's program; "
		"take one of the three out");
}

static int compile_all(struct compile *c)
{
	const char *id = strrchr(c->path, '/');
	int r = version(c);

	c->head->id = record_build_str(c->b, id ? id + 1 : c->path);
	if (r == 0)
		r = platforms(c);
	if (r == 0)
		r = compile_namespaces(c);
	if (r == 0)
		r = compile_process(c);
	if (r == 0)
		r = init_is_safe(c);
	if (r == 0)
		r = names(c);
	if (r == 0)
		r = compile_root(c);
	if (r == 0)
		r = compile_mounts(c);
	if (r == 0)
		r = compile_linux(c);
	return r == 0 ? record_build_seal(c->b, c->e) : r;
}

int compile_config(struct span config, const struct bundle_layers *layers, const char *path, struct record_build *out, struct err *e)
{
	struct compile c = { .b = out, .head = &out->head, .path = path, .layers = layers, .e = e };
	yyjson_read_err why;
	yyjson_doc *doc = yyjson_read_opts((char *)config.at, config.len, 0, NULL, &why);
	int r;

	if (!doc)
		return err_set(e, -EBADMSG, "%s: config.json: byte %zu: %s", path, why.pos, why.msg);
	record_build_begin(out);
	c.root = jv_root(doc, "config.json");
	r = yyjson_is_obj(c.root.v) ? compile_all(&c) : err_set(e, -EBADMSG, "config.json: is no object");
	yyjson_doc_free(doc);
	return r < 0 ? err_prefix(e, r, "%s", path) : 0;
}

int compile_bundle(int dir, const char *path, struct record_build *out, struct err *e)
{
	struct bundle_layers *layers = malloc(sizeof(*layers));
	char *text = NULL;
	size_t len = 0;
	int has_layers, r;

	if (!layers)
		return err_sys(e, ENOMEM, "%s", path);
	has_layers = bundle_layers_read(dir, layers, e);
	r = has_layers == -ENOENT ? 0 : has_layers;
	if (r == 0)
		r = file_read(dir, "config.json", COMPILE_CONFIG_MAX, &text, &len, e);
	if (r < 0)
		err_prefix(e, r, "%s", path);
	else
		r = compile_config(span_of(text, len), has_layers == 0 ? layers : NULL, path, out, e);
	free(text);
	free(layers);
	return r;
}

void compile_record_name(const struct record_head *r, char out[COMPILE_NAME_MAX])
{
	snprintf(out, COMPILE_NAME_MAX, "record.%u.%016llx", RECORD_FORMAT, (unsigned long long)r->feature_hash);
}
