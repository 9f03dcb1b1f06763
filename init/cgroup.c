/* SPDX-License-Identifier: MIT */
/*
 * cgroup v2 directories: made, limited, killed, removed. Input: paths and
 * values of our own making. Used by PID 1, so it never allocates and touches
 * nothing but cgroupfs.
 */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "span.h"

enum { PATH_SIZE = 512, DEPTH_MAX = 8, LISTING_SIZE = 2048 };

/* getdents64(2); libc's readdir allocates. */
struct entry {
	uint64_t inode;
	int64_t next;
	uint16_t len;
	uint8_t type;
	char name[];
};

static int open_dir(int at, const char *path)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

int cgroup_write_at(int dir, const char *key, const char *value)
{
	int fd = openat(dir, key, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		r = -errno;
	close(fd);
	return r;
}

static int read_at(int dir, const char *key, char *out, size_t size)
{
	int fd = openat(dir, key, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), r;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, out, size - 1);
	r = n < 0 ? -errno : 0;
	if (n < 0)
		n = 0;
	if (n > 0 && out[n - 1] == '\n')
		n--;
	out[n] = '\0';
	close(fd);
	return r;
}

static int check_is_cgroup(int dir)
{
	struct statfs fs;

	if (fstatfs(dir, &fs) < 0)
		return -errno;
	return (unsigned long)fs.f_type == CGROUP2_SUPER_MAGIC ? 0 : -ENOTSUP;
}

/* One write per controller: the kernel refuses all of them where it lacks one. None that would change nothing: even that waits until
 * every group that was removed lately is gone. */
static void delegate(int dir)
{
	static const char *const controllers[] = { "+memory", "+pids", "+cpu", "+io", "+cpuset", "+hugetlb" };
	char have[256] = "";

	read_at(dir, "cgroup.subtree_control", have, sizeof(have));
	for (size_t i = 0; i < sizeof(controllers) / sizeof(controllers[0]); i++)
		if (!span_has_word(span_str(have), controllers[i] + 1))
			cgroup_write_at(dir, "cgroup.subtree_control", controllers[i]);
}

/* From DIR (owned, closed here) one component down, made if missing. In cgroupfs DIR's controllers are handed down first. */
static int step_down(int dir, const char *name)
{
	int is_cgroup = check_is_cgroup(dir) == 0;
	int next;

	if (is_cgroup) {
		delegate(dir);
		if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST) {
			next = -errno;
			close(dir);
			return next;
		}
	}
	next = open_dir(dir, name);
	close(dir);
	return next;
}

int cgroup_make(const char *path)
{
	char part[PATH_SIZE];
	int dir = open_dir(AT_FDCWD, "/");
	int r;

	while (dir >= 0) {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (len == 0)
			break;
		if (len >= sizeof(part)) {
			close(dir);
			return -ENAMETOOLONG;
		}
		memcpy(part, path, len);
		part[len] = '\0';
		dir = step_down(dir, part);
		path += len;
	}
	if (dir < 0)
		return dir == -ENOENT ? -ENOTSUP : dir;
	r = check_is_cgroup(dir);
	close(dir);
	return r;
}

int cgroup_write(const char *path, const char *key, const char *value)
{
	int dir = open_dir(AT_FDCWD, path);
	int r;

	if (dir < 0)
		return dir;
	r = cgroup_write_at(dir, key, value);
	close(dir);
	return r;
}

int cgroup_read(const char *path, const char *key, char *out, size_t size)
{
	int dir = open_dir(AT_FDCWD, path), r;

	if (dir < 0)
		return dir;
	r = read_at(dir, key, out, size);
	close(dir);
	return r;
}

int cgroup_kill(const char *path)
{
	int r = cgroup_write(path, "cgroup.kill", "1");

	return r == -ENOENT || r == -ENODEV ? 0 : r;
}

/* Empties DIR of groups, deepest first. A container with a writable cgroup mount may have made some: the depth is bounded.
 * The listing is read anew after each pass because removing moves the entries. */
static int remove_below(int dir, int depth)
{
	_Alignas(struct entry) char list[LISTING_SIZE];
	long n;

	while ((n = syscall(SYS_getdents64, dir, list, sizeof(list))) > 0) {
		for (long at = 0; at < n;) {
			const struct entry *e = (const void *)(list + at);
			int sub, r;

			at += e->len;
			if (e->type != 4 /* DT_DIR */ || strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0)
				continue;
			sub = open_dir(dir, e->name);
			if (sub < 0)
				continue;
			r = depth > 0 ? remove_below(sub, depth - 1) : -ELOOP;
			close(sub);
			if (r == 0 && unlinkat(dir, e->name, AT_REMOVEDIR) < 0 && errno != ENOENT)
				r = -errno;
			if (r < 0)
				return r;
		}
	}
	return n < 0 ? -errno : 0;
}

int cgroup_remove(const char *path)
{
	int dir, r;

	if (rmdir(path) == 0 || errno == ENOENT)
		return 0;
	if (errno != EBUSY)
		return -errno;
	dir = open_dir(AT_FDCWD, path);
	if (dir < 0)
		return dir == -ENOENT ? 0 : dir;
	r = remove_below(dir, DEPTH_MAX);
	close(dir);
	if (r < 0)
		return r;
	return rmdir(path) == 0 || errno == ENOENT ? 0 : -errno;
}
