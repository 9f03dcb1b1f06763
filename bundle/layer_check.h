/* SPDX-License-Identifier: MIT */
/* Is a layer what it was when it was unpacked? By its index entry, its list, and every file. Blocks on the disk. */
#ifndef CORACLE_LAYER_CHECK_H
#define CORACLE_LAYER_CHECK_H

#include <stdio.h>

#include "store.h"

/* Compares the layer L, as store_layer_read gave it, with its list. What differs goes to OUT, a line each. Number of differences, or a negative code. */
long layer_check(struct store *s, const struct store_layer *l, FILE *out, struct err *e);

/* Before the layer with that chain id is used: its short name into OUT. Where the store has a key, every file is looked at, once a boot (an empty file in
 * /run/coracle/verified says so); a layer that was changed is no longer in the store then, so that the next pull brings it again. -ENOENT, -EUCLEAN with
 * the first difference. */
int layer_check_use(struct store *s, const struct digest *chain, char out[STORE_SHORT_MAX], struct err *e);

#endif
