/* SPDX-License-Identifier: MIT */
/* `coracle-bundle ls [--json] --store DIR`: images, layers and what they share. Changes nothing. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "json_out.h"
#include "slots.h"
#include "store.h"

struct ls_layer {
	struct digest chain, diff_id;
	char dir[64];		/* beneath the store; empty where the layer is missing */
	uint64_t entries, bytes;
	size_t users;
};

struct ls_image {
	struct digest digest;
	char ref[512], key[512];
	uint64_t bytes;
	size_t count, *layers;	/* places in the list of all layers, lowest first */
};

struct ls {
	struct store *store;
	struct ls_image *images;
	struct ls_layer *layers;
	size_t image_count, layer_count;
	struct slots *slots;	/* which units use what; NULL where they cannot be read */
	bool is_wrong;
};

/* Room for one more of COUNT elements of SIZE bytes in *LIST, zeroed; NULL without memory. */
static void *one_more(void *list, size_t count, size_t size)
{
	void *grown = reallocarray(*(void **)list, count + 1, size);

	if (!grown)
		return NULL;
	*(void **)list = grown;
	return memset((char *)grown + count * size, 0, size);
}

/* The place of the layer in the list of all, made where it is new; or -ENOMEM. */
static int layer_place(struct ls *ls, const struct digest *chain, const struct digest *diff_id)
{
	struct ls_layer *item;
	struct store_layer l;

	for (size_t at = 0; at < ls->layer_count; at++)
		if (digest_equal(&ls->layers[at].chain, chain))
			return (int)at;
	item = one_more(&ls->layers, ls->layer_count, sizeof(*item));
	if (!item)
		return -ENOMEM;
	item->chain = *chain;
	if (store_layer_read(ls->store, chain, &l) == 0) {
		snprintf(item->dir, sizeof(item->dir), "layers/%s", l.name);
		item->diff_id = l.diff_id;
		item->entries = l.entries;
		item->bytes = l.bytes;
	}
	if (diff_id)
		item->diff_id = *diff_id;
	return (int)ls->layer_count++;
}

static int add_layers(struct ls *ls, struct ls_image *item, const struct store_image *image)
{
	struct digest diff[CONFIG_LAYERS_MAX], chain[CONFIG_LAYERS_MAX];
	int count = store_image_layers(image, diff, chain, CONFIG_LAYERS_MAX, NULL);

	if (count <= 0)
		return 0;
	item->layers = calloc((size_t)count, sizeof(*item->layers));
	if (!item->layers)
		return -ENOMEM;
	for (int n = 0; n < count; n++) {
		int place = layer_place(ls, &chain[n], &diff[n]);

		if (place < 0)
			return place;
		ls->layers[place].users++;
		item->bytes += ls->layers[place].bytes;
		item->layers[item->count++] = (size_t)place;
	}
	return 0;
}

static int add_image(void *to, const struct digest *d)
{
	struct ls *ls = to;
	struct err e = { "" };
	struct store_image image;
	struct ls_image *item;
	int r;

	if (store_image_read(ls->store, d, &image, &e) < 0) {
		fprintf(stderr, "coracle-bundle ls: %s\n", e.text);
		ls->is_wrong = true;
		return 0;
	}
	item = one_more(&ls->images, ls->image_count, sizeof(*item));
	if (item) {
		ls->image_count++;
		item->digest = *d;
		store_image_admitted(&image, "ref", item->ref, sizeof(item->ref));
		store_image_admitted(&image, "key", item->key, sizeof(item->key));
	}
	r = item ? add_layers(ls, item, &image) : -ENOMEM;
	store_image_free(&image);
	return r;
}

static int add_unused(void *to, const struct digest *chain)
{
	int place = layer_place(to, chain, NULL);

	return place < 0 ? place : 0;
}

/* What would be free if only this image went. */
static uint64_t own_bytes(const struct ls *ls, const struct ls_image *i)
{
	uint64_t own = 0;

	for (size_t n = 0; n < i->count; n++)
		if (ls->layers[i->layers[n]].users == 1)
			own += ls->layers[i->layers[n]].bytes;
	return own;
}

/* What unit N of the slots uses the image for: "current", "next", "previous", or NULL. */
static const char *use_of(const struct ls *ls, uint32_t n, const struct ls_image *i)
{
	struct digest_text t = digest_text(&i->digest);
	const struct slot *s = &ls->slots->slot[n];

	return strcmp(s->current, t.text) == 0 ? "current" : strcmp(s->next, t.text) == 0 ? "next" :
		strcmp(s->previous, t.text) == 0 ? "previous" : NULL;
}

static void print_units(const struct ls *ls, const struct ls_image *i)
{
	for (uint32_t n = 0; ls->slots && n < ls->slots->count; n++)
		if (use_of(ls, n, i))
			printf(" %s(%s)", ls->slots->slot[n].name, use_of(ls, n, i));
	putchar('\n');
}

