/* SPDX-License-Identifier: MIT */
/* `coracle-bundle verify`: every image against its digests, every layer against the list recorded while it was unpacked. Changes nothing. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "file.h"
#include "layer_list.h"
#include "store.h"

enum { LOCK_MS = 10000 };

struct verify {
	struct store *store;
	unsigned images, layers;
	long wrong;
};

static int verify_image(void *to, const struct digest *d)
{
	struct verify *v = to;
	struct err e = { "" };

	v->images++;
	if (store_image_complete(v->store, d, &e) < 0) {
		printf("image %s: %s\n", digest_text(d).text, e.text);
		v->wrong++;
	}
	return 0;
}

/* What differs is said by layer_list_verify; here: what keeps it from being compared. */
static long compare(struct verify *v, const char *name, struct err *e)
{
	char path[64], prefix[64];
	long wrong;
	int layer, list;

	snprintf(path, sizeof(path), "layers/%s", name);
	snprintf(prefix, sizeof(prefix), "layer %s: ", name);
	layer = file_open_beneath(store_fd(v->store), path, O_RDONLY | O_DIRECTORY, 0);
	if (layer < 0)
		return err_sys(e, -layer, "%s", path);
	snprintf(path, sizeof(path), "layers/list/%s", name);
	list = file_open_beneath(store_fd(v->store), path, O_RDONLY | O_NONBLOCK, 0);
	wrong = list < 0 ? err_sys(e, -list, "%s", path) : layer_list_verify(layer, list, stdout, prefix, e);
	if (list >= 0)
		close(list);
	close(layer);
	return wrong;
}

static void close_lock(int lock)
{
	if (lock >= 0)
		close(lock);
}

static bool is_indexed(struct store *s, const struct digest *chain)
{
	char path[128];

	snprintf(path, sizeof(path), STORE_LAYERS "/%s", digest_text(chain).text + 7);
	return faccessat(store_fd(s), path, F_OK, 0) == 0;
}

static int verify_layer(void *to, const struct digest *chain)
{
	struct verify *v = to;
	struct store_layer l;
	struct err e = { "" };
	long wrong;
	/* So that gc does not take it away under our eyes; a disk that is read-only has no gc either. */
	int lock = store_lock(v->store, false, LOCK_MS, NULL);

	v->layers++;
	if (!is_indexed(v->store, chain)) {
		v->layers--;	/* it went since the index was read */
		close_lock(lock);
		return 0;
	}
	if (store_layer_read(v->store, chain, &l) < 0) {
		close_lock(lock);
		printf("layer of chain %s: its index entry or its directory is damaged: pull its image again\n", digest_text(chain).text);
		v->wrong++;
		return 0;
	}
	wrong = compare(v, l.name, &e);
	close_lock(lock);
	if (wrong < 0)
		printf("layer %s: %s\n", l.name, e.text);
	v->wrong += wrong < 0 ? 1 : wrong;
	return 0;
}

int cmd_verify(int argc, char **argv)
{
	struct verify v = { .store = NULL };
	struct err e = { "" };
	int r;

	if (argc != 3 || strcmp(argv[1], "--store") != 0) {
		fprintf(stderr, "usage: coracle-bundle verify --store DIR\n");
		return 2;
	}
	r = store_open(&v.store, argv[2], STORE_READ, &e);
	if (r == 0)
		r = store_each(v.store, STORE_IMAGES, verify_image, &v, &e);
	if (r == 0)
		r = store_each(v.store, STORE_LAYERS, verify_layer, &v, &e);
	store_close(v.store);
	if (r < 0) {
		fprintf(stderr, "coracle-bundle verify: %s\n", e.text);
		return 1;
	}
	if (v.wrong) {
		fflush(stdout);
		fprintf(stderr, "coracle-bundle verify: %ld differences in %u images and %u layers: remove the image (gc) and pull it again\n",
			v.wrong, v.images, v.layers);
		return 1;
	}
	printf("%u images, %u layers: all as published\n", v.images, v.layers);
	return 0;
}
