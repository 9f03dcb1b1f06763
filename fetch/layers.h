/* SPDX-License-Identifier: MIT */
/* The layers of a verified manifest into the store. */
#ifndef CORACLE_LAYERS_H
#define CORACLE_LAYERS_H

#include "image.h"
#include "progress.h"
#include "registry.h"

struct layers {
	struct store *store;
	int bundle_exe;		/* coracle-bundle, the unpacker */
	struct registry *registry;
	const struct manifest *manifest;
	struct progress *progress;
	bool no_partial;	/* spare the flash: what a cut leaves is fetched again */
};

/* Fetches those that are missing, bottom first. Each is hashed, kept in partial/ and unpacked in one pass, and published when size, digest and diff_id agree.
 * Free space is looked at before the first byte. -ENOSPC, -EBADMSG, codes of registry_get and layer_stage_publish; then the store has the whole ones, and
 * of the one that broke off its part, unless it was refused. */
int layers_get(const struct layers *l, struct err *e);

#endif
