/* SPDX-License-Identifier: MIT */
/* `coracle-bundle explain`: what an engineer should know before shipping an image. Changes nothing; says where a secret lies, never what it is. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "image_scan.h"
#include "json_out.h"

struct layer_said {
	uint64_t hidden_bytes;
	unsigned hidden_files, secrets;
	unsigned users;			/* other images of the store */
};

struct explain {
	struct store *store;
	struct digest digest;
	struct image_layers *layers;
	struct layer_said said[CONFIG_LAYERS_MAX];
	bool is_json;
	struct json_out json;
	int index;			/* of the layer being walked */
	/* Of the image that an update would come from. */
	const struct digest *from;
	struct digest from_chain[CONFIG_LAYERS_MAX], chain[CONFIG_LAYERS_MAX];
	int from_count;
};

/* Mode and owner say who could read it in a container; whoever can pull the image can. */
static void print_path(struct explain *x, const struct layer_item *item, int index, int above, const char *what)
{
	char shown[400];

	span_escape(span_str(item->path), shown, sizeof(shown));
	if (x->is_json) {
		json_out_object(&x->json, NULL);
		json_out_text(&x->json, "path", shown);
		json_out_uint(&x->json, "layer", (uint64_t)index);
		if (above >= 0)
			json_out_uint(&x->json, "hidden_by", (uint64_t)above);
		json_out_uint(&x->json, "bytes", S_ISREG(item->st.st_mode) ? (uint64_t)item->st.st_size : 0);
		json_out_uint(&x->json, "mode", item->st.st_mode & 07777);
		json_out_uint(&x->json, "uid", item->st.st_uid);
		if (what)
			json_out_text(&x->json, "what", what);
		json_out_close(&x->json, '}');
		return;
	}
	printf("  layer %-3d %9" PRIu64 " KiB  %04o %u:%u  %s", index, S_ISREG(item->st.st_mode) ? ((uint64_t)item->st.st_size + 1023) >> 10 : 0,
		(unsigned)item->st.st_mode & 07777, (unsigned)item->st.st_uid, (unsigned)item->st.st_gid, shown);
	if (what)
		printf(": %s", what);
	if (above >= 0)
		printf(" (hidden by layer %d)", above);
	putchar('\n');
}

static int hidden_item(void *to, const struct layer_item *item, struct err *e)
{
	struct explain *x = to;
	int above = image_layers_hidden_by(x->layers, x->index, item->path, &item->st);

	(void)e;
	if (above < 0)
		return 0;
	x->said[x->index].hidden_files++;
	if (S_ISREG(item->st.st_mode))
		x->said[x->index].hidden_bytes += (uint64_t)item->st.st_size / (uint64_t)item->st.st_nlink;
	print_path(x, item, x->index, above, NULL);
	return 0;
}

static int secret_item(void *to, int index, const struct layer_item *item, const struct secret *s)
{
	struct explain *x = to;

	x->said[index].secrets++;
	print_path(x, item, index, image_layers_hidden_by(x->layers, index, item->path, &item->st), s->what);
	return 0;
}

static int chains_of(struct explain *x, const struct digest *d, struct digest *chain, struct store_image *image, struct err *e)
{
	struct digest diff[CONFIG_LAYERS_MAX];
	struct store_image room;
	struct store_image *i = image ? image : &room;
	int r = store_image_read(x->store, d, i, e);

	if (r < 0)
		return r;
	r = store_image_layers(i, diff, chain, CONFIG_LAYERS_MAX, e);
	if (!image || r < 0)
		store_image_free(i);
	return r;
}

static int count_users(void *to, const struct digest *d)
{
	struct explain *x = to;
	struct digest chain[CONFIG_LAYERS_MAX];
	int count = digest_equal(d, &x->digest) ? 0 : chains_of(x, d, chain, NULL, NULL);

	for (int n = 0; n < count; n++)
		for (int i = 0; i < x->layers->count; i++)
			x->said[i].users += digest_equal(&chain[n], &x->layers->chain[i]);
	return 0;
}

static bool is_among(const struct digest *d, const struct digest *all, int count)
{
	for (int i = 0; i < count; i++)
		if (digest_equal(d, &all[i]))
			return true;
	return false;
}

static void head(struct explain *x, const char *key, const char *human)
{
	if (x->is_json)
		json_out_array(&x->json, key);
	else
		printf("\n%s\n", human);
}

static void foot(struct explain *x)
{
	if (x->is_json)
		json_out_close(&x->json, ']');
}

static void print_layers(struct explain *x)
{
	head(x, "layers", "LAYER        KIB  ENTRIES  HIDDEN KIB  SHARED WITH  DIFF_ID");
	for (int i = 0; i < x->layers->count; i++) {
		const struct store_layer *l = &x->layers->layer[i];
		const struct layer_said *s = &x->said[i];

		if (!x->is_json) {
			printf("%5d  %9" PRIu64 "  %7" PRIu64 "  %10" PRIu64 "  %5u images  %s\n", i, l->bytes >> 10, l->entries, s->hidden_bytes >> 10, s->users,
				digest_text(&l->diff_id).text);
			continue;
		}
		json_out_object(&x->json, NULL);
		json_out_text(&x->json, "diff_id", digest_text(&l->diff_id).text);
		json_out_uint(&x->json, "bytes", l->bytes);
		json_out_uint(&x->json, "entries", l->entries);
		json_out_uint(&x->json, "hidden_files", s->hidden_files);
		json_out_uint(&x->json, "hidden_bytes", s->hidden_bytes);
		json_out_uint(&x->json, "secrets", s->secrets);
		json_out_uint(&x->json, "other_images", s->users);
		json_out_close(&x->json, '}');
	}
	foot(x);
}

