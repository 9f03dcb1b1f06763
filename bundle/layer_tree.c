/* SPDX-License-Identifier: MIT */
/* Names in a layer are hostile bytes; nothing here interprets them. Memory: names of the directories on the way, up to a limit; a
 * directory that has more is read again for the next ones. */
#include "layer_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEPTH_MAX = 400, NAMES_MAX = 512 * 1024, NAMES_MIN = 4096 };

/* Names of one directory, sorted: all that come behind the last one, or as many of the first of these as there is room for. */
struct names {
	char **at;		/* the text behind it, in one block of so many BYTES */
	size_t count, bytes;
	bool is_more;
};

/* Names being read: text from the front of the room, their places from its end. */
struct batch {
	char *room;
	char **end;
	size_t len, count, size;
	bool is_cut;
	char cut[256];		/* this one and what comes behind it had no room */
};

struct walk {
	int (*visit)(void *to, const struct layer_item *item, struct err *e);
	void *to;
	struct err *e;
	dev_t dev;
	size_t left;		/* bytes for the names of the directories on the way */
	char path[LAYER_TREE_PATH_MAX];
	union {
		char room[NAMES_MAX];
		char *align;
	};
};

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Gives up the second half of the names. */
static void batch_halve(struct batch *b)
{
	char *to = b->room, *end = b->room + b->len;
	const char *middle;
	size_t len;

	qsort(b->end - b->count, b->count, sizeof(*b->end), by_bytes);
	middle = b->end[-(ptrdiff_t)(b->count - b->count / 2)];
	memcpy(b->cut, middle, strlen(middle) + 1);
	b->is_cut = true;
	b->count = 0;
	for (char *from = b->room; from < end; from += len) {
		len = strlen(from) + 1;
		if (strcmp(from, b->cut) >= 0)
			continue;
		memmove(to, from, len);
		b->count++;
		b->end[-(ptrdiff_t)b->count] = to;
		to += len;
	}
	b->len = (size_t)(to - b->room);
}

static void batch_add(struct batch *b, const char *name)
{
	size_t len = strlen(name) + 1;

	if (len > sizeof(b->cut))
		return;		/* no Linux file system has it */
	while (b->len + len + (b->count + 1) * sizeof(*b->end) > b->size)
		batch_halve(b);
	if (b->is_cut && strcmp(name, b->cut) >= 0)
		return;
	memcpy(b->room + b->len, name, len);
	b->count++;
	b->end[-(ptrdiff_t)b->count] = b->room + b->len;
	b->len += len;
}

static int names_take(struct names *n, struct batch *b)
{
	char *text;

	n->is_more = b->is_cut;
	n->count = b->count;
	n->bytes = b->count * sizeof(*n->at) + b->len;
	n->at = malloc(n->bytes + 1);
	if (!n->at)
		return -ENOMEM;
	qsort(b->end - b->count, b->count, sizeof(*b->end), by_bytes);
	text = (char *)(n->at + b->count);
	memcpy(text, b->room, b->len);
	for (size_t i = 0; i < b->count; i++)
		n->at[i] = text + (b->end[(ptrdiff_t)i - (ptrdiff_t)b->count] - b->room);
	return 0;
}

/* Those of DIR behind LAST. */
static int names_read(struct walk *w, struct names *n, int dir, const char *last)
{
	size_t size = (w->left / 2 < NAMES_MIN ? NAMES_MIN : w->left / 2) / sizeof(char *) * sizeof(char *);
	struct batch b = { .room = w->room, .size = size, .end = (char **)(void *)(w->room + size) };
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!list) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	errno = 0;
	while ((entry = readdir(list))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && strcmp(entry->d_name, last) > 0)
			batch_add(&b, entry->d_name);
		errno = 0;
	}
	r = -errno;
	closedir(list);
	return r < 0 ? r : names_take(n, &b);
}

static int walk_dir(struct walk *w, int dir, size_t path_len, int depth)
{
	size_t left = w->left;
	struct names names;
	int r = depth > DEPTH_MAX ? -ELOOP : 0;

	w->path[path_len + 1] = '\0';
	do {
		names = (struct names){ .at = NULL };
		if (r == 0)
			r = names_read(w, &names, dir, w->path + path_len + 1);	/* where the one that was visited last still stands */
		if (r == 0 && fchdir(dir) < 0)
			r = -errno;
		if (r < 0)
			r = err_sys(w->e, -r, "%s", path_len ? w->path : "/");
		w->left -= names.bytes < w->left ? names.bytes : w->left;
		for (size_t i = 0; r == 0 && i < names.count; i++) {
			struct layer_item item = { .dir = dir, .name = names.at[i], .path = w->path };
			size_t len = strlen(names.at[i]);
			int below;

			if (path_len + len + 3 > sizeof(w->path)) {
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
		w->left = left;
		free(names.at);
	} while (r == 0 && names.is_more);
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
	w->visit = visit;
	w->to = to;
	w->e = e;
	w->left = 2 * NAMES_MAX;
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
