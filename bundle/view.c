/* SPDX-License-Identifier: MIT */
/* Path resolution for the unpacker. Paths are hostile; runs only inside the unpack jail. */
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

static bool is_opaque(int dir)
{
	char value[2];

	return fgetxattr(dir, "trusted.overlay.opaque", value, sizeof(value)) == 1 && value[0] == 'y';
}

/* One layer's say on PATH: 1 it has it, 0 it knows nothing, -1 it hides what is below. */
static int layer_lookup(int layer, const char *path, struct stat *st)
{
	char part[UNPACK_PATH_MAX];
	size_t len = strlen(path);
	int r = 0;

	for (size_t i = 1; i <= len; i++) {
		int fd;

		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		fd = file_open_beneath(layer, part, O_PATH | O_NOFOLLOW, 0);
		if (fd == -ENOENT)
			return r;
		if (fd < 0 || fstat(fd, st) < 0) {
			if (fd >= 0)
				close(fd);
			return -1;
		}
		close(fd);
		if (S_ISCHR(st->st_mode) && st->st_rdev == 0)
			return -1;	/* overlay's whiteout */
		if (path[i] == '\0')
			return 1;
		if (!S_ISDIR(st->st_mode))
			return -1;
		fd = open_dir(layer, part);
		if (fd >= 0 && is_opaque(fd))
			r = -1;		/* what this layer lacks below here is gone */
		if (fd >= 0)
			close(fd);
	}
	return r;
}

int view_lower_find(struct view *v, const char *path, struct stat *st)
{
	for (int i = 0; i < v->lower_len; i++) {
		int r = layer_lookup(v->lower[i], path, st);

		if (r > 0)
			return i;
		if (r < 0)
			return -ENOENT;
	}
	return -ENOENT;
}

int view_copy_attrs(int from, int to, const struct stat *st)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };
	char *names = malloc(XATTR_LIST_MAX), *value = malloc(CONFIG_XATTR_MAX);
	ssize_t len;
	int r = 0;

	if (!names || !value) {
		r = -ENOMEM;
		goto out;
	}
	if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0)
		r = -errno;
	len = flistxattr(from, names, XATTR_LIST_MAX);
	for (char *n = names; r == 0 && len > 0 && n < names + len; n += strlen(n) + 1) {
		ssize_t size;

		if (strncmp(n, "trusted.overlay.", 16) == 0)
			continue;
		size = fgetxattr(from, n, value, CONFIG_XATTR_MAX);
		if (size >= 0 && fsetxattr(to, n, value, (size_t)size, 0) < 0)
			r = -errno;
	}
	if (r == 0 && futimens(to, times) < 0)
		r = -errno;
out:
	free(names);
	free(value);
	return r;
}

/* Makes directory PATH in the staging, as the lower layers have it or plain. */
static int make_implied(struct view *v, const char *path, int layer, const struct stat *st)
{
	int from = -1, to, r = 0;

	if (mkdirat(v->stage, path, 0755) < 0)
		return -errno;
	if (layer < 0)
		return 0;
	to = open_dir(v->stage, path);
	from = open_dir(v->lower[layer], path);
	r = to < 0 ? to : from < 0 ? from : view_copy_attrs(from, to, st);
	if (to >= 0)
		close(to);
	if (from >= 0)
		close(from);
	return r;
}

