/* SPDX-License-Identifier: MIT */
/* Path resolution for the unpacker. Paths are hostile; runs only inside the unpack jail, where nothing else touches the staging. */
#include "view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "config.h"
#include "file.h"

enum { LINKS_MAX = 40, XATTR_LIST_MAX = 65536 };

static int open_dir(int root, const char *path)
{
	return file_open_beneath(root, path[0] ? path : ".", O_RDONLY | O_DIRECTORY, 0);
}

static int look(int root, const char *path, struct stat *st)
{
	int fd = file_open_beneath(root, path, O_PATH | O_NOFOLLOW, 0), r = 0;

	if (fd < 0)
		return fd;
	if (fstat(fd, st) < 0)
		r = -errno;
	close(fd);
	return r;
}

/* LAYER_HIDES, LAYER_SILENT or -errno. */
static int opaque(int root, const char *path)
{
	int fd = open_dir(root, path), r;
	char value[2];
	ssize_t n;

	if (fd < 0)
		return fd;
	n = fgetxattr(fd, "trusted.overlay.opaque", value, sizeof(value));
	if (n < 0 && errno != ENODATA && errno != ENOTSUP && errno != ERANGE)
		r = -errno;
	else
		r = n == 1 && value[0] == 'y' ? LAYER_HIDES : LAYER_SILENT;
	close(fd);
	return r;
}

bool view_is_no_way(int r)
{
	return r == -ENOTDIR || r == -ELOOP;
}

int view_layer_says(int layer, const char *path, struct stat *st)
{
	char part[UNPACK_PATH_MAX];
	size_t len = strlen(path);
	int r = look(layer, path, st);

	if (r == 0)
		return S_ISCHR(st->st_mode) && st->st_rdev == 0 ? LAYER_HIDES : LAYER_HAS;	/* 0:0 is overlay's whiteout */
	if (r != -ENOENT)
		return view_is_no_way(r) ? LAYER_HIDES : r;
	for (size_t i = 1; i < len; i++) {
		if (path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		r = look(layer, part, st);
		if (r < 0)
			return r == -ENOENT ? LAYER_SILENT : r;
		r = S_ISDIR(st->st_mode) ? opaque(layer, part) : LAYER_HIDES;
		if (r != LAYER_SILENT)
			return r;
	}
	return opaque(layer, "");
}

int view_lower_find(const struct view *v, const char *path, struct stat *st)
{
	for (int i = 0; i < v->lower_len; i++) {
		int r = view_layer_says(v->lower[i], path, st);

		if (r != LAYER_SILENT)
			return r == LAYER_HAS ? i : r == LAYER_HIDES ? -ENOENT : r;
	}
	return -ENOENT;
}

int view_copy_attrs(int from, int to, const struct stat *st)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };
	static char names[XATTR_LIST_MAX], value[CONFIG_XATTR_MAX];
	ssize_t len;
	int r = 0;

	if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0)
		r = -errno;
	len = flistxattr(from, names, sizeof(names));
	if (r == 0 && len < 0 && errno != ENOTSUP)
		r = -errno;
	for (char *n = names; r == 0 && len > 0 && n < names + len; n += strlen(n) + 1) {
		ssize_t size;

		if (strncmp(n, "trusted.overlay.", 16) == 0)
			continue;
		size = fgetxattr(from, n, value, sizeof(value));
		if (size < 0 ? errno != ENODATA && errno != ENOTSUP : fsetxattr(to, n, value, (size_t)size, 0) < 0)
			r = -errno;
	}
	if (r == 0 && futimens(to, times) < 0)
		r = -errno;
	return r;
}

/* Adds "/NAME" to canonical PATH. */
static int append(char *path, const char *name, size_t name_len)
{
	size_t len = strlen(path);

	if (len + name_len + 2 > UNPACK_PATH_MAX)
		return -ENAMETOOLONG;
	if (len)
		path[len++] = '/';
	memcpy(path + len, name, name_len);
	path[len + name_len] = '\0';
	return 0;
}

