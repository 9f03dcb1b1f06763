/* SPDX-License-Identifier: MIT */
/* yyjson on hostile JSON, jailed; the launcher's half checks lengths and terminators of the fixed-size answer. */
#include "judge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "json.h"

enum { DEADLINE_MS = 20000 };

static char *read_all(size_t *len)
{
	char *buf = malloc(CONFIG_SIGNATURE_MANIFEST_MAX);
	ssize_t n = buf ? file_read_full(0, buf, CONFIG_SIGNATURE_MANIFEST_MAX) : -1;

	*len = n < 0 ? 0 : (size_t)n;
	return buf;
}

static void put(char *out, size_t size, yyjson_val *text)
{
	if (yyjson_is_str(text))
		span_copy(span_of(yyjson_get_str(text), yyjson_get_len(text)), out, size);
}

static int say_signatures(yyjson_val *root)
{
	static struct judge_signatures out;
	yyjson_val *layers = yyjson_obj_get(root, "layers"), *layer;
	size_t at, max;

	yyjson_arr_foreach(layers, at, max, layer) {
		struct judge_signature *s = &out.item[out.count];

		if (out.count == CONFIG_SIGNATURES_MAX)
			break;
		if (!yyjson_equals_str(yyjson_obj_get(layer, "mediaType"), "application/vnd.dev.cosign.simplesigning.v1+json"))
			continue;
		put(s->digest, sizeof(s->digest), yyjson_obj_get(layer, "digest"));
		s->size = yyjson_get_uint(yyjson_obj_get(layer, "size"));
		put(s->base64, sizeof(s->base64),
			yyjson_obj_get(yyjson_obj_get(layer, "annotations"), "dev.cosignproject.cosign/signature"));
		out.count++;
	}
	return file_write_all(1, &out, sizeof(out)) < 0;
}

#define BUNDLE_TYPE "application/vnd.dev.sigstore.bundle"

static bool starts(yyjson_val *text, const char *with)
{
	return yyjson_is_str(text) && strncmp(yyjson_get_str(text), with, strlen(with)) == 0;
}

static void add(struct judge_descriptors *out, yyjson_val *descriptor)
{
	struct judge_descriptor *d = &out->item[out->count];

	if (out->count == CONFIG_SIGNATURES_MAX)
		return;
	put(d->digest, sizeof(d->digest), yyjson_obj_get(descriptor, "digest"));
	d->size = yyjson_get_uint(yyjson_obj_get(descriptor, "size"));
	out->count++;
}

static int say_referrers(yyjson_val *root)
{
	static struct judge_descriptors out;
	yyjson_val *list = yyjson_obj_get(root, "manifests"), *item;
	size_t at, max;

	yyjson_arr_foreach(list, at, max, item) {
		yyjson_val *type = yyjson_obj_get(item, "artifactType");

		if (!type || starts(type, BUNDLE_TYPE) || starts(type, "application/vnd.oci.empty.v1"))
			add(&out, item);
	}
	return file_write_all(1, &out, sizeof(out)) < 0;
}

static int say_referrer(yyjson_val *root)
{
	static struct judge_descriptors out;
	yyjson_val *layers = yyjson_obj_get(root, "layers"), *layer = yyjson_arr_get_first(layers);

	if (yyjson_arr_size(layers) == 1 && starts(yyjson_obj_get(layer, "mediaType"), BUNDLE_TYPE))
		add(&out, layer);
	return file_write_all(1, &out, sizeof(out)) < 0;
}

/* protobuf's JSON mapping takes both alphabets, with padding or without: into the standard one. */
static void put_base64(char *out, size_t size, yyjson_val *text)
{
	size_t len;

	put(out, size - 3, text);	/* room for the padding */
	len = strlen(out);
	for (char *c = out; *c; c++)
		*c = *c == '-' ? '+' : *c == '_' ? '/' : *c;
	while (len % 4)
		out[len++] = '=';
	out[len] = '\0';
}

