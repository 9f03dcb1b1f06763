/* SPDX-License-Identifier: MIT */
/* Any bytes as a manifest, an index, an image config (fetch/image.c), and as what the judge reads (fetch/judge.c, included for its statics). */
#define file_write_all swallow
#include "judge.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the judge says must be whole structs, their texts ended. */
int swallow(int fd, const void *at, size_t len)
{
	const struct judge_bundle *b = at;

	(void)fd;
	if (len == sizeof(*b) && (!memchr(b->payload, '\0', sizeof(b->payload)) || !memchr(b->signature, '\0', sizeof(b->signature))))
		abort();
	return 0;
}

int jail_start(struct jail *j, const struct jail_spec *spec, int exe, char *const argv[], const struct jail_fd *fds, size_t len, struct err *e)
{
	(void)j, (void)spec, (void)exe, (void)argv, (void)fds, (void)len, (void)e;
	abort();
}

int jail_wait(struct jail *j, int timeout_ms)
{
	(void)j, (void)timeout_ms;
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct manifest m;
	struct platform p = { .os = "linux", .arch = "amd64" };
	int (*const say[])(yyjson_val *) = { say_signatures, say_referrers, say_referrer, say_bundle, say_token };
	struct span json = span_of(data, size);
	enum image_kind kind;
	struct descriptor d;
	struct err e = { "" };
	yyjson_doc *doc;

	if (image_kind(json, "", &kind, &e) < 0 && !e.text[0])
		abort();
	image_index_choose(json, &p, &d, NULL);
	if (image_manifest_read(json, &m, NULL) == 0 && (m.layer_count == 0 || m.layer_count > CONFIG_LAYERS_MAX))
		abort();
	m.layer_count = size % 4;
	image_config_read(json, &p, &m, NULL);
	doc = json_read(json, "fuzz", NULL);
	for (size_t i = 0; doc && i < sizeof(say) / sizeof(*say); i++)
		say[i](yyjson_doc_get_root(doc));
	yyjson_doc_free(doc);
	say_index(json, "+linux/arm64");
	return 0;
}
