/* SPDX-License-Identifier: MIT */
/* Compares a layer with its list, both in the order of bundle/layer_tree.h, so that each is gone through once. Changes nothing. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "layer_line.h"
#include "layer_list.h"
#include "verity.h"

enum { FIELDS = 11, READ_SIZE = 65536 };
enum field { PATH, SIZE, MODE, NLINK, UID, GID, RDEV, MTIME, PAYLOAD, CONTENT, DIGEST };

static const char *const names[FIELDS] = { "path", "size", "mode", "links", "uid", "gid", "device", "mtime", "target", "content", "content" };

struct line {
	char *text;		/* from getline(3) */
	size_t size;
	struct span field[FIELDS];
	struct span xattrs;	/* all of them, as text */
	char path[LAYER_TREE_PATH_MAX];
	bool is_there;
};

struct verify {
	int layer;
	FILE *list, *out;
	const char *prefix;
	struct line line;	/* the next one that was not met yet */
	long wrong;
};

static int split(struct line *l, size_t len)
{
	size_t at = 0;

	for (int i = 0; i < FIELDS; i++) {
		size_t start = at;

		while (at < len && l->text[at] != ' ')
			at++;
		if (at == start)
			return -EUCLEAN;
		l->field[i] = span_of(l->text + start, at - start);
		at += at < len ? 1 : 0;
	}
	l->xattrs = span_of(l->text + at, len - at);
	return layer_line_plain(l->field[PATH], l->path, sizeof(l->path)) < 0 ? -EUCLEAN : 0;
}

static int next_line(struct verify *v, struct err *e)
{
	ssize_t n = getline(&v->line.text, &v->line.size, v->list);

	v->line.is_there = n > 0;
	if (n <= 0)
		return 0;
	if (v->line.text[n - 1] != '\n' || split(&v->line, (size_t)n - 1) < 0)
		return err_set(e, -EUCLEAN, "its list is damaged");
	return 0;
}

static void say(struct verify *v, const char *path, const char *what)
{
	char shown[1024];

	span_escape(span_str(path), shown, sizeof(shown));
	fprintf(v->out, "%s%s: %s\n", v->prefix, shown, what);
	v->wrong++;
}

static int digest_of(const struct layer_item *item, struct digest *out)
{
	static struct verity verity;
	static uint8_t block[READ_SIZE];
	int fd = openat(item->dir, item->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	verity_begin(&verity);
	while ((n = read(fd, block, sizeof(block))) > 0)
		verity_add(&verity, block, (size_t)n);
	close(fd);
	if (n < 0)
		return -EIO;
	*out = verity_end(&verity);
	return 0;
}

/* ITEM is listed as a further name of another file. */
static void compare_again(struct verify *v, const struct layer_item *item)
{
	char target[LAYER_TREE_PATH_MAX];
	struct stat st;
	int fd;

	if (layer_line_plain(v->line.field[PAYLOAD], target, sizeof(target)) < 0 || target[0] != '/') {
		say(v, item->path, "its line in the list is damaged");
		return;
	}
	fd = file_open_beneath(v->layer, target + 1, O_PATH | O_NOFOLLOW, 0);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_ino != item->st.st_ino)
		say(v, item->path, "is no longer the same file as its other name");
	if (fd >= 0)
		close(fd);
}

static int compare(struct verify *v, const struct layer_item *item, struct err *e)
{
	struct line now = { .text = NULL };
	struct digest d;
	FILE *to = open_memstream(&now.text, &now.size);
	int r = 0, read_error = 0;

	if (!to)
		return err_sys(e, ENOMEM, "verify");
	if (S_ISREG(item->st.st_mode))
		read_error = digest_of(item, &d);
	r = layer_line_write(to, item, S_ISREG(item->st.st_mode) && read_error == 0 ? &d : NULL, e);
	if (fclose(to) != 0 && r == 0)
		r = err_sys(e, ENOMEM, "verify");
	if (r == 0 && split(&now, strlen(now.text)) < 0)
		r = err_set(e, -EUCLEAN, "verify");
	if (r == 0 && read_error)
		say(v, item->path, "cannot be read");
	for (int i = SIZE; r == 0 && i < FIELDS; i++)
		if (!span_equal(now.field[i], v->line.field[i]) && !(i == DIGEST && read_error)) {
			char what[300];

			snprintf(what, sizeof(what), "%s is %.*s, was %.*s", names[i], (int)now.field[i].len, now.field[i].at,
				(int)v->line.field[i].len, v->line.field[i].at);
			say(v, item->path, what);
		}
	if (r == 0 && !span_equal(now.xattrs, v->line.xattrs))
		say(v, item->path, "its extended attributes are not those of the image");
	free(now.text);
	return r;
}

static int verify_item(void *to, const struct layer_item *item, struct err *e)
{
	struct verify *v = to;
	int order = 1, r = 0;

	while (r == 0 && v->line.is_there && (order = layer_tree_compare(v->line.path, item->path)) < 0) {
		say(v, v->line.path, "is missing");
		r = next_line(v, e);
	}
	if (r < 0)
		return r;
	if (!v->line.is_there || order > 0) {
		say(v, item->path, "does not belong there");
		return 0;
	}
	if (v->line.field[MODE].at[0] == '@')
		compare_again(v, item);
	else
		r = compare(v, item, e);
	return r < 0 ? r : next_line(v, e);
}

long layer_list_verify(int layer, int list, FILE *out, const char *prefix, struct err *e)
{
	struct verify *v = calloc(1, sizeof(*v));
	int own = dup(list), r;
	long wrong;

	if (!v || own < 0) {
		free(v);
		return err_sys(e, ENOMEM, "verify");
	}
	*v = (struct verify){ .layer = layer, .list = fdopen(own, "r"), .out = out, .prefix = prefix };
	r = v->list ? next_line(v, e) : err_sys(e, ENOMEM, "verify");
	if (r == 0)
		r = layer_tree_walk(layer, verify_item, v, e);
	while (r == 0 && v->line.is_there) {
		say(v, v->line.path, "is missing");
		r = next_line(v, e);
	}
	if (v->list)
		fclose(v->list);
	free(v->line.text);
	wrong = v->wrong;
	free(v);
	return r < 0 ? r : wrong;
}
