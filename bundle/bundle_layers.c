/* SPDX-License-Identifier: MIT */
/* Reads and writes the file `layers` of a bundle. What is read is checked as if it were foreign: a name with a slash, a colon or a
 * comma would end up in mount options. */
#include "bundle_layers.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

static const char first_line[] = "coracle-layers 1";

/* A replacement costs flash blocks: none where nothing changes. */
static int update(int dir, const char *name, struct span data, struct err *e)
{
	char *now = NULL;
	size_t len = 0;
	bool is_same = file_read(dir, name, data.len, &now, &len, NULL) == 0 && span_equal(span_of(now, len), data);

	free(now);
	return is_same ? 0 : file_replace(dir, name, data, 0644, e);
}

static bool is_layer_name(const char *s)
{
	size_t len = strlen(s);

	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]))
			return false;
	return len > 0 && len < STORE_SHORT_MAX;
}

static int take_line(struct bundle_layers *l, const char *line)
{
	struct digest d;

	if (strncmp(line, "store /", 7) == 0 && strlen(line) - 6 < sizeof(l->store)) {
		span_copy(span_str(line + 6), l->store, sizeof(l->store));
		return 0;
	}
	if (strncmp(line, "image ", 6) == 0 && digest_parse(span_str(line + 6), &d) == 0) {
		span_copy(span_str(line + 6), l->image, sizeof(l->image));
		return 0;
	}
	if (strncmp(line, "layer ", 6) == 0 && is_layer_name(line + 6) && l->count < CONFIG_LAYERS_MAX) {
		span_copy(span_str(line + 6), l->layer[l->count++], STORE_SHORT_MAX);
		return 0;
	}
	if (sscanf(line, "ids %u %u", &l->id_first, &l->id_count) == 2)
		return 0;
	if (strcmp(line, "base") == 0) {
		l->has_base = true;
		return 0;
	}
	return -EUCLEAN;
}

int bundle_layers_read(int bundle_dir, struct bundle_layers *out, struct err *e)
{
	char *text = NULL, *save = NULL;
	size_t len;
	int fd, r;

	memset(out, 0, sizeof(*out));
	fd = file_open_beneath(bundle_dir, "layers", O_RDONLY | O_NONBLOCK, 0);
	if (fd == -ENOENT)
		return -ENOENT;
	if (fd < 0)
		return err_sys(e, -fd, "layers");
	r = file_read_fd(fd, "layers", 64 * 1024, &text, &len, e);
	close(fd);
	if (r < 0)
		return r;
	for (char *line = strtok_r(text, "\n", &save); line && r == 0; line = strtok_r(NULL, "\n", &save))
		r = line == text ? (strcmp(line, first_line) == 0 ? 0 : -EUCLEAN) : take_line(out, line);
	if (r == 0 && (strlen(text) == 0 || !out->store[0] || out->count == 0))
		r = -EUCLEAN;
	free(text);
	if (r < 0)
		return err_set(e, -EUCLEAN, "layers: damaged: create the bundle again");
	return 0;
}

int bundle_layers_write(int bundle_dir, const struct bundle_layers *l, struct err *e)
{
	size_t size = sizeof(l->store) + 256 + (size_t)l->count * (STORE_SHORT_MAX + 8), at;
	char *text = malloc(size);
	int r;

	if (!text)
		return err_sys(e, ENOMEM, "layers");
	at = (size_t)snprintf(text, size, "%s\nstore %s\n", first_line, l->store);
	if (l->image[0])
		at += (size_t)snprintf(text + at, size - at, "image %s\n", l->image);
	for (uint32_t i = 0; i < l->count; i++)
		at += (size_t)snprintf(text + at, size - at, "layer %s\n", l->layer[i]);
	if (l->id_count)
		at += (size_t)snprintf(text + at, size - at, "ids %u %u\n", l->id_first, l->id_count);
	if (l->has_base)
		at += (size_t)snprintf(text + at, size - at, "base\n");
	r = update(bundle_dir, "layers", span_of(text, at), e);
	free(text);
	return r;
}

bool bundle_layers_name(const struct bundle_layers *l, const char *bundle, uint32_t index, char *out, size_t size)
{
	size_t len = strlen(l->store);

	if (index < l->count)
		return (size_t)snprintf(out, size, "%s", l->layer[index]) < size;
	/* Inside the store it moves with it. */
	if (strncmp(bundle, l->store, len) == 0 && bundle[len] == '/')
		return (size_t)snprintf(out, size, "..%s/base", bundle + len) < size;
	return (size_t)snprintf(out, size, "%s/base", bundle) < size;
}
