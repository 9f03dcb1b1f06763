/* SPDX-License-Identifier: MIT */
/*
 * Off the rootfs. pivot_root(2), which every container start needs, refuses
 * to work while / is the kernel's own rootfs, on every kernel. So the files of the
 * initramfs are copied into a tmpfs, which is moved over / and made the root. Each
 * source goes as soon as it is copied: a board never needs room for two. Runs
 * once, alone, before anything else of ours. Never allocates.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "boot.h"
#include "dir.h"
#include "plog.h"

#define NEW_ROOT "/.coracle-root"

enum { DEPTH_MAX = 16, RAMFS = 0x858458f6, TMPFS = 0x01021994 };

struct copy {
	int from, to;		/* directories; libfs keeps a walk's place while entries go */
	dev_t dev;		/* only this file system */
	unsigned depth;
	int error;
};

bool boot_is_rootfs(void)
{
	struct statfs fs;
	struct stat root;

	/* The rootfs is a ramfs or tmpfs, and the one thing that only the kernel's hand-off has: nothing else is mounted yet. */
	return statfs("/", &fs) == 0 && ((unsigned long)fs.f_type == RAMFS || (unsigned long)fs.f_type == TMPFS) &&
		stat("/", &root) == 0 && access("/proc/self", F_OK) < 0;
}

static int copy_file(struct copy *c, const char *name, const struct stat *st)
{
	int in = openat(c->from, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int out = openat(c->to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	off_t left = st->st_size;
	ssize_t n = 0;

	while (in >= 0 && out >= 0 && left > 0 && (n = sendfile(out, in, NULL, (size_t)left)) > 0)
		left -= n;
	if (in < 0 || out < 0 || left > 0)
		c->error = errno ? errno : EIO;
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return left > 0;
}

static int copy_link(struct copy *c, const char *name)
{
	char target[512];
	ssize_t n = readlinkat(c->from, name, target, sizeof(target) - 1);

	if (n < 0)
		return 1;
	target[n] = '\0';
	return symlinkat(target, c->to, name) < 0;
}

static int copy_one(const char *name, void *arg);	/* the tree is walked by recursion */

static int copy_dir(struct copy *c, const char *name)
{
	struct copy sub = { .from = -1, .to = -1, .dev = c->dev, .depth = c->depth + 1 };
	int ret = 1;

	if (sub.depth < DEPTH_MAX && mkdirat(c->to, name, 0700) == 0) {
		sub.from = openat(c->from, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		sub.to = openat(c->to, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (sub.from >= 0 && sub.to >= 0)
			ret = dir_walk_fd(sub.from, copy_one, &sub);
	}
	if (sub.from >= 0)
		close(sub.from);
	if (sub.to >= 0)
		close(sub.to);
	return ret;
}

static int copy_one(const char *name, void *arg)
{
	struct copy *c = arg;
	struct stat st;
	int failed;

	if (fstatat(c->from, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != c->dev ||
	    (c->depth == 0 && !strcmp(name, NEW_ROOT + 1)))
		return 0;
	if (S_ISDIR(st.st_mode))
		failed = copy_dir(c, name);
	else if (S_ISREG(st.st_mode))
		failed = copy_file(c, name, &st);
	else if (S_ISLNK(st.st_mode))
		failed = copy_link(c, name);
	else
		failed = mknodat(c->to, name, st.st_mode, st.st_rdev) < 0;
	if (failed) {
		plog("initramfs: %s: not copied: %s", name, strerror(c->error ? c->error : errno));
		return 0;
	}
	if (fchownat(c->to, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (!S_ISLNK(st.st_mode) && fchmodat(c->to, name, st.st_mode & 07777, 0) < 0))
		plog("initramfs: %s: owner or mode not kept", name);
	unlinkat(c->from, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
	return 0;
}

int boot_move(void)
{
	struct copy c = { .from = -1, .to = -1 };
	struct stat st;
	int ret = 0;

	if (mkdir(NEW_ROOT, 0755) < 0 && errno != EEXIST)
		return -errno;
	if (mount("root", NEW_ROOT, "tmpfs", 0, "mode=755,size=75%") < 0)
		return -errno;
	c.from = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	c.to = open(NEW_ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c.from < 0 || c.to < 0 || fstat(c.from, &st) < 0) {
		ret = -errno;
		goto out;
	}
	c.dev = st.st_dev;
	dir_walk_fd(c.from, copy_one, &c);
	if (fchdir(c.to) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		ret = -errno;
out:
	if (c.from >= 0)
		close(c.from);
	if (c.to >= 0)
		close(c.to);
	return ret;
}
