/* SPDX-License-Identifier: MIT */
/*
 * Files beneath a directory descriptor, and the one way state on disk changes.
 * Paths given here are ours or were checked; what lies at them may be hostile
 * (links, FIFOs, huge files), so every open is resolved beneath and typed.
 */
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

enum { PATH_ROOM = 4096, TREE_DEPTH_MAX = 512 };

static int open2(int dir, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? mode : 0,
		.resolve = resolve,
	};
	long fd;

	do {	/* EAGAIN: a rename elsewhere raced the walk; the kernel asks to try again */
		fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
	} while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd < 0 ? -errno : (int)fd;
}

int file_open_beneath(int dir, const char *path, int flags, mode_t mode)
{
	return open2(dir, path, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

int file_open_in_root(int dir, const char *path, int flags, mode_t mode)
{
	return open2(dir, path, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

int file_write_all(int fd, const void *at, size_t len)
{
	const uint8_t *p = at;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

ssize_t file_read_full(int fd, void *at, size_t len)
{
	size_t have = 0;

	while (have < len) {
		ssize_t n = read(fd, (uint8_t *)at + have, len - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

int file_read_fd(int fd, const char *name, size_t max, char **out, size_t *len, struct err *e)
{
	struct stat st;
	char *buf;
	ssize_t n;

	*out = NULL;
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "%s", name);
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "%s: not a regular file", name);
	if (st.st_size < 0 || (uint64_t)st.st_size > max)
		return err_set(e, -EFBIG, "%s: larger than %zu bytes", name, max);
	buf = malloc((size_t)st.st_size + 1);
	if (!buf)
		return err_sys(e, ENOMEM, "%s", name);
	n = file_read_full(fd, buf, (size_t)st.st_size);
	if (n < 0) {
		free(buf);
		return err_sys(e, (int)-n, "%s", name);
	}
	buf[n] = '\0';
	*out = buf;
	*len = (size_t)n;
	return 0;
}

int file_read(int dir, const char *path, size_t max, char **out, size_t *len, struct err *e)
{
	int fd, r;

	*out = NULL;
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_sys(e, errno, "%s", path);
	r = file_read_fd(fd, path, max, out, len, e);
	close(fd);
	return r;
}

/* Splits off the directory part and opens it; *NAME is the last component. */
static int open_parent(int dir, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	char parent[PATH_ROOM];

	*name = slash ? slash + 1 : path;
	if (!slash)
		return file_open_beneath(dir, ".", O_RDONLY | O_DIRECTORY, 0);
	if (!span_copy(span_of(path, (size_t)(slash - path)), parent, sizeof(parent)))
		return -ENAMETOOLONG;
	return file_open_beneath(dir, parent, O_RDONLY | O_DIRECTORY, 0);
}

static int write_aside(int dir, const char *name, struct span data, mode_t mode)
{
	int fd, r;

	fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	r = file_write_all(fd, data.at, data.len);
	if (r == 0 && fchmod(fd, mode) < 0)
		r = -errno;
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	close(fd);
	return r;
}

int file_replace(int dir, const char *path, struct span data, mode_t mode, struct err *e)
{
	const char *name;
	char aside[300];
	int parent, r;

	parent = open_parent(dir, path, &name);
	if (parent < 0)
		return err_sys(e, -parent, "%s", path);
	if (snprintf(aside, sizeof(aside), ".%s.%d.new", name, (int)getpid()) >= (int)sizeof(aside)) {
		r = -ENAMETOOLONG;
		goto out;
	}
	r = write_aside(parent, aside, data, mode);
	if (r == 0 && renameat(parent, aside, parent, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(parent, aside, 0);
	else if (fsync(parent) < 0)
		r = -errno;
out:
	close(parent);
	if (r < 0)
		err_sys(e, -r, "%s: cannot replace", path);
	return r;
}

/* The pid in the name of a file that file_replace writes aside; 0: no such name. */
static pid_t pid_of_aside(const char *name)
{
	size_t len = strlen(name), at = len - 4;
	long pid = 0, unit = 1;

	if (name[0] != '.' || len < 8 || strcmp(name + at, ".new") != 0)
		return 0;
	while (at > 1 && name[at - 1] >= '0' && name[at - 1] <= '9' && unit < 100000000) {
		pid += (name[--at] - '0') * unit;
		unit *= 10;
	}
	return unit > 1 && at > 2 && name[at - 1] == '.' ? (pid_t)pid : 0;
}

void file_sweep_aside(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!list && fd >= 0)
		close(fd);
	while (list && (entry = readdir(list))) {
		pid_t pid = pid_of_aside(entry->d_name);

		if (pid > 0 && kill(pid, 0) < 0 && errno == ESRCH)
			unlinkat(dir, entry->d_name, 0);
	}
	if (list)
		closedir(list);
}

static int remove_below(int dir, const char *name, dev_t dev, int depth)
{
	struct dirent *entry;
	struct stat st;
	DIR *list;
	int fd, r = 0;

	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || (dev && st.st_dev != dev) || depth > TREE_DEPTH_MAX) {
		close(fd);
		return dev && st.st_dev != dev ? -EXDEV : -ELOOP;
	}
	list = fdopendir(fd);
	if (!list) {
		close(fd);
		return -ENOMEM;
	}
	while (r == 0 && (entry = readdir(list)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = remove_below(fd, entry->d_name, st.st_dev, depth + 1);
	closedir(list);
	if (r == 0 && unlinkat(dir, name, AT_REMOVEDIR) < 0)
		r = -errno;
	return r;
}

int file_remove_tree(int dir, const char *name, struct err *e)
{
	int r = remove_below(dir, name, 0, 0);

	return r < 0 ? err_sys(e, -r, "%s: cannot remove", name) : 0;
}

int file_make_dirs(int dir, const char *path, mode_t mode, struct err *e)
{
	char part[PATH_ROOM];
	size_t len = strlen(path);

	if (len >= sizeof(part))
		return err_sys(e, ENAMETOOLONG, "%s", path);
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdirat(dir, part, mode) < 0 && errno != EEXIST)
			return err_sys(e, errno, "%s: cannot make the directory", part);
	}
	return 0;
}

int file_sibling(const char *name, char *out, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", out, size);

	if (n < 0)
		return -errno;
	while (n > 0 && out[n - 1] != '/')
		n--;
	return (size_t)n < size && (size_t)snprintf(out + n, size - (size_t)n, "%s", name) < size - (size_t)n ? 0 : -ENAMETOOLONG;
}

int file_clone_tree(int dir, const char *path, uint64_t extra)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | extra };
	int at = file_open_beneath(dir, path, O_PATH | O_DIRECTORY, 0);
	int fd;

	if (at < 0)
		return at;
	fd = (int)syscall(SYS_open_tree, at, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	close(at);
	if (fd >= 0 && syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0) {
		int errnum = errno;

		close(fd);
		return -errnum;
	}
	return fd;
}
