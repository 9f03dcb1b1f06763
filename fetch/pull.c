/* SPDX-License-Identifier: MIT */
/*
 * One pull, driven from the trusted process: reference -> policy -> bytes and their digest -> signature -> manifest -> config
 * -> layers, each fed to a jailed unpacker while its compressed bytes are hashed, visible only when size, digest and diff_id
 * agree -> image. A refusal or failure leaves the store as it was.
 */
#include "pull.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "image.h"
#include "job.h"
#include "sha256.h"
#include "verify.h"

enum { TRIES = 4 };

struct pull {
	const char *store_dir, *policy_file, *text;
	struct access access;
	struct platform platform;
	int result_fd, bundle_exe;
	bool is_terminal;
	struct store *store;
	struct registry *registry;
	struct ref ref;
	struct policy policy;
	struct admitted admitted;
	struct digest manifest_digest;
	char *manifest_json, *config_json;
	size_t manifest_len, config_len;
	struct manifest manifest;
	uint64_t bytes_done, bytes_total;
};

static void say(struct pull *p, const char *fmt, size_t n)
{
	char line[200];

	snprintf(line, sizeof(line), fmt, n);
	fprintf(stderr, "%s%s\n", p->is_terminal ? "\r\033[K" : "", line);
	job_progress(p->result_fd, line, p->bytes_done, p->bytes_total);
}

/* A document of the repository by tag or digest, hashed; compared where a digest was asked for. */
static int get_document(struct pull *p, const char *name, const struct digest *want, char **out, size_t *len,
	struct net_head *head, struct digest *have, struct err *e)
{
	char path[220];
	int r;

	snprintf(path, sizeof(path), "manifests/%s", name);
	r = registry_get_bytes(p->registry, path, IMAGE_ACCEPT, CONFIG_MANIFEST_MAX, out, len, head, e);
	if (r < 0)
		return r;
	*have = sha256_of(span_of(*out, *len));
	if (want && !digest_equal(have, want)) {
		free(*out);
		*out = NULL;
		return err_set(e, -EBADMSG, "%s: the registry sent a manifest with another digest (%s): refused", name,
			digest_text(have).text);
	}
	return 0;
}

/* From the reference to the manifest of our platform, through at most CONFIG_INDEX_DEPTH_MAX indexes. Everything is parsed after
 * verify_image let the first document's digest in; those behind it are named by digest. */
static int find_manifest(struct pull *p, struct err *e)
{
	struct digest_text wanted = digest_text(&p->ref.digest);
	const char *name = p->ref.has_digest ? wanted.text : p->ref.tag;
	struct descriptor next;
	struct net_head head;
	struct digest have;
	int r;

	r = get_document(p, name, p->ref.has_digest ? &p->ref.digest : NULL, &p->manifest_json, &p->manifest_len, &head, &have, e);
	if (r < 0)
		return r;
	r = verify_image(p->registry, p->access.exe, &p->ref, &p->policy, &have, &p->admitted, e);
	for (int depth = 0; r == 0; depth++) {
		enum image_kind kind;

		r = image_kind(span_of(p->manifest_json, p->manifest_len), head.content_type, &kind, e);
		if (r < 0 || kind == IMAGE_MANIFEST)
			break;
		if (depth == CONFIG_INDEX_DEPTH_MAX)
			return err_set(e, -EFBIG, "index inside index, more than %d deep", CONFIG_INDEX_DEPTH_MAX);
		r = image_index_choose(span_of(p->manifest_json, p->manifest_len), &p->platform, &next, e);
		if (r < 0)
			break;
		free(p->manifest_json);
		p->manifest_json = NULL;
		r = get_document(p, digest_text(&next.digest).text, &next.digest, &p->manifest_json, &p->manifest_len, &head, &have, e);
		if (r == 0 && p->manifest_len != next.size)
			r = err_set(e, -EBADMSG, "manifest: its size is not what the index says: refused");
	}
	p->manifest_digest = have;
	return r < 0 ? r : image_manifest_read(span_of(p->manifest_json, p->manifest_len), &p->manifest, e);
}

static int get_config(struct pull *p, struct err *e)
{
	char path[100];
	struct digest have;
	int r;

	snprintf(path, sizeof(path), "blobs/%s", digest_text(&p->manifest.config.digest).text);
	r = registry_get_bytes(p->registry, path, "*/*", (size_t)p->manifest.config.size, &p->config_json, &p->config_len, NULL, e);
	if (r < 0)
		return r;
	have = sha256_of(span_of(p->config_json, p->config_len));
	if (p->config_len != p->manifest.config.size || !digest_equal(&have, &p->manifest.config.digest))
		return err_set(e, -EBADMSG, "image config: wrong size or digest: refused");
	return image_config_read(span_of(p->config_json, p->config_len), &p->platform, &p->manifest, e);
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
	job_progress(p->result_fd, "layers", p->bytes_done, p->bytes_total);
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
	const struct image_layer *l = &p->manifest.layer[index];
	struct layer_sink s = { .pull = p, .size = l->blob.size, .err = e, .shown = p->bytes_done };
	uint64_t before = p->bytes_done;
	struct digest have;
	char path[100];
	int r = layer_stage_begin(&s.stage, p->store, p->bundle_exe, spec, e);

	if (r < 0)
		return r;
	sha256_begin(&s.hash);
	snprintf(path, sizeof(path), "blobs/%s", digest_text(&l->blob.digest).text);
	r = registry_get(p->registry, path, "*/*", take_layer, &s, NULL, e);
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
	size_t count = p->manifest.layer_count;
	char name[STORE_SHORT_MAX];
	int r = 0;

	for (size_t i = 0; i < count; i++) {
		chain[i] = store_chain(i ? &chain[i - 1] : NULL, &p->manifest.layer[i].diff_id);
		if (store_layer_find(p->store, &chain[i], name) < 0)
			p->bytes_total += p->manifest.layer[i].blob.size;
	}
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct layer_spec spec = {
			.diff_id = p->manifest.layer[i].diff_id, .chain = chain[i], .lower = chain, .lower_len = i,
			.compression = p->manifest.layer[i].compression, .index = (int)i,
		};

		if (store_layer_find(p->store, &chain[i], name) == 0)
			continue;
		for (int attempt = 0; attempt < TRIES; attempt++) {
			if (attempt) {
				say(p, "layer %zu: the link broke, trying again", i);
				sleep(1u << attempt);
				if (e)
					e->text[0] = '\0';
			}
			r = try_layer(p, i, &spec, e);
			if (r != -ECONNABORTED)
				break;
		}
		if (r == 0)
			say(p, "layer %zu is in the store", i);
	}
	return r;
}