/* What the store gains and may lose where this image takes the place of the other. */
static void print_update(struct explain *x)
{
	uint64_t added = 0, kept = 0, gone = 0;
	struct store_layer l;

	for (int i = 0; i < x->layers->count; i++)
		*(is_among(&x->layers->chain[i], x->from_chain, x->from_count) ? &kept : &added) += x->layers->layer[i].bytes;
	for (int i = 0; i < x->from_count; i++)
		if (!is_among(&x->from_chain[i], x->layers->chain, x->layers->count) && store_layer_read(x->store, &x->from_chain[i], &l) == 0)
			gone += l.bytes;
	if (!x->is_json) {
		printf("\nUPDATE from %s\n  %" PRIu64 " KiB of layers are new, %" PRIu64 " KiB are shared, %" PRIu64 " KiB are of the old image alone\n",
			digest_text(x->from).text, added >> 10, kept >> 10, gone >> 10);
		return;
	}
	json_out_object(&x->json, "update");
	json_out_text(&x->json, "from", digest_text(x->from).text);
	json_out_uint(&x->json, "new_bytes", added);
	json_out_uint(&x->json, "shared_bytes", kept);
	json_out_uint(&x->json, "old_bytes", gone);
	json_out_close(&x->json, '}');
}

static void print_config(struct explain *x, const struct store_image *image)
{
	struct secret s = secrets_in(span_of(image->config, image->config_len), "image.env", false, false);

	if (!s.what)
		return;
	if (x->is_json)
		json_out_text(&x->json, "secret_in_config", s.what);
	else
		printf("  image config: %s\n", s.what);
}

static int walk_all(struct explain *x, const struct store_image *image, struct err *e)
{
	uint64_t wasted = 0;
	int r = 0;

	head(x, "hidden", "HIDDEN: removed or replaced by a later layer, still shipped, and readable by whoever pulls the image");
	for (x->index = 0; r == 0 && x->index < x->layers->count; x->index++) {
		r = layer_tree_walk(x->layers->fd[x->index], hidden_item, x, e);
		wasted += x->said[x->index].hidden_bytes;
	}
	foot(x);
	head(x, "secrets", "SECRETS: what looks like one, hidden files included");
	for (int i = 0; r == 0 && i < x->layers->count; i++)
		r = image_scan_layer(x->layers, i, secret_item, x, e);
	foot(x);
	if (r < 0)
		return r;
	print_config(x, image);
	r = store_each(x->store, STORE_IMAGES, count_users, x, e);
	print_layers(x);
	if (x->from)
		print_update(x);
	if (x->is_json)
		json_out_uint(&x->json, "wasted_bytes", wasted);
	else
		printf("\n%" PRIu64 " KiB are shipped for nothing\n", wasted >> 10);
	return r;
}

static int explain(struct explain *x, struct err *e)
{
	struct store_image image;
	int count = chains_of(x, &x->digest, x->chain, &image, e), r;
	char *text;
	size_t len;

	if (count < 0)
		return count;
	x->layers = image_layers_new(x->store, x->chain, count, e);
	r = x->layers ? 0 : -ENOENT;
	if (r == 0 && x->from)
		r = x->from_count = chains_of(x, x->from, x->from_chain, NULL, e);
	if (r >= 0) {
		json_out_object(&x->json, NULL);
		json_out_text(&x->json, "digest", digest_text(&x->digest).text);
		r = walk_all(x, &image, e);
		json_out_close(&x->json, '}');
	}
	store_image_free(&image);
	image_layers_free(x->layers);
	if (json_out_end(&x->json, &text, &len) < 0)
		return err_sys(e, ENOMEM, "explain");
	if (r == 0 && x->is_json)
		fwrite(text, 1, len, stdout);
	free(text);
	return r;
}

int cmd_explain(int argc, char **argv)
{
	struct explain *x = calloc(1, sizeof(*x));
	struct err e = { "" };
	struct digest from;
	const char *dir = NULL, *digest = NULL;
	bool is_wrong = !x;
	int r;

	for (int i = 1; !is_wrong && i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			x->is_json = true;
		} else if (strcmp(argv[i], "--store") == 0 && i + 1 < argc) {
			dir = argv[++i];
		} else if (strcmp(argv[i], "--from") == 0 && i + 1 < argc) {
			is_wrong = digest_parse(span_str(argv[++i]), &from) < 0;
			x->from = &from;
		} else {
			is_wrong = digest || digest_parse(span_str(argv[i]), &x->digest) < 0;
			digest = argv[i];
		}
	}
	if (is_wrong || !dir || !digest) {
		fprintf(stderr, "usage: coracle-bundle explain [--json] [--from DIGEST] --store DIR DIGEST\n");
		free(x);
		return 2;
	}
	r = store_open(&x->store, dir, STORE_READ, &e);
	if (r == 0)
		r = explain(x, &e);
	if (r < 0)
		fprintf(stderr, "coracle-bundle explain: %s\n", e.text[0] ? e.text : strerror(-r));
	store_close(x->store);
	free(x);
	return r < 0 ? 1 : 0;
}
