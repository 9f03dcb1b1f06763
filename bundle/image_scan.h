/* SPDX-License-Identifier: MIT */
/*
 * Goes through all layers of an image in the store, those that are hidden in the container included: whoever pulls the image can read them.
 * Changes nothing. Blocks on the disk.
 */
#ifndef CORACLE_IMAGE_SCAN_H
#define CORACLE_IMAGE_SCAN_H

#include "layer_tree.h"
#include "secrets.h"
#include "store.h"

struct image_layers {
	int count;
	struct digest chain[CONFIG_LAYERS_MAX];
	struct store_layer layer[CONFIG_LAYERS_MAX];	/* what the store says of each */
	int fd[CONFIG_LAYERS_MAX];			/* open directories, lowest first */
};

/* Opens the layers with chain ids CHAIN, lowest first; a struct of its own on the heap, or NULL with the reason in E. */
struct image_layers *image_layers_new(struct store *s, const struct digest *chain, int count, struct err *e);
void image_layers_free(struct image_layers *l);

/* The layer above INDEX that replaces or removes what INDEX has at PATH ("/usr/bin/x"); -1: it is seen. */
int image_layers_hidden_by(const struct image_layers *l, int index, const char *path, const struct stat *st);

/* Calls FOUND for every secret of layer INDEX. A value other than 0 ends it and is returned. */
int image_scan_layer(const struct image_layers *l, int index, int (*found)(void *to, int index, const struct layer_item *item, const struct secret *s),
	void *to, struct err *e);

/* The refusal of RefuseSecrets=: 0, or -EKEYREJECTED with the first secret's place in E. CONFIG: the image's config, which may carry some as well. */
int image_scan_refuse(struct store *s, const struct digest *chain, int count, struct span config, struct err *e);

#endif
