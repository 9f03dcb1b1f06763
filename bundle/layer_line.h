/* SPDX-License-Identifier: MIT */
/* One line of a layer's list (composefs-dump(5)), for bundle/layer_list*.c only. */
#ifndef CORACLE_LAYER_LINE_H
#define CORACLE_LAYER_LINE_H

#include <stdio.h>

#include "digest.h"
#include "layer_tree.h"

/* Writes TEXT with everything but printable ASCII as \xNN; "-" where it is empty; also ALSO is escaped. */
void layer_line_text(FILE *to, struct span text, const char *also);

/* The opposite, for one field. 0 or -EBADMSG. */
int layer_line_plain(struct span field, char *out, size_t size);

/* Path and all, of an item in its walk; DIGEST may be NULL. No newline. 0 or a negative code. */
int layer_line_write(FILE *to, const struct layer_item *item, const struct digest *digest, struct err *e);

/* A further name of what lies at TARGET, which is escaped already. */
void layer_line_write_again(FILE *to, const struct layer_item *item, struct span target);

#endif
