/* SPDX-License-Identifier: MIT */
/* Documents that a verified digest covers; still checked for shape, sizes and counts. */
#include "image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "json.h"

static bool is(yyjson_val *v, const char *s)
{
	return yyjson_equals_str(v, s);
}

static int read_descriptor(yyjson_val *v, struct descriptor *out)
{
	yyjson_val *digest = yyjson_obj_get(v, "digest"), *size = yyjson_obj_get(v, "size");

	if (!yyjson_is_str(digest) || !yyjson_is_uint(size) ||
	    digest_parse(span_of(yyjson_get_str(digest), yyjson_get_len(digest)), &out->digest) < 0)
		return -EBADMSG;
	out->size = yyjson_get_uint(size);
	return 0;
}

static void copy(yyjson_val *v, char *out, size_t size)
{
	out[0] = '\0';
	if (yyjson_is_str(v))
		span_copy(span_of(yyjson_get_str(v), yyjson_get_len(v)), out, size);
}

static bool is_index_type(const char *t)
{
	return strcmp(t, "application/vnd.oci.image.index.v1+json") == 0 ||
		strcmp(t, "application/vnd.docker.distribution.manifest.list.v2+json") == 0;
}

static bool is_manifest_type(const char *t)
{
	return strcmp(t, "application/vnd.oci.image.manifest.v1+json") == 0 ||
		strcmp(t, "application/vnd.docker.distribution.manifest.v2+json") == 0;
}

int image_kind(struct span json, const char *content_type, enum image_kind *out, struct err *e)
{
	yyjson_doc *doc = json_read(json, "manifest", e);
	yyjson_val *root = yyjson_doc_get_root(doc);
	bool has_manifests = yyjson_obj_get(root, "manifests"), has_layers = yyjson_obj_get(root, "layers") ||
		yyjson_obj_get(root, "config");
	char type[128], peer[128];
	int r = 0;

	copy(yyjson_obj_get(root, "mediaType"), type, sizeof(type));
	snprintf(peer, sizeof(peer), "%s", content_type);
	peer[strcspn(peer, "; ")] = '\0';
	if (!yyjson_is_obj(root))
		r = err_set(e, -EBADMSG, "manifest: not a JSON object");
	else if (has_manifests == has_layers)
		r = err_set(e, -EBADMSG, has_layers ? "manifest: is an index and a manifest at once: refused" :
			"manifest: neither an index nor a manifest (Docker schema 1 is not supported)");
	else if (type[0] && peer[0] && (is_index_type(peer) || is_manifest_type(peer)) && strcmp(type, peer) != 0)
		r = err_set(e, -EBADMSG, "manifest: says it is %s, the registry says %s: refused", type, peer);
	else if (type[0] && !(has_manifests ? is_index_type(type) : is_manifest_type(type)))
		r = err_set(e, -EBADMSG, "manifest: media type %.100s is not supported", type);
	*out = has_manifests ? IMAGE_INDEX : IMAGE_MANIFEST;
	yyjson_doc_free(doc);
	return r;
}

int image_index_choose(struct span json, const struct platform *want, struct descriptor *out, struct err *e)
{
	yyjson_doc *doc = json_read(json, "manifest", e);
	yyjson_val *list = yyjson_obj_get(yyjson_doc_get_root(doc), "manifests"), *item;
	char there[200] = "", ours[48];
	int best = 0, r = -ENOENT;
	size_t at, max;

	yyjson_arr_foreach(list, at, max, item) {
		yyjson_val *platform = yyjson_obj_get(item, "platform");
		struct platform have = { .os = "" };
		char type[128];
		size_t len = strlen(there);
		int s;

		copy(yyjson_obj_get(item, "mediaType"), type, sizeof(type));
		if (!is_manifest_type(type) && !is_index_type(type))
			continue;	/* attestations and what is yet to come: skipped, never an error */
		copy(yyjson_obj_get(platform, "os"), have.os, sizeof(have.os));
		copy(yyjson_obj_get(platform, "architecture"), have.arch, sizeof(have.arch));
		copy(yyjson_obj_get(platform, "variant"), have.variant, sizeof(have.variant));
		platform_normalise(&have);
		/* Without a platform: of last resort; the image config is checked anyway. */
		s = platform ? platform_rank(want, &have) : 1;
		if (platform) {
			snprintf(there + len, sizeof(there) - len, "%s", len ? ", " : "");
			len = strlen(there);
			platform_text(&have, there + len, sizeof(there) - len);
		}
		if (s > best && read_descriptor(item, out) == 0) {
			best = s;
			r = 0;
		}
	}
	yyjson_doc_free(doc);
	if (r == 0)
		return 0;
	platform_text(want, ours, sizeof(ours));
	return err_set(e, -ENOENT, "the image has nothing for %s; it has: %s", ours, there[0] ? there : "nothing");
}

