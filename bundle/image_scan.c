/* SPDX-License-Identifier: MIT */
/* Input: layers as they were published, bytes of whoever made the image. Follows no link. */
#include "image_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "view.h"

struct scan {
	const struct image_layers *layers;
	int index;
	int (*found)(void *to, int index, const struct layer_item *item, const struct secret *s);
	void *to;
};

struct image_layers *image_layers_new(struct store *s, const struct digest *chain, int count, struct err *e)
{
	struct image_layers *l = calloc(1, sizeof(*l));
	char path[64];

	if (!l) {
		err_sys(e, ENOMEM, "image");
		return NULL;
	}
	memset(l->fd, -1, sizeof(l->fd));
	for (l->count = 0; l->count < count; l->count++) {
		int n = l->count;

		l->chain[n] = chain[n];
		if (store_layer_read(s, &chain[n], &l->layer[n]) < 0) {
			err_set(e, -ENOENT, "layer %d is not in the store: pull the image again", n);
			goto fail;
		}
		snprintf(path, sizeof(path), "layers/%s", l->layer[n].name);
		l->fd[n] = file_open_beneath(store_fd(s), path, O_RDONLY | O_DIRECTORY, 0);
		if (l->fd[n] < 0) {
			err_sys(e, -l->fd[n], "%s", path);
			goto fail;
		}
	}
	return l;
fail:
	image_layers_free(l);
	return NULL;
}

void image_layers_free(struct image_layers *l)
{
	if (!l)
		return;
	for (int i = 0; i < CONFIG_LAYERS_MAX; i++)
		if (l->fd[i] >= 0)
			close(l->fd[i]);
	free(l);
}

int image_layers_hidden_by(const struct image_layers *l, int index, const char *path, const struct stat *st)
{
	struct stat above;

	if (S_ISDIR(st->st_mode) || (S_ISCHR(st->st_mode) && st->st_rdev == 0))
		return -1;
	for (int i = index + 1; i < l->count; i++)
		if (view_layer_says(l->fd[i], path + 1, &above) > LAYER_SILENT)
			return i;
	return -1;
}

static int scan_item(void *to, const struct layer_item *item, struct err *e)
{
	struct scan *s = to;
	struct secret secret;
	int fd, r;

	if (!S_ISREG(item->st.st_mode) || item->st.st_size == 0)
		return 0;
	fd = openat(item->dir, item->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "%s", item->path);
	r = secrets_in_file(fd, item->name, &secret);
	close(fd);
	if (r < 0)
		return err_sys(e, -r, "%s", item->path);
	return secret.what ? s->found(s->to, s->index, item, &secret) : 0;
}

int image_scan_layer(const struct image_layers *l, int index, int (*found)(void *to, int index, const struct layer_item *item, const struct secret *s),
	void *to, struct err *e)
{
	struct scan s = { l, index, found, to };
	int r = layer_tree_walk(l->fd[index], scan_item, &s, e);

	return r < 0 && e && !e->text[0] ? err_sys(e, -r, "layer %d", index) : r;
}

static int refuse(void *to, int index, const struct layer_item *item, const struct secret *s)
{
	char shown[200];

	span_escape(span_str(item->path), shown, sizeof(shown));
	return err_set(to, -EKEYREJECTED, "layer %d: %s looks like a secret (%s), and RefuseSecrets= is set: build the image without it; a later layer "
		"that removes it leaves it readable", index, shown, s->what);
}

int image_scan_refuse(struct store *store, const struct digest *chain, int count, struct span config, struct err *e)
{
	struct secret s = secrets_in(config, "image.env", false, false);
	struct image_layers *l;
	int r = 0;

	if (s.what)
		return err_set(e, -EKEYREJECTED, "image config: carries what looks like a secret (%s), and RefuseSecrets= is set: give it to the unit as "
			"Secret= instead", s.what);
	l = image_layers_new(store, chain, count, e);
	for (int i = 0; l && r == 0 && i < count; i++)
		r = image_scan_layer(l, i, refuse, e, e);
	r = l ? r : -ENOENT;
	image_layers_free(l);
	return r;
}
