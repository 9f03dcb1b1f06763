/* SPDX-License-Identifier: MIT */
/*
 * The file `layers` beside config.json: of which published layers the rootfs consists. No path of a layer
 * is stored, only its short name within the store.
 *
 *   coracle-layers 1
 *   store /data
 *   image sha256:<hex>
 *   layer 0001c          topmost first
 *   layer 0001a
 */
#ifndef CORACLE_BUNDLE_LAYERS_H
#define CORACLE_BUNDLE_LAYERS_H

#include "config.h"
#include "digest.h"
#include "err.h"
#include "store.h"

struct bundle_layers {
	char store[1024];		/* absolute */
	char image[DIGEST_TEXT_LEN + 1];
	uint32_t count;
	char layer[CONFIG_LAYERS_MAX][STORE_SHORT_MAX];
};

/* -ENOENT (no text) where the bundle has no such file; -EUCLEAN for a damaged one. */
int bundle_layers_read(int bundle_dir, struct bundle_layers *out, struct err *e);
int bundle_layers_write(int bundle_dir, const struct bundle_layers *l, struct err *e);

#endif
