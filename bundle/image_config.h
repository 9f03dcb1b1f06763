/* SPDX-License-Identifier: MIT */
/*
 * The image config (image-spec config.md) of a verified image: what it says about running it. Labels are data, one of them a text to show; nothing in it names a path of the host.
 */
#ifndef CORACLE_IMAGE_CONFIG_H
#define CORACLE_IMAGE_CONFIG_H

#include <stdbool.h>

#include "digest.h"
#include "err.h"
#include "span.h"
#include "unit_table.h"
#include "config.h"

enum { IMAGE_LIST_MAX = 1024 };

/* Texts point into the parsed document. */
struct image_list {
	uint32_t count;
	const char *at[IMAGE_LIST_MAX];
};

struct image_config {
	void *doc;			/* the parsed document; image_config_free */
	const char *version;		/* label org.opencontainers.image.version: a text to show, nothing more; "" */
	const char *architecture, *user, *workdir, *stop_signal;	/* "" where not said */
	struct image_list entrypoint, cmd, env, volumes;
	struct unit_health health;	/* HEALTHCHECK of Docker's image format; kind UNIT_HEALTH_UNSAID: none */
	uint32_t diff_ids;
	struct digest diff_id[CONFIG_LAYERS_MAX];
};

/* -EBADMSG with the JSON path, -EFBIG over a limit. *OUT from malloc; NULL on failure. */
int image_config_new(struct image_config **out, struct span json, struct err *e);
void image_config_free(struct image_config *c);

#endif
