/* SPDX-License-Identifier: MIT */
/* Walks one layer's directory in an order that depends on names alone: a directory before its children, children by bytes of their names. */
#ifndef CORACLE_LAYER_TREE_H
#define CORACLE_LAYER_TREE_H

#include <sys/stat.h>

#include "err.h"

enum { LAYER_TREE_PATH_MAX = 8192 };

struct layer_item {
	int dir;		/* open directory that holds it; the root itself for the root */
	const char *name;	/* "." for the root */
	const char *path;	/* "/", "/usr/bin" */
	struct stat st;
};

/* Calls VISIT for every entry, with the working directory at ITEM's dir (attributes have no at-form before 6.13); a value other than 0 ends the walk and is returned. Follows no link, crosses no mount. */
int layer_tree_walk(int root, int (*visit)(void *to, const struct layer_item *item, struct err *e), void *to, struct err *e);

/* The order of the walk for two absolute paths: negative, 0, positive. */
int layer_tree_compare(const char *a, const char *b);

#endif
