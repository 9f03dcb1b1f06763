/* SPDX-License-Identifier: MIT */
/* The inside of struct store; for bundle/store*.c and layer_stage.c only. */
#ifndef CORACLE_STORE_DIR_H
#define CORACLE_STORE_DIR_H

#include "seal.h"
#include "store.h"

/* A private directory of this process beneath tmp/, flock'ed so that others know it is in use. */
struct staging {
	int dir;	/* tmp/<name>, the flock's holder; -1: none */
	char name[32];
};

struct store {
	int root;
	struct staging holds;	/* of store_hold, made at the first */
	enum store_mode mode;
	char path[256];
	struct seal seal;
};

int staging_begin(struct store *s, struct staging *t, struct err *e);
/* Removes it with all that is left in it. Takes one never begun (dir -1). */
void staging_end(struct store *s, struct staging *t);
/* Removes staging whose maker is gone, and what gc left in trash/. */
void staging_sweep(struct store *s);

/* Calls VISIT for every layer that a living program holds. */
int staging_each_hold(struct store *s, int (*visit)(void *to, const struct digest *chain), void *to);

/* Hex of a digest, NUL-terminated. */
const char *store_hex(const struct digest *d, char out[DIGEST_HEX_LEN + 1]);

#endif