static bool is_bundle(yyjson_val *type)
{
	static const char *const types[] = {
		BUNDLE_TYPE ".v0.3+json", BUNDLE_TYPE "+json;version=0.1", BUNDLE_TYPE "+json;version=0.2", BUNDLE_TYPE "+json;version=0.3",
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (yyjson_equals_str(type, types[i]))
			return true;
	return false;
}

/* Exactly one signature; a certificate instead of a key, or no envelope, is something else. */
static int say_bundle(yyjson_val *root)
{
	static struct judge_bundle out;
	yyjson_val *envelope = yyjson_obj_get(root, "dsseEnvelope"), *list = yyjson_obj_get(envelope, "signatures");
	yyjson_val *key = yyjson_obj_get(yyjson_obj_get(root, "verificationMaterial"), "publicKey");
	yyjson_val *hint = yyjson_obj_get(key, "hint"), *signature = yyjson_arr_get_first(list), *id = yyjson_obj_get(signature, "keyid");

	if (!is_bundle(yyjson_obj_get(root, "mediaType")) || !key || yyjson_arr_size(list) != 1 ||
	    !yyjson_equals_str(yyjson_obj_get(envelope, "payloadType"), "application/vnd.in-toto+json"))
		return 1;
	if (yyjson_get_len(hint) && yyjson_get_len(id) && strcmp(yyjson_get_str(hint), yyjson_get_str(id)) != 0)
		return 1;
	put_base64(out.payload, sizeof(out.payload), yyjson_obj_get(envelope, "payload"));
	put_base64(out.signature, sizeof(out.signature), yyjson_obj_get(signature, "sig"));
	return file_write_all(1, &out, sizeof(out)) < 0;
}

static int say_index(struct span json, const char *platform)
{
	static struct judge_descriptors out;
	struct platform p;
	struct descriptor found;
	struct err e = { "" };
	bool runs_arm32 = *platform == '+';	/* what the text cannot say */
	int r = platform_parse(platform + runs_arm32, &p, &e);

	p.runs_arm32 = runs_arm32;
	r = r < 0 ? r : image_index_choose(json, &p, &found, &e);
	if (r == 0) {
		memcpy(out.item[0].digest, digest_text(&found.digest).text, sizeof(out.item[0].digest));
		out.item[0].size = found.size;
		out.count = 1;
	}
	span_copy(span_of(e.text, strnlen(e.text, sizeof(out.text) - 1)), out.text, sizeof(out.text));
	return file_write_all(1, &out, sizeof(out)) < 0;
}

static int say_token(yyjson_val *root)
{
	static struct judge_token out;
	uint64_t life = yyjson_get_uint(yyjson_obj_get(root, "expires_in"));

	put(out.token, sizeof(out.token), yyjson_obj_get(root, "token"));
	if (!out.token[0])
		put(out.token, sizeof(out.token), yyjson_obj_get(root, "access_token"));
	out.expires_in_s = life == 0 ? 60 : life > 86400 ? 86400 : (uint32_t)life;
	return file_write_all(1, &out, sizeof(out)) < 0;
}

int judge_main(const char *what, const char *argument)
{
	static const struct { const char *what; int (*say)(yyjson_val *root); } kinds[] = {
		{ "signatures", say_signatures }, { "referrers", say_referrers }, { "referrer", say_referrer }, { "bundle", say_bundle },
		{ "token", say_token },
	};
	size_t len;
	char *text = read_all(&len);
	yyjson_doc *doc;

	if (text && argument && strcmp(what, "index") == 0)
		return say_index(span_of(text, len), argument);
	doc = text ? json_read(span_of(text, len), what, NULL) : NULL;
	for (size_t i = 0; doc && i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(what, kinds[i].what) == 0)
			return kinds[i].say(yyjson_doc_get_root(doc));
	return 1;
}

void judge_jail_spec(struct jail_spec *spec)
{
	*spec = (struct jail_spec){
		.name = "judge", .uid = CONFIG_UID_JUDGE, .memory_max = 96ull << 20, .fds_max = 8,
	};
}

static int ask(int exe, const char *what, const char *argument, struct span in, void *out, size_t size, struct err *e)
{
	struct jail_spec spec;
	char *argv[] = { (char *)"coracle-fetch", (char *)"--jail-judge", (char *)what, (char *)argument, NULL };
	int to[2] = { -1, -1 }, from[2] = { -1, -1 }, r;
	struct jail jail = { 0, -1 };
	ssize_t n = -1;

	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0) {
		r = err_sys(e, errno, "judge");
		goto out;
	}
	judge_jail_spec(&spec);
	r = jail_start(&jail, &spec, exe, argv, (struct jail_fd[]){ { to[0], 0 }, { from[1], 1 } }, 2, e);
	if (r < 0)
		goto out;
	close(to[0]);
	close(from[1]);
	to[0] = from[1] = -1;
	/* It reads all before it answers, and answers less than a pipe holds: no deadlock. */
	file_write_all(to[1], in.at, in.len);
	close(to[1]);
	to[1] = -1;
	n = file_read_full(from[0], out, size);
	r = jail_wait(&jail, DEADLINE_MS);
	if (r != 0 || n != (ssize_t)size)
		r = err_set(e, r > 128 ? -ECONNABORTED : -EBADMSG, "%s: not the JSON it should be (status %d)", what, r);
out:
	for (int i = 0; i < 2; i++) {
		if (to[i] >= 0)
			close(to[i]);
		if (from[i] >= 0)
			close(from[i]);
	}
	return r;
}

