/* SPDX-License-Identifier: MIT */
/* yyjson on hostile JSON, jailed; the launcher's half checks lengths and terminators of the fixed-size answer. */
#include "judge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yyjson.h>

#include "file.h"
#include "filter.h"

enum { DEADLINE_MS = 20000 };

static char *read_all(size_t *len)
{
	char *buf = malloc(CONFIG_MANIFEST_MAX);
	ssize_t n = buf ? file_read_full(0, buf, CONFIG_MANIFEST_MAX) : -1;

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

static int say_token(yyjson_val *root)
{
	static struct judge_token out;

	put(out.token, sizeof(out.token), yyjson_obj_get(root, "token"));
	if (!out.token[0])
		put(out.token, sizeof(out.token), yyjson_obj_get(root, "access_token"));
	return file_write_all(1, &out, sizeof(out)) < 0;
}

int judge_main(const char *what)
{
	size_t len;
	char *text = read_all(&len);
	yyjson_doc *doc = text ? yyjson_read(text, len, 0) : NULL;

	if (!doc)
		return 1;
	return strcmp(what, "token") == 0 ? say_token(yyjson_doc_get_root(doc)) : say_signatures(yyjson_doc_get_root(doc));
}

static const struct sock_filter filter[] = { FILTER_BEGIN, FILTER_START, FILTER_END };

static int ask(int exe, const char *what, struct span in, void *out, size_t size, struct err *e)
{
	struct jail_spec spec = {
		.name = "judge", .uid = CONFIG_UID_JUDGE, .memory_max = 96ull << 20, .fds_max = 8,
		.filter = filter, .filter_len = sizeof(filter) / sizeof(*filter),
	};
	char *argv[] = { (char *)"coracle-fetch", (char *)"--jail-judge", (char *)what, NULL };
	int to[2] = { -1, -1 }, from[2] = { -1, -1 }, r;
	struct jail jail = { 0, -1 };
	ssize_t n = -1;

	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0) {
		r = err_sys(e, errno, "judge");
		goto out;
	}
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
	int r = ask(exe, "signatures", manifest, out, sizeof(*out), e);

	if (r == 0 && out->count > CONFIG_SIGNATURES_MAX)
		return -EBADMSG;
	for (uint32_t i = 0; r == 0 && i < out->count; i++) {
		out->item[i].digest[sizeof(out->item[i].digest) - 1] = '\0';
		out->item[i].base64[sizeof(out->item[i].base64) - 1] = '\0';
	}
	return r;
}

int judge_token(int exe, struct span json, struct judge_token *out, struct err *e)
{
	int r = ask(exe, "token", json, out, sizeof(*out), e);

	out->token[sizeof(out->token) - 1] = '\0';
	for (const char *c = out->token; r == 0 && *c; c++)
		if (*c <= ' ' || *c >= 127)	/* it goes into a header line */
			return err_set(e, -EPROTO, "token server: token holds control characters");
	return r;
}
