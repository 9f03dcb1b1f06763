/* SPDX-License-Identifier: MIT */
/* `coracle-bundle ls [--json] --store DIR`: the images of the store with their layers. Changes nothing. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yyjson.h>

#include "commands.h"
#include "file.h"
#include "sha256.h"
#include "store.h"

static void add_layers(yyjson_mut_doc *out, yyjson_mut_val *list, struct store *s, const struct store_image *image)
{
	yyjson_doc *doc = yyjson_read(image->config, image->config_len, 0);
	yyjson_val *ids = yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(doc), "rootfs"), "diff_ids"), *id;
	struct digest chain, diff;
	size_t at, max;

	yyjson_arr_foreach(ids, at, max, id) {
		yyjson_mut_val *layer = yyjson_mut_arr_add_obj(out, list);
		char name[STORE_SHORT_MAX] = "", dir[64] = "";

		if (!yyjson_is_str(id) || digest_parse(span_str(yyjson_get_str(id)), &diff) < 0)
			break;
		chain = store_chain(at ? &chain : NULL, &diff);
		if (store_layer_find(s, &chain, name) == 0)
			snprintf(dir, sizeof(dir), "layers/%s", name);
		yyjson_mut_obj_add_strcpy(out, layer, "diff_id", digest_text(&diff).text);
		yyjson_mut_obj_add_strcpy(out, layer, "chain_id", digest_text(&chain).text);
		yyjson_mut_obj_add_strcpy(out, layer, "directory", dir);
	}
	yyjson_doc_free(doc);
}

static void print_human(yyjson_mut_val *images)
{
	yyjson_mut_val *image;
	size_t at, max;

	printf("%-72s LAYERS  REFERENCE\n", "DIGEST");
	yyjson_mut_arr_foreach(images, at, max, image)
		printf("%-72s %6zu  %s\n", yyjson_mut_get_str(yyjson_mut_obj_get(image, "digest")),
			yyjson_mut_arr_size(yyjson_mut_obj_get(image, "layers")),
			yyjson_mut_get_str(yyjson_mut_obj_get(image, "ref")));
}

int cmd_ls(int argc, char **argv)
{
	const char *dir = "/data";
	bool is_json = false;
	struct err e = { "" };
	struct store *s;
	yyjson_mut_doc *out;
	yyjson_mut_val *images;
	struct dirent *entry;
	DIR *list;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			is_json = true;
		} else if (strcmp(argv[i], "--store") == 0 && i + 1 < argc) {
			dir = argv[++i];
		} else {
			fprintf(stderr, "coracle-bundle ls: unknown argument %s: ls [--json] [--store DIR]\n", argv[i]);
			return 2;
		}
	}
	if (store_open(&s, dir, STORE_READ, &e) < 0) {
		fprintf(stderr, "coracle-bundle ls: %s\n", e.text);
		return 1;
	}
	out = yyjson_mut_doc_new(NULL);
	images = yyjson_mut_arr(out);
	yyjson_mut_doc_set_root(out, yyjson_mut_obj(out));
	yyjson_mut_obj_add_val(out, yyjson_mut_doc_get_root(out), "images", images);
	list = fdopendir(file_open_beneath(store_fd(s), "images/sha256", O_RDONLY | O_DIRECTORY, 0));
	while (list && (entry = readdir(list))) {
		char text[DIGEST_TEXT_LEN + 1], value[512];
		struct store_image image;
		struct digest d;
		yyjson_mut_val *item;

		if (entry->d_name[0] == '.' || strlen(entry->d_name) != DIGEST_HEX_LEN)
			continue;
		snprintf(text, sizeof(text), "sha256:%.64s", entry->d_name);
		e.text[0] = '\0';
		if (digest_parse(span_str(text), &d) < 0 || store_image_read(s, &d, &image, &e) < 0) {
			fprintf(stderr, "coracle-bundle ls: %s\n", e.text);
			continue;
		}
		item = yyjson_mut_arr_add_obj(out, images);
		yyjson_mut_obj_add_strcpy(out, item, "digest", text);
		store_image_admitted(&image, "ref", value, sizeof(value));
		yyjson_mut_obj_add_strcpy(out, item, "ref", value);
		store_image_admitted(&image, "key", value, sizeof(value));
		yyjson_mut_obj_add_strcpy(out, item, "key", value);
		add_layers(out, yyjson_mut_obj_add_arr(out, item, "layers"), s, &image);
		store_image_free(&image);
	}
	if (is_json) {
		char *text = yyjson_mut_write(out, YYJSON_WRITE_PRETTY, NULL);

		puts(text ? text : "{}");
		free(text);
	} else {
		print_human(images);
	}
	if (list)
		closedir(list);
	yyjson_mut_doc_free(out);
	store_close(s);
	return 0;
}
