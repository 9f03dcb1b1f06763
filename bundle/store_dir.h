/* SPDX-License-Identifier: MIT */
/* The inside of struct store; for bundle/store*.c and layer_stage.c only. */
#ifndef CORACLE_STORE_DIR_H
#define CORACLE_STORE_DIR_H

#include "store.h"

struct store {
	int root;
	int writers;	/* shared lock of tmp/, where opened for writing */
	enum store_mode mode;
	char path[256];
};

/* A private directory of this process beneath tmp/, flock'ed so that others know it is in use. */
struct staging {
	int dir;	/* tmp/<name>, the flock's holder */
	char name[32];
};

int staging_begin(struct store *s, struct staging *t, struct err *e);
/* Removes it with all that is left in it. Takes one never begun (dir -1). */
void staging_end(struct store *s, struct staging *t);
/* Removes staging whose maker is gone, and what gc left in trash/. */
void staging_sweep(struct store *s);

/* The lock that tells gc of writers; store_open takes it shared. The descriptor to close, or -EBUSY. */
int store_writers(struct store *s, bool exclusive, int timeout_ms, struct err *e);

/* Hex of a digest, NUL-terminated. */
const char *store_hex(const struct digest *d, char out[DIGEST_HEX_LEN + 1]);

#endif
