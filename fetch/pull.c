/* SPDX-License-Identifier: MIT */
/*
 * One pull, driven from the trusted process: reference -> policy -> bytes and their digest -> signature -> manifest -> config
 * -> layers, each fed to a jailed unpacker while its compressed bytes are hashed, visible only when size, digest and diff_id
 * agree -> image. A refusal or failure leaves the store as it was.
 */
#include "pull.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "find.h"
#include "job.h"
#include "options.h"
#include "sha256.h"

struct pull {
	struct options o;
	int bundle_exe;
	bool is_terminal;
	struct store *store;
	struct registry *registry;
	struct ref ref;
	struct policy policy;
	struct find found;
	uint64_t bytes_done, bytes_total;
};

static void say_line(void *to, const char *line)
{
	struct pull *p = to;

	fprintf(stderr, "%s%s\n", p->is_terminal ? "\r\033[K" : "", line);
	job_progress(p->o.result_fd, line, p->bytes_done, p->bytes_total);
}

static void say(struct pull *p, const char *fmt, size_t n)
{
	char line[200];

	snprintf(line, sizeof(line), fmt, n);
	say_line(p, line);
}

/* Where the bytes of a layer go: into the hash, and into the unpacker. */
struct layer_sink {
	struct pull *pull;
	struct layer_stage *stage;
	struct sha256 hash;
	uint64_t len, size;
	bool is_unpacker_done;	/* it gave up: its reason is asked for at the end */
	struct err *err;
	uint64_t shown;
};

static void show_progress(struct layer_sink *s, size_t len)
{
	struct pull *p = s->pull;

	p->bytes_done += len;
	if (p->bytes_done - s->shown < 1 << 18 && s->len != s->size)
		return;
	s->shown = p->bytes_done;
	job_progress(p->o.result_fd, "layers", p->bytes_done, p->bytes_total);
	if (p->is_terminal && p->bytes_total)
		fprintf(stderr, "\r\033[K%3u%%  %llu of %llu KiB", (unsigned)(p->bytes_done * 100 / p->bytes_total),
			(unsigned long long)p->bytes_done >> 10, (unsigned long long)p->bytes_total >> 10);
}

static int take_layer(void *to, const void *at, size_t len)
{
	struct layer_sink *s = to;
	int r;

	if (len > s->size - s->len)
		return err_set(s->err, -EBADMSG, "layer is longer than its descriptor says: refused");
	s->len += len;
	sha256_add(&s->hash, at, len);
	r = layer_stage_feed(s->stage, at, len, s->err);
	if (r == -EPIPE) {
		s->is_unpacker_done = true;
		return r;
	}
	show_progress(s, len);
	return r;
}

static int try_layer(struct pull *p, size_t index, const struct layer_spec *spec, struct err *e)
{
	const struct image_layer *l = &p->found.manifest.layer[index];
	struct layer_sink s = { .pull = p, .size = l->blob.size, .err = e, .shown = p->bytes_done };
	uint64_t before = p->bytes_done;
	struct digest have;
	char path[100];
	int r = layer_stage_begin(&s.stage, p->store, p->bundle_exe, spec, e);

	if (r < 0)
		return r;
	sha256_begin(&s.hash);
	snprintf(path, sizeof(path), "blobs/%s", digest_text(&l->blob.digest).text);
	r = registry_get(p->registry, path, "*/*", &(struct body){ .sink = take_layer, .to = &s }, NULL, e);
	have = sha256_end(&s.hash);
	if (r == 0 && s.len != s.size)
		r = err_set(e, -ECONNABORTED, "layer %zu: ended after %llu of %llu bytes", index, (unsigned long long)s.len,
			(unsigned long long)s.size);
	if (r == 0 && !digest_equal(&have, &l->blob.digest))
		r = err_set(e, -EBADMSG, "layer %zu: its bytes are %s, the manifest says %s: refused", index, digest_text(&have).text,
			digest_text(&l->blob.digest).text);
	if (r == 0 || s.is_unpacker_done) {
		struct err why = { "" };
		int done = layer_stage_publish(s.stage, &why);

		return done < 0 ? err_set(e, done, "%s", why.text) : r < 0 ? err_set(e, -EPROTO, "layer %zu: broken off", index) : 0;
	}
	layer_stage_abort(s.stage);
	p->bytes_done = before;
	return r;
}

static int get_layers(struct pull *p, struct err *e)
{
	static struct digest chain[CONFIG_LAYERS_MAX];
	size_t count = p->found.manifest.layer_count;
	char name[STORE_SHORT_MAX];
	int r = 0;

	for (size_t i = 0; i < count; i++) {
		chain[i] = store_chain(i ? &chain[i - 1] : NULL, &p->found.manifest.layer[i].diff_id);
		if (store_layer_find(p->store, &chain[i], name) < 0)
			p->bytes_total += p->found.manifest.layer[i].blob.size;
	}
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct layer_spec spec = {
			.diff_id = p->found.manifest.layer[i].diff_id, .chain = chain[i], .lower = chain, .lower_len = i,
			.compression = p->found.manifest.layer[i].compression, .index = (int)i,
		};

		if (store_layer_find(p->store, &chain[i], name) == 0)
			continue;
		r = try_layer(p, i, &spec, e);
		if (r == 0)
			say(p, "layer %zu is in the store", i);
	}
	return r;
}

