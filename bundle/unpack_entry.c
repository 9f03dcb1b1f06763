/* SPDX-License-Identifier: MIT */
/*
 * One entry of a layer onto disk (image-spec layer.md, "Changeset"): whatever of this layer lies in the way goes first, except a directory
 * under a directory, so nothing is ever written through an old link. Names, links and contents are hostile.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "file.h"
#include "unpack_inner.h"

enum { FULL_MAX = UNPACK_PATH_MAX + 260 };

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

/* Cuts PATH into its directory (PATH itself, shortened) and its last name. */
static const char *split(char *path)
{
	char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	if (slash)
		*slash = '\0';
	return name;
}

static void join(char out[FULL_MAX], const char *dir, const char *name)
{
	snprintf(out, FULL_MAX, "%s%s%s", dir, dir[0] ? "/" : "", name);
}

int unpack_dir_leave(struct unpack *u)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, u->dir.mtime };
	int r = 0;

	if (u->dir.fd >= 0) {
		r = futimens(u->dir.fd, times) < 0 ? -errno : 0;
		close(u->dir.fd);
	}
	u->dir.fd = -1;
	u->dir.is_valid = false;
	return r;
}

/* FD, open in the staging, is the current directory. */
static int dir_take(struct unpack *u, int fd)
{
	struct stat st;

	u->dir.fd = fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	u->dir.mtime = st.st_mtim;
	return 0;
}

/* Makes RAW, clean, the current directory; the staging is not changed yet. */
static int dir_enter(struct unpack *u, const char *raw)
{
	int r;

	if (u->dir.is_valid && strcmp(u->dir.raw, raw) == 0)
		return 0;
	r = unpack_dir_leave(u);
	if (r < 0)
		return r;
	/* A directory of this layer, with no link on the way: its name is the canonical one. One call instead of three for each component. */
	r = file_open_beneath(u->view.stage, raw[0] ? raw : ".", O_RDONLY | O_DIRECTORY, 0);
	if (r >= 0) {
		memcpy(u->dir.place.dir, raw, strlen(raw) + 1);
		memcpy(u->dir.raw, raw, strlen(raw) + 1);
		u->dir.is_valid = true;
		return dir_take(u, r);
	}
	r = view_resolve(&u->view, raw, u->dir.place.dir, &u->dir.place.is_hidden, &u->err);
	if (r < 0)
		return r;
	memcpy(u->dir.raw, raw, strlen(raw) + 1);
	u->dir.is_valid = true;
	return 0;
}

/* Opens the current directory, making what is missing of it. */
static int dir_open(struct unpack *u)
{
	int fd;

	if (u->dir.fd >= 0)
		return 0;
	fd = view_open_dir(&u->view, u->dir.place.dir, &u->err);
	return fd < 0 ? fd : dir_take(u, fd);
}