static int compression_of(const char *type, enum layer_compression *out)
{
	static const struct { const char *type; enum layer_compression value; } kinds[] = {
		{ "application/vnd.oci.image.layer.v1.tar", LAYER_TAR },
		{ "application/vnd.oci.image.layer.v1.tar+gzip", LAYER_GZIP },
		{ "application/vnd.oci.image.layer.v1.tar+zstd", LAYER_ZSTD },
		{ "application/vnd.oci.image.layer.nondistributable.v1.tar", LAYER_TAR },
		{ "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", LAYER_GZIP },
		{ "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", LAYER_ZSTD },
		{ "application/vnd.docker.image.rootfs.diff.tar", LAYER_TAR },
		{ "application/vnd.docker.image.rootfs.diff.tar.gzip", LAYER_GZIP },
		{ "application/vnd.docker.image.rootfs.diff.tar.zstd", LAYER_ZSTD },
		{ "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", LAYER_GZIP },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(type, kinds[i].type) == 0) {
			*out = kinds[i].value;
			return 0;
		}
	return -ENOTSUP;
}

/* A hint for whoever looks for room, believed in nothing else. */
static uint64_t unpacked_size(yyjson_val *layer)
{
	const char *text = yyjson_get_str(yyjson_obj_get(yyjson_obj_get(layer, "annotations"), "io.containers.estargz.uncompressed-size"));
	char *end = NULL;
	unsigned long long n = text && *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;

	return end && !*end && n < UINT64_MAX / 256 ? n : 0;
}

int image_manifest_read(struct span json, struct manifest *out, struct err *e)
{
	yyjson_doc *doc = json_read(json, "manifest", e);
	yyjson_val *root = yyjson_doc_get_root(doc), *config = yyjson_obj_get(root, "config"), *item;
	yyjson_val *layers = yyjson_obj_get(root, "layers"), *type = yyjson_obj_get(config, "mediaType");
	size_t at, max;
	int r = 0;

	memset(out, 0, sizeof(*out));
	if (read_descriptor(config, &out->config) < 0 || !yyjson_is_arr(layers))
		r = err_set(e, -EBADMSG, "manifest: config or layers are malformed");
	else if (!is(type, "application/vnd.oci.image.config.v1+json") && !is(type, "application/vnd.docker.container.image.v1+json"))
		r = err_set(e, -ENOTSUP, "manifest: not a container image (config is of type %.100s)",
			yyjson_is_str(type) ? yyjson_get_str(type) : "unknown");
	else if (out->config.size > CONFIG_MANIFEST_MAX)
		r = err_set(e, -EFBIG, "image config: larger than %d bytes", CONFIG_MANIFEST_MAX);
	else if (yyjson_arr_size(layers) > CONFIG_LAYERS_MAX || yyjson_arr_size(layers) == 0)
		r = err_set(e, -EFBIG, "image has %zu layers; 1 to %d are supported", yyjson_arr_size(layers), CONFIG_LAYERS_MAX);
	yyjson_arr_foreach(layers, at, max, item) {
		struct image_layer *l;
		char kind[128];

		if (r < 0)
			break;
		l = &out->layer[out->layer_count++];
		copy(yyjson_obj_get(item, "mediaType"), kind, sizeof(kind));
		l->unpacked = unpacked_size(item);
		if (read_descriptor(item, &l->blob) < 0)
			r = err_set(e, -EBADMSG, "manifest: layer %zu is malformed", at);
		else if (compression_of(kind, &l->compression) < 0)
			r = err_set(e, -ENOTSUP, "manifest: layer %zu is of type \"%s\", which is not supported", at, kind);
	}
	yyjson_doc_free(doc);
	return r;
}

int image_config_read(struct span json, const struct platform *want, struct manifest *m, struct err *e)
{
	yyjson_doc *doc = json_read(json, "image config", e);
	yyjson_val *root = yyjson_doc_get_root(doc), *rootfs = yyjson_obj_get(root, "rootfs"), *item;
	yyjson_val *ids = yyjson_obj_get(rootfs, "diff_ids");
	struct platform have = { .os = "" };
	char ours[48], theirs[48];
	size_t at, max;
	int r = 0;

	copy(yyjson_obj_get(root, "os"), have.os, sizeof(have.os));
	copy(yyjson_obj_get(root, "architecture"), have.arch, sizeof(have.arch));
	copy(yyjson_obj_get(root, "variant"), have.variant, sizeof(have.variant));
	platform_normalise(&have);
	platform_text(&have, theirs, sizeof(theirs));
	platform_text(want, ours, sizeof(ours));
	if (!is(yyjson_obj_get(rootfs, "type"), "layers"))
		r = err_set(e, -EBADMSG, "image config: rootfs.type is not \"layers\"");
	else if (yyjson_arr_size(ids) != m->layer_count)
		r = err_set(e, -EBADMSG, "image config: %zu diff_ids for %zu layers", yyjson_arr_size(ids), m->layer_count);
	else if (platform_rank(want, &have) == 0)
		r = err_set(e, -ENOENT, "the image is for %s, this board runs %s", theirs, ours);
	yyjson_arr_foreach(ids, at, max, item) {
		if (r == 0 && (!yyjson_is_str(item) ||
		    digest_parse(span_of(yyjson_get_str(item), yyjson_get_len(item)), &m->layer[at].diff_id) < 0))
			r = err_set(e, -EBADMSG, "image config: diff_id %zu is not a sha256 digest", at);
	}
	yyjson_doc_free(doc);
	return r;
}