static int publish_image(struct pull *p, struct err *e)
{
	char admitted[3000];

	snprintf(admitted, sizeof(admitted), "ref=%s\ndigest=%s\nscope=%s\nkey=%s\npayload=%s\n", p->o.text,
		digest_text(&p->found.admitted.digest).text, p->found.admitted.scope, p->found.admitted.signer, p->found.admitted.payload);
	return store_image_publish(p->store, &p->found.manifest_digest, span_of(p->found.manifest_json, p->found.manifest_len),
		span_of(p->found.config_json, p->found.config_len), span_str(admitted), e);
}

/* coracle-bundle lies beside this program. */
static int open_sibling(const char *name, struct err *e)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);
	char *slash;
	int fd;

	if (n <= 0)
		return err_sys(e, errno, "/proc/self/exe");
	path[n] = '\0';
	slash = strrchr(path, '/');
	snprintf(slash + 1, 60, "%s", name);
	fd = open(path, O_PATH | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "%s: the unpacker is not beside this program", path) : fd;
}

static int pull(struct pull *p, struct err *e)
{
	int r = options_load(&p->o, &p->ref, &p->policy, e);
	struct err late = { "" };

	if (r == 0 && policy_rejects(&p->policy))
		r = err_set(e, -EKEYREJECTED, "the policy %s rejects it (scope %s): add a scope for it", p->o.policy_file, p->policy.scope);
	if (r < 0)
		return r;
	r = p->bundle_exe = open_sibling("coracle-bundle", e);
	if (r >= 0)
		r = store_open(&p->store, p->o.store_dir, STORE_WRITE, e);
	if (r < 0)
		return r;
	p->o.access.store_fd = store_fd(p->store);
	p->o.access.say = say_line;
	p->o.access.say_to = p;
	r = registry_new(&p->registry, &p->o.access, &p->ref, e);
	if (r < 0)
		return r;
	p->found = (struct find){
		.registry = p->registry, .exe = p->o.access.exe, .ref = &p->ref, .policy = &p->policy, .platform = &p->o.platform,
	};
	r = find_image(&p->found, e);
	if (r < 0)
		return r;
	/* The registry's certificate was valid at this time. That it cannot be kept is no reason to pull nothing. */
	if (p->ref.transport == REF_DOCKER && clock_save(store_fd(p->store), &late) < 0)
		fprintf(stderr, "coracle-fetch: the time is not kept: %s\n", late.text);
	say(p, "signature checked, %zu layers", p->found.manifest.layer_count);
	r = get_layers(p, e);
	return r < 0 ? r : publish_image(p, e);
}

/* What PID 1 should do about it: a link heals, a refusal does not. */
static enum job_code outcome(int code)
{
	switch (code) {
	case 0:
		return JOB_DONE;
	case -EKEYREJECTED:
	case -EBADMSG:
	case -EPROTO:
	case -EFBIG:
	case -ENOTSUP:
	case -EINVAL:
	case -ENOENT:
	case -EACCES:
		return JOB_REFUSED;
	case -EUCLEAN:
		return JOB_DAMAGED;
	default:
		return JOB_RETRY;
	}
}

static int finish(struct pull *p, int code, const struct err *e)
{
	struct job_result res = { .code = outcome(code), .bytes_done = p->bytes_done, .bytes_total = p->bytes_total };

	if (code == 0) {
		struct digest_text t = digest_text(&p->found.manifest_digest);

		memcpy(res.digest, t.text, sizeof(t.text));
		printf("%s\n", t.text);
		fflush(stdout);
	} else {
		fprintf(stderr, "%scoracle-fetch: %s: %s\n", p->is_terminal ? "\r\033[K" : "", p->o.text, e->text);
	}
	snprintf(res.signer, sizeof(res.signer), "%s", p->found.admitted.signer);
	snprintf(res.text, sizeof(res.text), "%s", e->text);
	job_send(p->o.result_fd, &res);
	return code ? 1 : 0;
}

int pull_main(int argc, char **argv)
{
	static struct pull p;
	struct err e = { "" };
	int r = options_parse(argc, argv, &p.o);

	if (r)
		return r;
	signal(SIGPIPE, SIG_IGN);
	p.is_terminal = isatty(2);
	p.bundle_exe = -1;
	r = pull(&p, &e);
	r = finish(&p, r, &e);
	registry_free(p.registry);
	store_close(p.store);
	find_free(&p.found);
	return r;
}