static int make_dir(struct unpack *u, struct archive_entry *entry, const char *name, bool is_there)
{
	int fd, r;

	if (!is_there && mkdirat(u->dir.fd, name, 0700) < 0)
		return -errno;
	fd = openat(u->dir.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = unpack_attrs(u, entry, fd, -1, name, S_IFDIR);
	close(fd);
	return r;
}

/* A hard link to a lower layer becomes a copy: layers share no inode. */
static int copy_from_lower(struct unpack *u, int layer, const char *path, const struct stat *st, const char *name)
{
	int root = u->view.lower[layer], from, to = -1, r = 0;

	if (S_ISLNK(st->st_mode)) {
		struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, st->st_mtim };
		char target[UNPACK_PATH_MAX];
		int fd = file_open_beneath(root, path, O_PATH | O_NOFOLLOW, 0);
		ssize_t n = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof(target) - 1);

		if (fd >= 0)
			close(fd);
		if (n < 0)
			return -EIO;
		target[n] = '\0';
		return symlinkat(target, u->dir.fd, name) < 0 || utimensat(u->dir.fd, name, times, AT_SYMLINK_NOFOLLOW) < 0 ||
			fchownat(u->dir.fd, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
	}
	if (!S_ISREG(st->st_mode))
		return err_set(&u->err, -ENOTSUP, "hard link to a directory or special file of a lower layer: refused");
	from = file_open_beneath(root, path, O_RDONLY | O_NONBLOCK, 0);
	if (from < 0)
		return from;
	to = openat(u->dir.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	r = to < 0 ? -errno : unpack_content_copy(u, from, to);
	if (r == 0)
		r = view_copy_attrs(from, to, st);
	if (to >= 0)
		close(to);
	close(from);
	return r;
}

/* Resolves LINK, scoped to the root, not following its last component; FULL is its canonical path. */
static int resolve_target(struct unpack *u, const char *link, char full[FULL_MAX], bool *is_hidden)
{
	char raw[UNPACK_PATH_MAX], dir[UNPACK_PATH_MAX];
	const char *name;
	int r = view_clean(link, true, raw, &u->err);

	if (r < 0)
		return err_prefix(&u->err, r, "target of the hard link");
	if (!raw[0])
		return err_set(&u->err, -EBADMSG, "hard link to the root");
	name = split(raw);
	r = view_resolve(&u->view, name == raw ? "" : raw, dir, is_hidden, &u->err);
	if (r < 0)
		return err_prefix(&u->err, r, "target of the hard link");
	join(full, dir, name);
	*is_hidden |= marks_has(&u->marks, MARK_WHITEOUT, full);
	return 0;
}

static int make_hardlink(struct unpack *u, const char *target, bool is_hidden, const char *name)
{
	char path[FULL_MAX];
	const char *last;
	struct stat st;
	int layer, dir, r = look(u->view.stage, target, &st);

	if (r < 0) {
		if (r != -ENOENT && !view_is_no_way(r))
			return r;
		layer = is_hidden ? -ENOENT : view_lower_find(&u->view, target, &st);
		if (layer < 0 && layer != -ENOENT)
			return layer;
		return layer < 0 ? err_set(&u->err, -EBADMSG, "hard link to something that is not there") :
			copy_from_lower(u, layer, target, &st, name);
	}
	if (S_ISDIR(st.st_mode))
		return err_set(&u->err, -EBADMSG, "hard link to a directory");
	if (marks_has_device(&u->marks, target))
		return err_set(&u->err, -ENOTSUP, "hard link to a device: refused");
	memcpy(path, target, strlen(target) + 1);
	last = split(path);
	dir = file_open_beneath(u->view.stage, last == path ? "." : path, O_PATH | O_DIRECTORY, 0);
	if (dir < 0)
		return dir;
	r = linkat(dir, last, u->dir.fd, name, 0) < 0 ? -errno : 0;
	close(dir);
	return r;
}

static int clear_way(struct unpack *u, const char *name, bool for_dir, bool *is_there)
{
	struct stat st;

	*is_there = false;
	if (fstatat(u->dir.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (for_dir && S_ISDIR(st.st_mode)) {
		*is_there = true;
		return 0;
	}
	u->dir.is_valid = false;	/* what goes may have been on the way here */
	return file_remove_tree(u->dir.fd, name, &u->err);
}

/* Mostly nothing is in the way: that is found by trying. */
static int make_file(struct unpack *u, struct archive *a, struct archive_entry *entry, const char *name)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(u->dir.fd, name, flags, 0600), r;
	bool is_there;

	if (fd < 0 && errno == EEXIST) {
		r = clear_way(u, name, false, &is_there);
		if (r < 0)
			return r;
		fd = openat(u->dir.fd, name, flags, 0600);
	}
	if (fd < 0)
		return -errno;
	r = unpack_content(u, a, fd);
	if (r == 0)
		r = unpack_attrs(u, entry, fd, -1, name, S_IFREG);
	close(fd);
	return r;
}

static int whiteout(struct unpack *u, const char *name)
{
	char full[FULL_MAX];
	int r;

	if (strcmp(name, ".wh..wh..opq") == 0) {
		r = marks_add(&u->marks, MARK_OPAQUE, u->dir.place.dir, &u->err);
	} else {
		name += 4;
		if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			return err_set(&u->err, -EBADMSG, "whiteout of nothing: refused");
		join(full, u->dir.place.dir, name);
		r = marks_add(&u->marks, MARK_WHITEOUT, full, &u->err);
	}
	u->dir.is_valid = false;	/* it may hide what the current directory was resolved through */
	return r;
}

/* The jail cannot make a node: an empty file holds its place and attributes, the launcher makes the node of it. */
static int make_device(struct unpack *u, struct archive_entry *entry, const char *name, mode_t type)
{
	unsigned major = (unsigned)archive_entry_rdevmajor(entry), minor = (unsigned)archive_entry_rdevminor(entry);
	int kind = S_ISCHR(type) ? mark_device(major, minor) : 0, fd, r;
	char full[FULL_MAX];

	if (!kind)
		return err_set(&u->err, -ENOTSUP, "%s device %u:%u: refused; devices come from the unit's AddDevice=",
			S_ISCHR(type) ? "character" : "block", major, minor);
	join(full, u->dir.place.dir, name);
	fd = openat(u->dir.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = unpack_attrs(u, entry, fd, -1, name, type);
	close(fd);
	return r < 0 ? r : marks_add(&u->marks, (enum mark_kind)kind, full, &u->err);
}

static int make_special(struct unpack *u, struct archive_entry *entry, const char *link, const char *name, mode_t type)
{
	int r;

	if (type == S_IFLNK && (!link || !link[0] || strlen(link) >= UNPACK_PATH_MAX))
		return err_set(&u->err, -EBADMSG, "symbolic link with an empty or over-long target");
	r = type == S_IFLNK ? symlinkat(link, u->dir.fd, name) : mknodat(u->dir.fd, name, S_IFIFO | 0600, 0);
	return r < 0 ? -errno : unpack_attrs(u, entry, -1, u->dir.fd, name, type);
}

static int make_entry(struct unpack *u, struct archive *a, struct archive_entry *entry, const char *link, const char *name)
{
	bool is_link = u->guard.type == '1', is_there, is_hidden = false;
	mode_t type = archive_entry_filetype(entry);
	char target[FULL_MAX], own[FULL_MAX];
	int r = 0;

	if (is_link) {
		if (!link || !link[0])
			return err_set(&u->err, -EBADMSG, "hard link without a target");
		r = resolve_target(u, link, target, &is_hidden);
		join(own, u->dir.place.dir, name);
		if (r < 0 || strcmp(target, own) == 0)
			return r;	/* to itself: nothing to do */
	} else if (type == S_IFDIR && u->guard.size) {
		return err_set(&u->err, -EBADMSG, "a directory with content");
	}
	r = dir_open(u);
	if (r == 0 && (is_link || type != S_IFREG))
		r = clear_way(u, name, !is_link && type == S_IFDIR, &is_there);
	if (r < 0)
		return r;
	join(own, u->dir.place.dir, name);
	r = marks_drop_device(&u->marks, own);
	if (r < 0)
		return r;
	if (is_link)
		return make_hardlink(u, target, is_hidden, name);
	switch (type) {
	case S_IFREG:
		return make_file(u, a, entry, name);
	case S_IFDIR:
		return make_dir(u, entry, name, is_there);
	case S_IFLNK:
	case S_IFIFO:
		return make_special(u, entry, link, name, type);
	case S_IFCHR:
	case S_IFBLK:
		return make_device(u, entry, name, type);
	default:
		return err_set(&u->err, -ENOTSUP, "kind of file that no layer has: refused");
	}
}

static int root_entry(struct unpack *u, struct archive_entry *entry)
{
	int fd, r;

	if (u->guard.type == '1' || archive_entry_filetype(entry) != S_IFDIR)
		return err_set(&u->err, -EBADMSG, "the root itself is no directory in this layer: refused");
	r = unpack_dir_leave(u);
	fd = r < 0 ? r : file_open_beneath(u->view.stage, ".", O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	r = unpack_attrs(u, entry, fd, -1, ".", S_IFDIR);
	close(fd);
	return r;
}

int unpack_entry(struct unpack *u, struct archive *a, struct archive_entry *entry, const char *path, const char *link)
{
	char clean[UNPACK_PATH_MAX];
	const char *name;
	int r = view_clean(path, false, clean, &u->err);

	if (r < 0)
		return r;
	if (!clean[0])
		return root_entry(u, entry);
	name = split(clean);
	/* split() left the name behind the directory's NUL, or the whole path where there is no directory. */
	r = dir_enter(u, name == clean ? "" : clean);
	if (r < 0)
		return r;
	return strncmp(name, ".wh.", 4) == 0 ? whiteout(u, name) : make_entry(u, a, entry, link, name);
}
