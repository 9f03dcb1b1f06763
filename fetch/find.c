/* SPDX-License-Identifier: MIT */
/* Walks from tag or digest through indexes to one manifest and its config. Everything from the registry is compared with a digest or a signature. */
#include "find.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>

#include "config.h"
#include "judge.h"
#include "sha256.h"

/* A document of the repository by tag or digest, hashed; compared where a digest was asked for. Replaces the one before. */
static int get_document(struct find *f, const char *name, const struct digest *want, struct net_head *head, struct digest *have, struct err *e)
{
	char path[220];
	int r;

	free(f->manifest_json);
	f->manifest_json = NULL;
	snprintf(path, sizeof(path), "manifests/%s", name);
	r = registry_get_bytes(f->registry, path, IMAGE_ACCEPT, CONFIG_MANIFEST_MAX, &f->manifest_json, &f->manifest_len, head, e);
	if (r < 0)
		return r;
	*have = sha256_of(span_of(f->manifest_json, f->manifest_len));
	if (want && !digest_equal(have, want))
		return err_set(e, -EBADMSG, "%s: the registry sent a manifest with another digest (%s): refused", name, digest_text(have).text);
	return 0;
}

static int get_child(struct find *f, const struct digest *digest, uint64_t size, struct net_head *head, struct digest *have, struct err *e)
{
	int r = get_document(f, digest_text(digest).text, digest, head, have, e);

	if (r == 0 && f->manifest_len != size)
		r = err_set(e, -EBADMSG, "manifest: its size is not what the index says: refused");
	return r;
}

/* The index itself is not signed: is the manifest that it names for this platform? The judge says which that would be. */
static int verify_child(struct find *f, struct net_head *head, struct digest *have, struct err *e)
{
	static struct judge_descriptors found;
	struct digest digest;
	int r = f->manifest_len > CONFIG_SIGNATURE_MANIFEST_MAX ? -EKEYREJECTED :
		judge_index(f->exe, span_of(f->manifest_json, f->manifest_len), f->platform, &found, e);

	if (r == 0 && (found.count == 0 || digest_parse(span_str(found.item[0].digest), &digest) < 0))
		return -EKEYREJECTED;
	if (r == 0)
		r = get_child(f, &digest, found.item[0].size, head, have, e);
	return r < 0 ? r : verify_image(f->registry, f->exe, f->as ? f->as : f->ref, f->policy, have, f->notes, &f->admitted, e);
}

/* Everything is parsed after verify_image let a document's digest in; those behind it are named by digest. */
static int find_manifest(struct find *f, struct err *e)
{
	struct digest_text wanted = digest_text(&f->ref->digest);
	struct descriptor next;
	struct net_head head;
	struct digest have;
	int r;

	r = get_document(f, f->ref->has_digest ? wanted.text : f->ref->tag, f->ref->has_digest ? &f->ref->digest : NULL, &head, &have, e);
	if (r < 0)
		return r;
	f->top = have;
	r = verify_image(f->registry, f->exe, f->as ? f->as : f->ref, f->policy, &have, f->notes, &f->admitted, e);
	if (r == -EKEYREJECTED && !policy_rejects(f->policy)) {
		struct err why = { "" };
		int child = verify_child(f, &head, &have, &why);

		if (child == 0 && e)
			e->text[0] = '\0';
		r = child == 0 || child == -ECONNABORTED ? child : r;
	}
	for (int depth = 0; r == 0; depth++) {
		enum image_kind kind;

		r = image_kind(span_of(f->manifest_json, f->manifest_len), head.content_type, &kind, e);
		if (r < 0 || kind == IMAGE_MANIFEST)
			break;
		if (depth == CONFIG_INDEX_DEPTH_MAX)
			return err_set(e, -EFBIG, "index inside index, more than %d deep", CONFIG_INDEX_DEPTH_MAX);
		r = image_index_choose(span_of(f->manifest_json, f->manifest_len), f->platform, &next, e);
		r = r < 0 ? r : get_child(f, &next.digest, next.size, &head, &have, e);
	}
	f->manifest_digest = have;
	return r < 0 ? r : image_manifest_read(span_of(f->manifest_json, f->manifest_len), &f->manifest, e);
}

static int get_config(struct find *f, struct err *e)
{
	char path[100];
	struct digest have;
	int r;

	snprintf(path, sizeof(path), "blobs/%s", digest_text(&f->manifest.config.digest).text);
	r = registry_get_bytes(f->registry, path, "*/*", (size_t)f->manifest.config.size, &f->config_json, &f->config_len, NULL, e);
	if (r < 0)
		return r;
	have = sha256_of(span_of(f->config_json, f->config_len));
	if (f->config_len != f->manifest.config.size || !digest_equal(&have, &f->manifest.config.digest))
		return err_set(e, -EBADMSG, "image config: wrong size or digest: refused");
	return image_config_read(span_of(f->config_json, f->config_len), f->platform, &f->manifest, e);
}

int find_image(struct find *f, struct err *e)
{
	int r = find_manifest(f, e);

	return r < 0 ? r : get_config(f, e);
}

uint64_t find_version(const struct find *f)
{
	yyjson_doc *doc = yyjson_read(f->manifest_json, f->manifest_len, 0);
	uint64_t n = verify_read_version(yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(doc), "annotations"), VERIFY_VERSION));

	yyjson_doc_free(doc);
	return n > f->admitted.version ? n : f->admitted.version;
}

void find_free(struct find *f)
{
	free(f->manifest_json);
	free(f->config_json);
	f->manifest_json = f->config_json = NULL;
}
