/* SPDX-License-Identifier: MIT */
/* The end of a layer: which whiteouts are still needed once every entry lies on disk. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "unpack_inner.h"

static int look(int root, const char *path, struct stat *st)
{
	int fd = file_open_beneath(root, path[0] ? path : ".", O_PATH | O_NOFOLLOW, 0), r = 0;

	if (fd < 0)
		return fd;
	if (fstat(fd, st) < 0)
		r = -errno;
	close(fd);
	return r;
}

/* Makes the directory of PATH (or PATH itself) in the staging, unless something that is no directory took its place. */
static int make_way(struct unpack *u, const char *path, bool is_itself, bool *is_blocked)
{
	char dir[UNPACK_PATH_MAX];
	struct err e = { "" };
	char *slash;
	int fd;

	memcpy(dir, path, strlen(path) + 1);
	slash = strrchr(dir, '/');
	if (!is_itself && slash)
		*slash = '\0';
	else if (!is_itself)
		dir[0] = '\0';
	fd = view_open_dir(&u->view, dir, &e);
	*is_blocked = fd == -ENOTDIR || fd == -ELOOP;
	if (fd >= 0)
		close(fd);
	return fd >= 0 || *is_blocked ? 0 : err_set(&u->err, fd, "%s", e.text);
}

/* A mark on a directory above says it already: nothing of the lower layers is seen there. */
static bool is_below_mark(struct marks *m, const char *path)
{
	char above[UNPACK_PATH_MAX];
	char *slash;

	memcpy(above, path, strlen(path) + 1);
	while ((slash = strrchr(above, '/'))) {
		*slash = '\0';
		if (marks_has(m, MARK_WHITEOUT, above) || marks_has(m, MARK_OPAQUE, above))
			return true;
	}
	return path[0] && marks_has(m, MARK_OPAQUE, "");
}

/* Decides on one mark: *KIND becomes what it is to be, 0 where it is not needed. */
static int settle(struct unpack *u, const struct mark *m, char *kind)
{
	struct stat own, below;
	bool is_blocked = false;
	int r, has_own = look(u->view.stage, m->path, &own);
	int layer = m->path[0] ? view_lower_find(&u->view, m->path, &below) : u->view.lower_len - 1;

	*kind = 0;
	if (layer < 0 && layer != -ENOENT && m->path[0])
		return layer;
	if (has_own < 0 && has_own != -ENOENT && !view_is_no_way(has_own))
		return has_own;
	if (m->kind >= MARK_DEVICE && m->kind <= MARK_DEVICE_END) {
		*kind = has_own == 0 && S_ISREG(own.st_mode) ? m->kind : 0;	/* else its directory went */
		return 0;
	}
	if (!m->kind || layer < 0 || (has_own < 0 && has_own != -ENOENT) || is_below_mark(&u->marks, m->path))
		return 0;
	if (has_own == 0) {
		*kind = S_ISDIR(own.st_mode) && (!m->path[0] || S_ISDIR(below.st_mode)) ? MARK_OPAQUE : 0;
		return 0;
	}
	/* Hidden whole beats hidden inside: no directory is made only to be marked. */
	if (m->kind == MARK_OPAQUE && (!S_ISDIR(below.st_mode) || marks_has(&u->marks, MARK_WHITEOUT, m->path)))
		return 0;
	r = make_way(u, m->path, m->kind == MARK_OPAQUE, &is_blocked);
	*kind = is_blocked ? 0 : m->kind;
	return r;
}

int unpack_settle(struct unpack *u)
{
	struct mark m;
	int r;

	for (m.at = 0; (r = marks_read(&u->marks, &m)) > 0; m.at += marks_size(&m)) {
		char kind;

		r = settle(u, &m, &kind);
		if (r == 0 && kind != m.kind)
			r = marks_turn(&u->marks, &m, kind);
		if (r < 0)
			break;
	}
	if (r == 0)
		r = u->marks.code;
	return r < 0 ? err_sys(&u->err, -r, "whiteouts") : 0;
}