/* Adds "/NAME" to canonical PATH. */
static int append(char *path, const char *name)
{
	size_t len = strlen(path), more = strlen(name);

	if (len + more + 2 > UNPACK_PATH_MAX)
		return -ENAMETOOLONG;
	snprintf(path + len, UNPACK_PATH_MAX - len, "%s%s", len ? "/" : "", name);
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

/* Reads the link at PATH of the staging or of lower LAYER, and puts it in front of REST. */
static int follow(struct view *v, const char *path, int layer, char *rest)
{
	char target[UNPACK_PATH_MAX], joined[UNPACK_PATH_MAX];
	ssize_t n = readlinkat(layer < 0 ? v->stage : v->lower[layer], path, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (snprintf(joined, sizeof(joined), "%s/%s", target, rest) >= (int)sizeof(joined))
		return -ENAMETOOLONG;
	memcpy(rest, joined, strlen(joined) + 1);
	return target[0] == '/' ? 1 : 0;
}

/* Walks REST (all of it directories) from the root; leaves the canonical path in OUT. */
static int walk(struct view *v, char *rest, char *out)
{
	int links = 0, depth = 0;

	out[0] = '\0';
	while (*rest) {
		char name[256], *slash = strchr(rest, '/');
		size_t len = slash ? (size_t)(slash - rest) : strlen(rest);
		struct stat st;
		int layer = -1, r;

		if (len >= sizeof(name))
			return -ENAMETOOLONG;
		memcpy(name, rest, len);
		name[len] = '\0';
		memmove(rest, rest + len + (slash ? 1 : 0), strlen(rest + len + (slash ? 1 : 0)) + 1);
		if (len == 0 || strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0) {	/* only out of a link's target; the root's parent is the root */
			cut_last(out);
			continue;
		}
		if (++depth > CONFIG_PATH_DEPTH_MAX + LINKS_MAX)
			return -ENAMETOOLONG;
		r = append(out, name);
		if (r < 0)
			return r;
		if (fstatat(v->stage, out, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno != ENOENT)
				return -errno;
			layer = view_lower_find(v, out, &st);
			if (layer < 0 || S_ISDIR(st.st_mode)) {
				r = make_implied(v, out, layer, &st);
				if (r < 0)
					return r;
				continue;
			}
		}
		if (S_ISDIR(st.st_mode))
			continue;
		if (!S_ISLNK(st.st_mode))
			return -ENOTDIR;
		if (++links > LINKS_MAX)
			return -ELOOP;
		r = follow(v, out, layer, rest);
		if (r < 0)
			return r;
		if (r == 1)
			out[0] = '\0';
		else
			cut_last(out);
	}
	return 0;
}

/* Leading "/" and "./" stripped, "." and double slashes dropped; ".." is refused, as no tool that makes layers writes it. */
static int clean(const char *path, char *out)
{
	out[0] = '\0';
	while (*path) {
		const char *slash = strchr(path, '/');
		size_t len = slash ? (size_t)(slash - path) : strlen(path);
		char name[256];
		int r;

		if (len >= sizeof(name))
			return -ENAMETOOLONG;
		memcpy(name, path, len);
		name[len] = '\0';
		path += len + (slash ? 1 : 0);
		if (len == 0 || strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0)
			return -EINVAL;
		r = append(out, name);
		if (r < 0)
			return r;
	}
	return 0;
}

int view_place(struct view *v, const char *path, struct place *p, bool *is_root, struct err *e)
{
	char rest[UNPACK_PATH_MAX];
	char *slash;
	int r = clean(path, rest);

	p->dir_fd = -1;
	p->dir[0] = p->name[0] = '\0';
	*is_root = false;
	if (r < 0)
		return err_set(e, r, "path is refused (%s)", r == -EINVAL ? "it holds \"..\"" : "it is too long");
	if (!rest[0]) {
		*is_root = true;
		p->dir_fd = open_dir(v->stage, "");
		return p->dir_fd < 0 ? p->dir_fd : 0;
	}
	slash = strrchr(rest, '/');
	memcpy(p->name, slash ? slash + 1 : rest, strlen(slash ? slash + 1 : rest) + 1);
	if (slash)
		*slash = '\0';
	else
		rest[0] = '\0';
	r = walk(v, rest, p->dir);
	if (r < 0)
		return err_sys(e, -r, "its directory cannot be resolved");
	p->dir_fd = open_dir(v->stage, p->dir);
	return p->dir_fd < 0 ? err_sys(e, -p->dir_fd, "its directory cannot be opened") : 0;
}

void view_place_close(struct place *p)
{
	if (p->dir_fd >= 0)
		close(p->dir_fd);
	p->dir_fd = -1;
}
