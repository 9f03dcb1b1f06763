/* SPDX-License-Identifier: MIT */
/*
 * An image of the store and a unit -> a bundle: config.json, layers, base/ (mount points the image lacks), rootfs/, run record. Deterministic: the same
 * image, unit and program give the same bytes, and what is on disk already is not written again.
 */
#ifndef CORACLE_BUNDLE_MAKE_H
#define CORACLE_BUNDLE_MAKE_H

#include "compile.h"
#include "store.h"
#include "unit_file.h"

struct bundle_make {
	struct store *store;
	const char *store_path;		/* absolute */
	const struct digest *digest;	/* of the manifest */
	const struct unit_file *unit;
	const char *bundle;		/* absolute path; made where it is missing, its parent exists */
	bool may_lack_files;		/* the disk may be full: go on with the record alone, with a note */
};

/* What PID 1 is told of an image beside the record. */
struct bundle_told {
	char version[32];		/* the image's own word, cut to fit; "" */
	int stop_signal;
	struct unit_health health;
};

/* Fills *OUT with the record, and *TOLD. -ENOENT, -EUCLEAN: the store lacks the image or part of it; -EINVAL, -ENOTSUP, -EBADMSG, -EFBIG:
 * image or unit ask for what cannot be; else the disk. Blocks on it. Changes the working directory. */
int bundle_make(const struct bundle_make *m, struct record_build *out, struct bundle_told *told, struct err *e);

/* Where a bundle is made when the disk takes no new directory, and where the store has a key (bundle/seal.h): gone with the power, and made again after it. */
#define BUNDLE_SPARE_DIR "/run/coracle/bundles"

/* The same in the store's own bundles/, which is made, or in BUNDLE_SPARE_DIR; its name is the id of image and unit. Fills the paths of M. STORE_DIR: as
 * store_open took it. */
int bundle_make_own(struct bundle_make *m, const char *store_dir, bool is_spare, struct span unit_bytes, struct record_build *out,
	struct bundle_told *told, struct err *e);

/* First 32 hex digits of sha256(digest text, unit file bytes, hash of the sources that make bundles): another program never takes up what this one made. */
enum { BUNDLE_ID_LEN = 32 };
void bundle_make_id(const struct digest *digest, struct span unit_bytes, char out[BUNDLE_ID_LEN + 1]);

#endif