int judge_signatures(int exe, struct span manifest, struct judge_signatures *out, struct err *e)
{
	int r = ask(exe, "signatures", NULL, manifest, out, sizeof(*out), e);

	if (r == 0 && out->count > CONFIG_SIGNATURES_MAX)
		return -EBADMSG;
	for (uint32_t i = 0; r == 0 && i < out->count; i++) {
		out->item[i].digest[sizeof(out->item[i].digest) - 1] = '\0';
		out->item[i].base64[sizeof(out->item[i].base64) - 1] = '\0';
	}
	return r;
}

static int ask_descriptors(int exe, const char *what, const char *argument, struct span json, struct judge_descriptors *out, struct err *e)
{
	int r = ask(exe, what, argument, json, out, sizeof(*out), e);

	if (r == 0 && out->count > CONFIG_SIGNATURES_MAX)
		return -EBADMSG;
	for (uint32_t i = 0; r == 0 && i < out->count; i++)
		out->item[i].digest[sizeof(out->item[i].digest) - 1] = '\0';
	out->text[sizeof(out->text) - 1] = '\0';
	return r;
}

int judge_referrers(int exe, struct span index, struct judge_descriptors *out, struct err *e)
{
	return ask_descriptors(exe, "referrers", NULL, index, out, e);
}

int judge_referrer(int exe, struct span manifest, struct judge_descriptors *out, struct err *e)
{
	return ask_descriptors(exe, "referrer", NULL, manifest, out, e);
}

int judge_index(int exe, struct span index, const struct platform *p, struct judge_descriptors *out, struct err *e)
{
	char text[48] = "+";

	platform_text(p, text + p->runs_arm32, sizeof(text) - 1);
	return ask_descriptors(exe, "index", text, index, out, e);
}

int judge_bundle(int exe, struct span json, struct judge_bundle *out, struct err *e)
{
	int r = ask(exe, "bundle", NULL, json, out, sizeof(*out), e);

	out->payload[sizeof(out->payload) - 1] = out->signature[sizeof(out->signature) - 1] = '\0';
	return r;
}

int judge_token(int exe, struct span json, struct judge_token *out, struct err *e)
{
	int r = ask(exe, "token", NULL, json, out, sizeof(*out), e);

	out->token[sizeof(out->token) - 1] = '\0';
	for (const char *c = out->token; r == 0 && *c; c++)
		if (*c <= ' ' || *c >= 127)	/* it goes into a header line */
			return err_set(e, -EPROTO, "token server: token holds control characters");
	return r;
}