static void units_json(struct json_out *o, const struct ls *ls, const struct ls_image *i)
{
	json_out_array(o, "units");
	for (uint32_t n = 0; ls->slots && n < ls->slots->count; n++) {
		if (!use_of(ls, n, i))
			continue;
		json_out_object(o, NULL);
		json_out_text(o, "name", ls->slots->slot[n].name);
		json_out_text(o, "as", use_of(ls, n, i));
		json_out_close(o, '}');
	}
	json_out_close(o, ']');
}

static void print_human(const struct ls *ls)
{
	printf("%-72s %6s %9s %9s  %s\n", "IMAGE", "LAYERS", "KIB", "OWN", "REFERENCE  UNITS");
	for (const struct ls_image *i = ls->images; i < ls->images + ls->image_count; i++) {
		printf("%-72s %6zu %9" PRIu64 " %9" PRIu64 "  %s ", digest_text(&i->digest).text, i->count, i->bytes >> 10, own_bytes(ls, i) >> 10, i->ref);
		print_units(ls, i);
	}
	printf("\n%-72s %6s %9s  %s\n", "LAYER (diff_id)", "USERS", "KIB", "DIRECTORY");
	for (const struct ls_layer *l = ls->layers; l < ls->layers + ls->layer_count; l++)
		printf("%-72s %6zu %9" PRIu64 "  %s\n", digest_text(&l->diff_id).text, l->users, l->bytes >> 10, l->dir[0] ? l->dir : "missing");
}

static void layer_members(struct json_out *o, const struct ls_layer *l)
{
	json_out_text(o, "chain_id", digest_text(&l->chain).text);
	json_out_text(o, "diff_id", digest_text(&l->diff_id).text);
	json_out_text(o, "directory", l->dir);
	json_out_uint(o, "entries", l->entries);
	json_out_uint(o, "bytes", l->bytes);
}

static void image_json(struct json_out *o, const struct ls *ls, const struct ls_image *i)
{
	json_out_object(o, NULL);
	json_out_text(o, "digest", digest_text(&i->digest).text);
	json_out_text(o, "ref", i->ref);
	json_out_text(o, "key", i->key);
	json_out_array(o, "layers");
	for (size_t n = 0; n < i->count; n++) {
		json_out_object(o, NULL);
		layer_members(o, &ls->layers[i->layers[n]]);
		json_out_close(o, '}');
	}
	json_out_close(o, ']');
	json_out_uint(o, "bytes", i->bytes);
	json_out_uint(o, "own_bytes", own_bytes(ls, i));
	json_out_uint(o, "shared_bytes", i->bytes - own_bytes(ls, i));
	units_json(o, ls, i);
	json_out_close(o, '}');
}

/* The images that the layer at this place is part of. */
static void users_json(struct json_out *o, const struct ls *ls, size_t place)
{
	json_out_array(o, "users");
	for (const struct ls_image *i = ls->images; i < ls->images + ls->image_count; i++)
		for (size_t n = 0; n < i->count; n++)
			if (i->layers[n] == place)
				json_out_text(o, NULL, digest_text(&i->digest).text);
	json_out_close(o, ']');
}

static int print_json(const struct ls *ls)
{
	struct json_out o = { 0 };
	char *text;
	size_t len;
	int r;

	json_out_object(&o, NULL);
	json_out_array(&o, "images");
	for (size_t n = 0; n < ls->image_count; n++)
		image_json(&o, ls, &ls->images[n]);
	json_out_close(&o, ']');
	json_out_array(&o, "layers");
	for (size_t n = 0; n < ls->layer_count; n++) {
		json_out_object(&o, NULL);
		layer_members(&o, &ls->layers[n]);
		users_json(&o, ls, n);
		json_out_close(&o, '}');
	}
	json_out_close(&o, ']');
	json_out_close(&o, '}');
	r = json_out_end(&o, &text, &len);
	if (r < 0) {
		fprintf(stderr, "coracle-bundle ls: cannot write the list as JSON: %s\n", strerror(-r));
		return r;
	}
	fwrite(text, 1, len, stdout);
	free(text);
	return 0;
}

int cmd_ls(int argc, char **argv)
{
	const char *dir = "/data";
	bool is_json = false;
	struct err e = { "" };
	struct ls ls = { .is_wrong = false };
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
	r = store_each(ls.store, STORE_IMAGES, add_image, &ls, &e);
	if (r == 0)
		r = store_each(ls.store, STORE_LAYERS, add_unused, &ls, &e);
	if (r == 0) {
		struct err why = { "" };

		ls.slots = malloc(sizeof(*ls.slots));
		if (ls.slots && slots_read(ls.store, ls.slots, &why) < 0) {
			fprintf(stderr, "coracle-bundle ls: %s\n", why.text);
			ls.is_wrong = true;
		}
	}
	if (r < 0)
		fprintf(stderr, "coracle-bundle ls: %s\n", e.text[0] ? e.text : strerror(-r));
	else if (is_json)
		r = print_json(&ls);
	else
		print_human(&ls);
	for (size_t n = 0; n < ls.image_count; n++)
		free(ls.images[n].layers);
	free(ls.images);
	free(ls.layers);
	free(ls.slots);
	store_close(ls.store);
	return r < 0 || ls.is_wrong;
}
