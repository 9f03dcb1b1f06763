/* SPDX-License-Identifier: MIT */
/*
 * The store: the only code that knows how layers and images lie on the data
 * partition. Six ideas: stage, publish, mount, verify, list, drop. Linked into
 * coracle-bundle and into the trusted half of coracle-fetch.
 *
 *   format                    "coracle-store 1\n"
 *   layers/<short>/           one unpacked layer, immutable; layers/index/<chain id hex>: its short name and key=value lines, the list's digest among
 *                             them (a small file, replaced atomically: the layer is there once this is); layers/list/<short>: what it holds (bundle/layer_list.h)
 *   images/sha256/<hex>/      manifest.json config.json admitted (key=value lines: ref, rule, key, payload digest); published by one rename
 *   bundles/<id>/             config.json, record.<format>.<features>
 *   state/slots               bundle/slots.h
 *   state/clock               lib/clock.h
 *   tmp/<random>/             staging, flock'ed by its maker; an unlocked one is rubbish and any later writer removes it
 *   trash/                    renamed-away victims of gc
 *   partial/, config/, logs/, volumes/
 *
 * Locks: store/lock, flock shared for publish and use, exclusive for gc's renames only. What a running pull needs but nothing names yet is held:
 * an empty file in its own tmp/<random>/, named by the layer's chain id, says so to gc for as long as that pull lives.
 */
#ifndef CORACLE_STORE_H
#define CORACLE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "digest.h"
#include "err.h"
#include "span.h"

struct store;

/* What to do where there is no room: after such a pull PID 1 starts gc by itself. */
#define STORE_MAKE_ROOM "What no unit uses, a board removes by itself now (coracle-bundle gc); more room: fewer units, a larger disk"

enum store_mode { STORE_READ, STORE_WRITE };

/* Opens DIR; STORE_WRITE makes the folders where DIR is empty and removes stale staging. -EUCLEAN for another format or a non-store. */
int store_open(struct store **out, const char *dir, enum store_mode mode, struct err *e);
void store_close(struct store *s);
/* Borrowed descriptor of the store's root. */
int store_fd(const struct store *s);
/* The key that authenticates what lies in it, borrowed; there or not (bundle/seal.h). Where it is, what has no right code is refused: a layer's index
 * entry and an image's admission by -EKEYREJECTED. */
struct seal;
const struct seal *store_seal(const struct store *s);

/* ChainID of image-spec config.md: chain(L0) = diff0, chain(n) = sha256(chain(n-1) " " diff(n)). */
struct digest store_chain(const struct digest *parent_or_null, const struct digest *diff_id);

/* Short name ("k3x09a", never given twice) of the published layer with that chain id into OUT; -ENOENT where there is none. */
enum { STORE_SHORT_MAX = 16 };
int store_layer_find(struct store *s, const struct digest *chain, char out[STORE_SHORT_MAX]);

struct store_layer {
	char name[STORE_SHORT_MAX];
	struct digest diff_id;
	uint64_t entries, bytes;	/* of the archive; contents of its files */
	struct digest list;		/* of layers/list/<short>; has_list false: published before there was one */
	bool has_list;
};

/* The same with what was written down at publishing. -ENOENT, -EUCLEAN, -EKEYREJECTED. */
int store_layer_read(struct store *s, const struct digest *chain, struct store_layer *out);

/* Keeps gc from the layer with that chain id, there or to come, until S is closed. To be asked before looking whether it is there. */
int store_hold(struct store *s, const struct digest *chain, struct err *e);

enum layer_compression { LAYER_TAR, LAYER_GZIP, LAYER_ZSTD };

struct layer_spec {
	struct digest diff_id;		/* of the uncompressed tar; from the verified image config */
	struct digest chain;
	const struct digest *lower;	/* chain ids of the layers below, bottom first, all published */
	size_t lower_len;
	enum layer_compression compression;
	int index;			/* for messages: layer number from 0 */
};

/* One layer being unpacked by the jailed `coracle-bundle unpack` (program open at BUNDLE_EXE_FD). */
struct layer_stage;

int layer_stage_begin(struct layer_stage **out, struct store *s, int bundle_exe_fd, const struct layer_spec *spec, struct err *e);
/* Feeds compressed bytes, in order. Blocks while the unpacker is behind. -EPIPE when the unpacker gave up: call layer_stage_publish for the reason.
 * The caller has SIGPIPE ignored. */
int layer_stage_feed(struct layer_stage *l, const void *at, size_t len, struct err *e);
/* No more bytes. Waits for the unpacker, compares diff_id, applies its whiteout list, syncs, and makes the layer visible by rename; then
 * store_layer_find knows it. The caller must have checked size and digest of the compressed bytes before. -EBADMSG hostile or broken
 * layer, -EFBIG over a limit, -ENOSPC, ...; whatever fails leaves nothing. Frees L. */
int layer_stage_publish(struct layer_stage *l, struct err *e);
/* Kills the unpacker, removes the staging. Frees L; takes NULL. */
void layer_stage_abort(struct layer_stage *l);

/* Publishes images/sha256/<manifest>/ in one rename. ADMITTED: key=value lines saying why it was let in. Blocks on the disk. */
int store_image_publish(struct store *s, const struct digest *manifest_digest, struct span manifest, struct span config,
	struct span admitted, struct err *e);

struct store_image {
	char *manifest, *config, *admitted;	/* NUL-terminated, owned */
	size_t manifest_len, config_len, admitted_len;
};

/* Reads an image back and checks the manifest's digest and the config's digest from the manifest. -ENOENT, -EUCLEAN, -EKEYREJECTED. */
int store_image_read(struct store *s, const struct digest *manifest_digest, struct store_image *out, struct err *e);
void store_image_free(struct store_image *i);
/* The value of KEY (ref, digest, scope, key, payload) of the admission into OUT, "" where there is none. */
void store_image_admitted(const struct store_image *i, const char *key, char *out, size_t size);
/* diff_ids and chain ids of its layers, bottom first. Their number, or -EUCLEAN, -EFBIG above MAX. */
int store_image_layers(const struct store_image *i, struct digest *diff_ids, struct digest *chains, size_t max, struct err *e);
/* Is it there, with all its layers? 0, -ENOENT, -EUCLEAN. */
int store_image_complete(struct store *s, const struct digest *manifest_digest, struct err *e);

/* Calls VISIT for every digest that names something in FOLDER: STORE_IMAGES (manifest digests), STORE_LAYERS (chain ids), in no order. A value
 * other than 0 ends it and is returned. */
#define STORE_IMAGES "images/sha256"
#define STORE_LAYERS "layers/index"
int store_each(struct store *s, const char *folder, int (*visit)(void *to, const struct digest *d), void *to, struct err *e);

/* flock of store/lock with a deadline; the descriptor to close, or -ETIMEDOUT. */
int store_lock(struct store *s, bool exclusive, int timeout_ms, struct err *e);

#endif
