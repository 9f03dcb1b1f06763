/* SPDX-License-Identifier: MIT */
/*
 * Manifests, indexes and image configs (image-spec 1.1, Docker schema 2), read only after a digest or signature covers their
 * bytes. Each type can be made by its reading function alone.
 */
#ifndef CORACLE_IMAGE_H
#define CORACLE_IMAGE_H

#include "config.h"
#include "digest.h"
#include "err.h"
#include "platform.h"
#include "store.h"

struct descriptor {
	struct digest digest;
	uint64_t size;
};

struct image_layer {
	struct descriptor blob;
	enum layer_compression compression;
	uint64_t unpacked;		/* as its maker says (io.containers.estargz.uncompressed-size), 0: not said */
	struct digest diff_id;		/* filled by image_config_read */
};

struct manifest {
	struct descriptor config;
	size_t layer_count;
	struct image_layer layer[CONFIG_LAYERS_MAX];
};

#define IMAGE_ACCEPT "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " \
	"application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"

enum image_kind { IMAGE_MANIFEST, IMAGE_INDEX };

/* Which of the two a document is: by mediaType and CONTENT_TYPE ("" unknown), which must agree; one that is both is refused (CVE-2021-41190). */
int image_kind(struct span json, const char *content_type, enum image_kind *out, struct err *e);
/* The entry of an index for P: the best variant, the first among equals. -ENOENT naming what there is. */
int image_index_choose(struct span json, const struct platform *p, struct descriptor *out, struct err *e);
int image_manifest_read(struct span json, struct manifest *out, struct err *e);
/* diff_ids into M; os and architecture against P. */
int image_config_read(struct span json, const struct platform *p, struct manifest *m, struct err *e);

#endif