static int publish_image(struct pull *p, struct err *e)
{
	char admitted[2500];

	snprintf(admitted, sizeof(admitted), "ref=%s\ndigest=%s\nscope=%s\nkey=%s\npayload=%s\n", p->text,
		digest_text(&p->admitted.digest).text, p->admitted.scope, p->admitted.signer, p->admitted.payload);
	return store_image_publish(p->store, &p->manifest_digest, span_of(p->manifest_json, p->manifest_len),
		span_of(p->config_json, p->config_len), span_str(admitted), e);
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
	int r = ref_parse(p->text, &p->ref, e);
	struct err late = { "" };

	if (r == 0)
		r = policy_load(p->policy_file, &p->ref, &p->policy, e);
	if (r == 0 && p->policy.rule == POLICY_REJECT)
		r = err_set(e, -EKEYREJECTED, "the policy %s rejects it (scope %s): add a scope for it", p->policy_file, p->policy.scope);
	if (r < 0)
		return r;
	r = p->bundle_exe = open_sibling("coracle-bundle", e);
	if (r >= 0)
		r = store_open(&p->store, p->store_dir, STORE_WRITE, e);
	if (r < 0)
		return r;
	p->access.store_fd = store_fd(p->store);
	r = registry_new(&p->registry, &p->access, &p->ref, e);
	if (r == 0)
		r = find_manifest(p, e);
	if (r < 0)
		return r;
	/* The registry's certificate was valid at this time. That it cannot be kept is no reason to pull nothing. */
	if (clock_save(store_fd(p->store), &late) < 0)
		fprintf(stderr, "coracle-fetch: the time is not kept: %s\n", late.text);
	say(p, "signature checked, %zu layers", p->manifest.layer_count);
	r = get_config(p, e);
	if (r == 0)
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
		struct digest_text t = digest_text(&p->manifest_digest);

		memcpy(res.digest, t.text, sizeof(t.text));
		printf("%s\n", t.text);
		fflush(stdout);
	} else {
		fprintf(stderr, "%scoracle-fetch: %s: %s\n", p->is_terminal ? "\r\033[K" : "", p->text, e->text);
	}
	snprintf(res.signer, sizeof(res.signer), "%s", p->admitted.signer);
	snprintf(res.text, sizeof(res.text), "%s", e->text);
	job_send(p->result_fd, &res);
	return code ? 1 : 0;
}

static int usage(const char *what)
{
	fprintf(stderr, "coracle-fetch pull: %s: pull [--store DIR] [--policy FILE] [--authfile FILE] [--cert-dir DIR] "
		"[--platform OS/ARCH[/VARIANT]] REF\n", what);
	return 2;
}

int pull_main(int argc, char **argv)
{
	static struct pull p = {
		.store_dir = "/data", .policy_file = "/etc/coracle/policy.json", .result_fd = -1, .bundle_exe = -1,
		.access = { -1, "/etc/coracle/auth.json", "/etc/coracle/certs.d", -1 },
	};
	struct err e = { "" };
	int r;

	p.platform = platform_host();
	p.is_terminal = isatty(2);
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (strncmp(argv[i], "--", 2) != 0) {
			if (p.text)
				return usage("more than one reference");
			p.text = argv[i];
			continue;
		}
		if (!value)
			return usage(argv[i]);
		i++;
		if (strcmp(argv[i - 1], "--store") == 0)
			p.store_dir = value;
		else if (strcmp(argv[i - 1], "--policy") == 0)
			p.policy_file = value;
		else if (strcmp(argv[i - 1], "--authfile") == 0)
			p.access.auth_file = value;
		else if (strcmp(argv[i - 1], "--cert-dir") == 0)
			p.access.cert_dir = value;
		else if (strcmp(argv[i - 1], "--result-fd") == 0)
			p.result_fd = atoi(value);
		else if (strcmp(argv[i - 1], "--platform") != 0)
			return usage(argv[i - 1]);
		else if (platform_parse(value, &p.platform, &e) < 0)
			return usage(e.text);
	}
	if (!p.text)
		return usage("no reference");
	if (p.result_fd >= 0)
		fcntl(p.result_fd, F_SETFD, FD_CLOEXEC);
	p.access.exe = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	r = pull(&p, &e);
	r = finish(&p, r, &e);
	registry_free(p.registry);
	store_close(p.store);
	free(p.manifest_json);
	free(p.config_json);
	return r;
}
