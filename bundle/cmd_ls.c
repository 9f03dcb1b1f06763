/* SPDX-License-Identifier: MIT */
/* `coracle-bundle ls [--json] --store DIR`: images, layers and what they share. Changes nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

#include "commands.h"
#include "store.h"

struct ls {
	struct store *store;
	yyjson_mut_doc *doc;
	yyjson_mut_val *images, *layers;
	bool is_wrong;
};

/* The entry of the layer in the list of all, made where it is new. */
static yyjson_mut_val *layer_entry(struct ls *ls, const struct digest *chain, const struct digest *diff_id)
{
	struct digest_text text = digest_text(chain);
	yyjson_mut_val *item;
	struct store_layer l;
	char dir[64] = "";
	size_t at, max;

	yyjson_mut_arr_foreach(ls->layers, at, max, item)
		if (strcmp(yyjson_mut_get_str(yyjson_mut_obj_get(item, "chain_id")), text.text) == 0)
			return item;
	item = yyjson_mut_arr_add_obj(ls->doc, ls->layers);
	if (store_layer_read(ls->store, chain, &l) == 0)
		snprintf(dir, sizeof(dir), "layers/%s", l.name);
	else
		memset(&l, 0, sizeof(l));
	yyjson_mut_obj_add_strcpy(ls->doc, item, "chain_id", text.text);
	yyjson_mut_obj_add_strcpy(ls->doc, item, "diff_id", digest_text(diff_id ? diff_id : &l.diff_id).text);
	yyjson_mut_obj_add_strcpy(ls->doc, item, "directory", dir);
	yyjson_mut_obj_add_uint(ls->doc, item, "entries", l.entries);
	yyjson_mut_obj_add_uint(ls->doc, item, "bytes", l.bytes);
	yyjson_mut_obj_add_arr(ls->doc, item, "users");
	return item;
}

/* The layers of one image: its own copy of each entry, less the users. */
static void add_layers(struct ls *ls, yyjson_mut_val *image, const char *digest, const struct store_image *i)
{
	struct digest diff[CONFIG_LAYERS_MAX], chain[CONFIG_LAYERS_MAX];
	int count = store_image_layers(i, diff, chain, CONFIG_LAYERS_MAX, NULL);
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(ls->doc, image, "layers");
	uint64_t bytes = 0;

	for (int n = 0; n < count; n++) {
		yyjson_mut_val *all = layer_entry(ls, &chain[n], &diff[n]), *own = yyjson_mut_val_mut_copy(ls->doc, all);

		yyjson_mut_arr_add_strcpy(ls->doc, yyjson_mut_obj_get(all, "users"), digest);
		yyjson_mut_obj_remove_key(own, "users");
		yyjson_mut_arr_append(list, own);
		bytes += yyjson_mut_get_uint(yyjson_mut_obj_get(all, "bytes"));
	}
	yyjson_mut_obj_add_uint(ls->doc, image, "bytes", bytes);
}

static int add_image(void *to, const struct digest *d)
{
	struct digest_text text = digest_text(d);
	struct ls *ls = to;
	struct err e = { "" };
	struct store_image image;
	yyjson_mut_val *item;
	char value[512];

	if (store_image_read(ls->store, d, &image, &e) < 0) {
		fprintf(stderr, "coracle-bundle ls: %s\n", e.text);
		ls->is_wrong = true;
		return 0;
	}
	item = yyjson_mut_arr_add_obj(ls->doc, ls->images);
	yyjson_mut_obj_add_strcpy(ls->doc, item, "digest", text.text);
	store_image_admitted(&image, "ref", value, sizeof(value));
	yyjson_mut_obj_add_strcpy(ls->doc, item, "ref", value);
	store_image_admitted(&image, "key", value, sizeof(value));
	yyjson_mut_obj_add_strcpy(ls->doc, item, "key", value);
	add_layers(ls, item, text.text, &image);
	store_image_free(&image);
	return 0;
}

static int add_unused(void *to, const struct digest *chain)
{
	layer_entry(to, chain, NULL);
	return 0;
}

static const char *text_of(yyjson_mut_val *item, const char *key)
{
	return yyjson_mut_get_str(yyjson_mut_obj_get(item, key));
}

static uint64_t number_of(yyjson_mut_val *item, const char *key)
{
	return yyjson_mut_get_uint(yyjson_mut_obj_get(item, key));
}

static void print_human(const struct ls *ls)
{
	yyjson_mut_val *item;
	size_t at, max;

	printf("%-72s %6s %9s  %s\n", "IMAGE", "LAYERS", "KIB", "REFERENCE");
	yyjson_mut_arr_foreach(ls->images, at, max, item)
		printf("%-72s %6zu %9" PRIu64 "  %s\n", text_of(item, "digest"), yyjson_mut_arr_size(yyjson_mut_obj_get(item, "layers")),
			number_of(item, "bytes") >> 10, text_of(item, "ref"));
	printf("\n%-72s %6s %9s  %s\n", "LAYER (diff_id)", "USERS", "KIB", "DIRECTORY");
	yyjson_mut_arr_foreach(ls->layers, at, max, item)
		printf("%-72s %6zu %9" PRIu64 "  %s\n", text_of(item, "diff_id"), yyjson_mut_arr_size(yyjson_mut_obj_get(item, "users")),
			number_of(item, "bytes") >> 10, text_of(item, "directory")[0] ? text_of(item, "directory") : "missing");
}

static int print_json(const struct ls *ls)
{
	char *text = yyjson_mut_write(ls->doc, YYJSON_WRITE_PRETTY, NULL);

	if (!text)
		return -1;
	puts(text);
	free(text);
	return 0;
}

int cmd_ls(int argc, char **argv)
{
	const char *dir = "/data";
	bool is_json = false;
	struct err e = { "" };
	struct ls ls = { .is_wrong = false };
	yyjson_mut_val *root;
	int r;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			is_json = true;
		} else if (strcmp(argv[i], "--store") == 0 && i + 1 < argc) {
			dir = argv[++i];
		} else {
			fprintf(stderr, "usage: coracle-bundle ls [--json] [--store DIR]\n");
			return 2;
		}
	}
	r = store_open(&ls.store, dir, STORE_READ, &e);
	if (r < 0) {
		fprintf(stderr, "coracle-bundle ls: %s\n", e.text);
		return 1;
	}
	ls.doc = yyjson_mut_doc_new(NULL);
	root = yyjson_mut_obj(ls.doc);
	yyjson_mut_doc_set_root(ls.doc, root);
	ls.images = yyjson_mut_obj_add_arr(ls.doc, root, "images");
	ls.layers = yyjson_mut_obj_add_arr(ls.doc, root, "layers");
	r = store_each(ls.store, STORE_IMAGES, add_image, &ls, &e);
	if (r == 0)
		r = store_each(ls.store, STORE_LAYERS, add_unused, &ls, &e);
	if (r < 0)
		fprintf(stderr, "coracle-bundle ls: %s\n", e.text);
	else if (is_json)
		r = print_json(&ls);
	else
		print_human(&ls);
	yyjson_mut_doc_free(ls.doc);
	store_close(ls.store);
	return r < 0 || ls.is_wrong;
}
