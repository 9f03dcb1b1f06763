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
 *   ids 4194304 65536    its user namespace's 0 outside, and how many: layers are id-mapped by it
 *   base                 the directory base/ of the bundle lies under them all: mount points that the image does not have
 */
#ifndef CORACLE_BUNDLE_LAYERS_H
#define CORACLE_BUNDLE_LAYERS_H

#include <stdbool.h>

#include "config.h"
#include "digest.h"
#include "err.h"
#include "store.h"

struct bundle_layers {
	char store[1024];		/* absolute */
	char image[DIGEST_TEXT_LEN + 1];
	bool has_base;
	uint32_t id_first, id_count;	/* count 0: no user namespace */
	uint32_t count;
	char layer[CONFIG_LAYERS_MAX][STORE_SHORT_MAX];
};

/* -ENOENT (no text) where the bundle has no such file; -EUCLEAN for a damaged one. */
int bundle_layers_read(int bundle_dir, struct bundle_layers *out, struct err *e);
/* Leaves the file alone where it says that already. */
int bundle_layers_write(int bundle_dir, const struct bundle_layers *l, struct err *e);

/* How layer INDEX (count is the base) of the bundle at the absolute BUNDLE is named from <store>/layers. false: too long for OUT. */
bool bundle_layers_name(const struct bundle_layers *l, const char *bundle, uint32_t index, char *out, size_t size);

#endif
