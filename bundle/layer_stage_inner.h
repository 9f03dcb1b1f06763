/* SPDX-License-Identifier: MIT */
/* The trusted half of unpacking one layer, shared by bundle/layer_*.c only. */
#ifndef CORACLE_LAYER_STAGE_INNER_H
#define CORACLE_LAYER_STAGE_INNER_H

#include "jail.h"
#include "store_dir.h"
#include "unpack.h"

struct layer_stage {
	struct store *store;
	struct layer_spec spec;
	struct staging staging;
	struct jail inflater, jail;
	int feed;		/* compressed bytes */
	int inflated, result;	/* what the two have to say at their ends */
	int digests, marks;	/* nameless files: of struct unpack_digest, of bundle/marks.h */
	int lower[CONFIG_LAYERS_MAX];
};

/* Makes the whiteouts (0:0 devices) and opaque marks (trusted.overlay.opaque) that need what the jail does not have. MARKS: the file that
 * the jail wrote. LAYER: the staged root. Directories keep their times. -EPROTO where a path leaves the root, meets a link or is broken. */
int layer_marks_apply(int layer, int marks, struct err *e);

/* Publishes staged layer and list under a new short name, and the index entry that makes it visible. Blocks on the disk. */
int store_layer_publish(struct store *s, const struct staging *t, const struct layer_spec *spec, uint64_t entries, uint64_t bytes,
	struct err *e);

#endif