static void cut_last(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash)
		*slash = '\0';
	else
		path[0] = '\0';
}

int view_clean(const char *path, bool is_scoped, char *out, struct err *e)
{
	out[0] = '\0';
	while (*path) {
		const char *slash = strchr(path, '/');
		size_t len = slash ? (size_t)(slash - path) : strlen(path);
		int r = 0;

		if (len > 255)
			return err_set(e, -ENAMETOOLONG, "a name of more than 255 bytes");
		if (len == 2 && path[0] == '.' && path[1] == '.') {
			if (!out[0] && !is_scoped)
				return err_set(e, -EINVAL, "its path leaves the root by \"..\": refused");
			cut_last(out);
		} else if (len && !(len == 1 && path[0] == '.')) {
			r = append(out, path, len);
		}
		if (r < 0)
			return err_set(e, r, "a path of more than %d bytes", UNPACK_PATH_MAX - 1);
		path += len + (slash ? 1 : 0);
	}
	return 0;
}

/* Puts the target of the link at PATH (of the staging, or of lower LAYER) in front of REST. 1 where it is absolute. */
static int follow(const struct view *v, const char *path, int layer, char *rest)
{
	char target[UNPACK_PATH_MAX], joined[2 * UNPACK_PATH_MAX];
	int fd = file_open_beneath(layer < 0 ? v->stage : v->lower[layer], path, O_PATH | O_NOFOLLOW, 0);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = readlinkat(fd, "", target, sizeof(target) - 1);
	close(fd);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (snprintf(joined, sizeof(joined), "%s/%s", target, rest) >= UNPACK_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(rest, joined, strlen(joined) + 1);
	return target[0] == '/' ? 1 : 0;
}

struct walk {
	char rest[UNPACK_PATH_MAX];
	char *out;
	int depth, links;
	size_t hidden_from;	/* length of the shortest prefix of out that is whited out or opaque; 0: none */
};

/* After OUT grew to name: does a mark of this layer hide what lower layers have there? */
static bool is_hidden(const struct view *v, struct walk *w)
{
	if (w->hidden_from && strlen(w->out) > w->hidden_from)
		return true;
	return marks_has(v->marks, MARK_WHITEOUT, w->out) || marks_has(v->marks, MARK_OPAQUE, "");
}

static void note_hidden(const struct view *v, struct walk *w)
{
	size_t len = strlen(w->out);

	if (w->hidden_from && len <= w->hidden_from)
		w->hidden_from = 0;
	if (!w->hidden_from && len && (marks_has(v->marks, MARK_WHITEOUT, w->out) || marks_has(v->marks, MARK_OPAQUE, w->out)))
		w->hidden_from = len;
}

/* One component, NAME, not "" or ".". */
static int step(const struct view *v, struct walk *w, const char *name, size_t len)
{
	struct stat st;
	int layer = -1, r;

	if (len == 2 && name[0] == '.' && name[1] == '.') {	/* only out of a link's target; the root's parent is the root */
		w->depth -= w->out[0] ? 1 : 0;
		cut_last(w->out);
		note_hidden(v, w);
		return 0;
	}
	if (++w->depth > CONFIG_PATH_DEPTH_MAX || append(w->out, name, len) < 0)
		return -ENAMETOOLONG;
	r = look(v->stage, w->out, &st);
	if (r == -ENOENT) {
		layer = is_hidden(v, w) ? -ENOENT : view_lower_find(v, w->out, &st);
		if (layer < 0)
			st.st_mode = S_IFDIR;	/* to be made */
		r = layer < 0 && layer != -ENOENT ? layer : 0;
	}
	if (r < 0)
		return r;
	if (S_ISDIR(st.st_mode)) {
		note_hidden(v, w);
		return 0;
	}
	if (!S_ISLNK(st.st_mode))
		return -ENOTDIR;
	if (++w->links > LINKS_MAX)
		return -ELOOP;
	r = follow(v, w->out, layer, w->rest);
	if (r == 1) {
		w->out[0] = '\0';
		w->depth = 0;
		w->hidden_from = 0;
	} else if (r == 0) {
		cut_last(w->out);
		w->depth--;
		note_hidden(v, w);
	}
	return r < 0 ? r : 0;
}

int view_resolve(const struct view *v, const char *dir, char *out, bool *hidden, struct err *e)
{
	struct walk w = { .out = out };
	int r = 0;

	out[0] = '\0';
	memcpy(w.rest, dir, strlen(dir) + 1);
	while (r == 0 && w.rest[0]) {
		char *slash = strchr(w.rest, '/');
		size_t len = slash ? (size_t)(slash - w.rest) : strlen(w.rest), skip = len + (slash ? 1 : 0);
		char name[256];

		if (len > 255)
			return err_set(e, -ENAMETOOLONG, "a link on its way has a name of more than 255 bytes");
		memcpy(name, w.rest, len);
		memmove(w.rest, w.rest + skip, strlen(w.rest + skip) + 1);
		if (len && !(len == 1 && name[0] == '.'))
			r = step(v, &w, name, len);
	}
	*hidden = w.hidden_from || marks_has(v->marks, MARK_OPAQUE, "");
	return r < 0 ? err_sys(e, -r, "its directory cannot be resolved%s", r == -ENAMETOOLONG ? " (too deep)" : "") : 0;
}

/* Makes directory NAME in open PARENT, PATH from the root, as the lower layers have it or plain. Leaves PARENT's times. */
static int make_implied(const struct view *v, int parent, const char *name, const char *path, bool hidden)
{
	struct timespec epoch[2] = { { 0, 0 }, { 0, 0 } }, times[2] = { { .tv_nsec = UTIME_OMIT } };
	struct stat above, st;
	int layer = hidden ? -ENOENT : view_lower_find(v, path, &st), from, to, r = 0;

	if (layer < 0 && layer != -ENOENT)
		return layer;
	if (fstat(parent, &above) < 0 || mkdirat(parent, name, 0755) < 0)
		return -errno;
	times[1] = above.st_mtim;
	if (futimens(parent, times) < 0)
		return -errno;
	to = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0)
		return -errno;
	if (layer >= 0 && S_ISDIR(st.st_mode)) {
		from = open_dir(v->lower[layer], path);
		r = from < 0 ? from : view_copy_attrs(from, to, &st);
		if (from >= 0)
			close(from);
	} else if (fchown(to, 0, 0) < 0 || futimens(to, epoch) < 0) {
		r = -errno;
	}
	if (r < 0) {
		close(to);
		return r;
	}
	return to;
}

static int make_dirs(const struct view *v, const char *dir)
{
	bool hidden = marks_has(v->marks, MARK_OPAQUE, "");
	char part[UNPACK_PATH_MAX];
	size_t len = strlen(dir), start = 0;
	int at = open_dir(v->stage, "");

	for (size_t i = 1; at >= 0 && i <= len; i++) {
		int next;

		if (dir[i] != '/' && dir[i] != '\0')
			continue;
		memcpy(part, dir, i);
		part[i] = '\0';
		hidden |= marks_has(v->marks, MARK_WHITEOUT, part);
		next = openat(at, part + start, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			next = errno == ENOENT ? make_implied(v, at, part + start, part, hidden) : -errno;
		close(at);
		at = next;
		hidden |= marks_has(v->marks, MARK_OPAQUE, part);
		start = i + 1;
	}
	return at;
}

int view_open_dir(const struct view *v, const char *dir, struct err *e)
{
	int fd = open_dir(v->stage, dir);

	if (fd == -ENOENT)
		fd = make_dirs(v, dir);
	return fd < 0 ? err_sys(e, -fd, "its directory cannot be opened") : fd;
}
