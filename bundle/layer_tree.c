/* SPDX-License-Identifier: MIT */
/* Names in a layer are hostile bytes; nothing here interprets them. Memory: the names of the directories on the way, no more. */
#include "layer_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEPTH_MAX = 400 };

struct names {
	char *text;		/* names, each with its NUL */
	size_t len, size;
	char **at;		/* sorted, into text */
	size_t count;
};

struct walk {
	int (*visit)(void *to, const struct layer_item *item, struct err *e);
	void *to;
	struct err *e;
	dev_t dev;
	char path[LAYER_TREE_PATH_MAX];
};

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void names_free(struct names *n)
{
	free(n->text);
	free(n->at);
}

static int names_add(struct names *n, const char *name)
{
	size_t len = strlen(name) + 1;

	if (n->len + len > n->size) {
		size_t size = n->size ? n->size * 2 : 4096;
		char *text = realloc(n->text, size);

		if (!text)
			return -ENOMEM;
		n->text = text;
		n->size = size;
	}
	memcpy(n->text + n->len, name, len);
	n->len += len;
	n->count++;
	return 0;
}

static int names_sort(struct names *n)
{
	char *text = n->text;

	n->at = calloc(n->count + 1, sizeof(*n->at));
	if (!n->at)
		return -ENOMEM;
	for (size_t i = 0; i < n->count; i++) {
		n->at[i] = text;
		text += strlen(text) + 1;
	}
	qsort(n->at, n->count, sizeof(*n->at), by_bytes);
	return 0;
}

/* Reads the open directory FD (taken over) into N. */
static int names_read(struct names *n, int fd)
{
	DIR *list = fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!list) {
		close(fd);
		return -ENOMEM;
	}
	errno = 0;
	while (r == 0 && (entry = readdir(list))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = names_add(n, entry->d_name);
		errno = 0;
	}
	if (r == 0 && errno)
		r = -errno;
	closedir(list);
	return r < 0 ? r : names_sort(n);
}

static int walk_dir(struct walk *w, int dir, size_t path_len, int depth)
{
	struct names names = { .text = NULL };
	int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = again < 0 ? -errno : depth > DEPTH_MAX ? -ELOOP : names_read(&names, again);

	if (r == 0 && fchdir(dir) < 0)
		r = -errno;
	if (r < 0)
		r = err_sys(w->e, -r, "%s", path_len ? w->path : "/");
	for (size_t i = 0; r == 0 && i < names.count; i++) {
		struct layer_item item = { .dir = dir, .name = names.at[i], .path = w->path };
		size_t len = strlen(names.at[i]);
		int below;

		if (path_len + len + 2 > sizeof(w->path)) {
			r = err_sys(w->e, ENAMETOOLONG, "%s", w->path);
			break;
		}
		w->path[path_len] = '/';
		memcpy(w->path + path_len + 1, names.at[i], len + 1);
		if (fstatat(dir, names.at[i], &item.st, AT_SYMLINK_NOFOLLOW) < 0) {
			r = err_sys(w->e, errno, "%s", w->path);
			break;
		}
		r = w->visit(w->to, &item, w->e);
		if (r == 0 && S_ISDIR(item.st.st_mode) && item.st.st_dev == w->dev) {
			below = openat(dir, names.at[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			r = below < 0 ? err_sys(w->e, errno, "%s", w->path) : walk_dir(w, below, path_len + 1 + len, depth + 1);
			if (below >= 0)
				close(below);
			if (fchdir(dir) < 0 && r == 0)
				r = err_sys(w->e, errno, "%s", w->path);
		}
	}
	w->path[path_len] = '\0';
	names_free(&names);
	return r;
}

int layer_tree_walk(int root, int (*visit)(void *to, const struct layer_item *item, struct err *e), void *to, struct err *e)
{
	struct layer_item item = { .dir = root, .name = ".", .path = "/" };
	struct walk *w = calloc(1, sizeof(*w));
	int before, r;

	if (!w)
		return err_sys(e, ENOMEM, "walking a layer");
	before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	*w = (struct walk){ .visit = visit, .to = to, .e = e };
	if (before < 0 || fchdir(root) < 0 || fstat(root, &item.st) < 0) {
		r = err_sys(e, errno, "/");
	} else {
		w->dev = item.st.st_dev;
		r = visit(to, &item, e);
	}
	if (r == 0)
		r = walk_dir(w, root, 0, 0);
	if (before >= 0 && fchdir(before) < 0 && r == 0)
		r = err_sys(e, errno, "back from a layer");
	if (before >= 0)
		close(before);
	free(w);
	return r;
}

int layer_tree_compare(const char *a, const char *b)
{
	size_t i = 0;

	while (a[i] && a[i] == b[i])
		i++;
	if (a[i] == b[i])
		return 0;
	/* The end of a name, be it the path's end or a slash, comes before any byte; the root's own path is its end. */
	if (!a[i] || !b[i])
		return a[i] ? 1 : -1;
	if (a[i] == '/' || b[i] == '/')
		return a[i] == '/' ? -1 : 1;
	return (unsigned char)a[i] < (unsigned char)b[i] ? -1 : 1;
}
