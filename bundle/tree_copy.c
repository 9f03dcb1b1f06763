/* SPDX-License-Identifier: MIT */
/* One walk that copies, or only counts. Each level holds three descriptors, and a process has 1,024. */
#include "tree_copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "span.h"

enum { DEPTH_MAX = 300, NAMES_MAX = 65536, VALUE_MAX = 65536, CHUNK = 1 << 20, ENTRY_BYTES = 4096 };

struct copy {
	dev_t dev;
	uint64_t bytes;
	bool counts;			/* only that */
	char *names, *value;
	char at[NAME_MAX + 1];		/* where it failed */
};

static int copy_data(int in, int out, off_t size)
{
	off_t at = 0;

	if (ioctl(out, FICLONE, in) == 0)
		return 0;
	if (ftruncate(out, size) < 0)
		return -errno;
	while (at < size) {
		off_t end = size;

		at = lseek(in, at, SEEK_DATA);
		if (at < 0)
			return errno == ENXIO ? 0 : -errno;
		end = lseek(in, at, SEEK_HOLE);
		if (end < 0 || lseek(out, at, SEEK_SET) < 0)
			return -errno;
		while (at < end) {
			ssize_t n = sendfile(out, in, &at, (size_t)(end - at < CHUNK ? end - at : CHUNK));

			if (n <= 0)
				return n < 0 ? -errno : -EIO;
		}
	}
	return 0;
}

static int copy_xattrs(struct copy *c, int in, int out)
{
	ssize_t len = flistxattr(in, c->names, NAMES_MAX);

	if (len < 0)
		return errno == ENOTSUP ? 0 : -errno;
	for (char *name = c->names; name < c->names + len; name += strlen(name) + 1) {
		ssize_t n = fgetxattr(in, name, c->value, VALUE_MAX);

		if (n < 0 || fsetxattr(out, name, c->value, (size_t)n, 0) < 0)
			return -errno;
	}
	return 0;
}

/* IN, OUT: the same file or directory, open. */
static int copy_attrs(struct copy *c, int in, int out, const struct stat *st)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };
	int r;

	/* Before the capabilities among the attributes, which a change of owner takes away. */
	if (fchown(out, st->st_uid, st->st_gid) < 0 || fchmod(out, st->st_mode & 07777) < 0)
		return -errno;
	r = copy_xattrs(c, in, out);
	return r == 0 && futimens(out, times) < 0 ? -errno : r;
}

static int copy_other(int from, int to, const char *name, const struct stat *st)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };
	char target[PATH_MAX];
	ssize_t n;

	if (S_ISLNK(st->st_mode)) {
		n = readlinkat(from, name, target, sizeof(target) - 1);
		if (n < 0)
			return -errno;
		target[n] = '\0';
	}
	if (S_ISLNK(st->st_mode) ? symlinkat(target, to, name) < 0 : mknodat(to, name, st->st_mode, st->st_rdev) < 0)
		return -errno;
	return fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
		(!S_ISLNK(st->st_mode) && fchmodat(to, name, st->st_mode & 07777, 0) < 0) ||
		utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int copy_dir(struct copy *c, int from, int to, int depth);

static int copy_open(struct copy *c, int from, int to, const char *name, const struct stat *st, int depth)
{
	bool is_dir = S_ISDIR(st->st_mode);
	int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), out = -1, r = in < 0 ? -errno : 0;

	if (r == 0 && !c->counts) {
		if (is_dir && mkdirat(to, name, 0700) < 0)
			r = -errno;
		out = r < 0 ? -1 : openat(to, name, is_dir ? O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC :
			O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (r == 0 && out < 0)
			r = -errno;
	}
	if (r == 0)
		r = is_dir ? copy_dir(c, in, out, depth + 1) : copy_data(in, out, st->st_size);
	if (r == 0 && !c->counts)
		r = copy_attrs(c, in, out, st);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return r;
}

static int copy_one(struct copy *c, int from, int to, const char *name, int depth)
{
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (st.st_dev != c->dev || S_ISSOCK(st.st_mode))
		return 0;
	c->bytes += (uint64_t)st.st_blocks * 512 + ENTRY_BYTES;
	if (S_ISDIR(st.st_mode) || (S_ISREG(st.st_mode) && !c->counts))
		return copy_open(c, from, to, name, &st, depth);
	return c->counts ? 0 : copy_other(from, to, name, &st);
}

static int copy_dir(struct copy *c, int from, int to, int depth)
{
	int fd = depth > DEPTH_MAX ? -1 : openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!list) {
		r = fd >= 0 ? -ENOMEM : depth > DEPTH_MAX ? -ELOOP : -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (r == 0 && (entry = readdir(list))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		r = copy_one(c, from, to, entry->d_name, depth);
		if (r < 0 && !c->at[0])
			memcpy(c->at, entry->d_name, strlen(entry->d_name) + 1);
	}
	closedir(list);
	return r;
}

static int walk(struct copy *c, int from, int to, struct err *e)
{
	struct stat st;
	char shown[100];
	int r = fstat(from, &st) < 0 ? -errno : 0;

	c->dev = st.st_dev;
	c->names = malloc(NAMES_MAX);
	c->value = malloc(VALUE_MAX);
	if (!c->names || !c->value)
		r = -ENOMEM;
	if (r == 0)
		r = copy_dir(c, from, to, 0);
	if (r == 0 && !c->counts)
		r = copy_attrs(c, from, to, &st);
	span_escape(span_str(c->at), shown, sizeof(shown));
	free(c->names);
	free(c->value);
	return r < 0 ? err_sys(e, -r, "%s", shown) : 0;
}

int tree_copy(int from, int to, struct err *e)
{
	struct copy c = { .counts = false };

	return walk(&c, from, to, e);
}

int tree_size(int from, uint64_t *bytes, struct err *e)
{
	struct copy c = { .counts = true };
	int r = walk(&c, from, -1, e);

	*bytes = c.bytes;
	return r;
}
