/* SPDX-License-Identifier: MIT */
/*
 * Stage 2's mounts. Targets lie in the image, which is not to be trusted: each is
 * opened with openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS) and mounted on by
 * descriptor, so no name is resolved twice (CVE-2021-30465, CVE-2024-45310).
 * No process but this one can reach the rootfs at this time.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "enter.h"
#include "mounts.h"
#include "mount_sys.h"

enum { IN_ROOT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };

/* Makes what is missing of PATH, one component after the other, each parent opened inside ROOT. */
static int make_target(int root, const char *path, bool is_file)
{
	char head[4096];
	size_t len = strlen(path);

	if (len >= sizeof(head))
		return -ENAMETOOLONG;
	for (size_t at = 0; at < len;) {
		size_t name = at + strspn(path + at, "/");
		size_t end = name + strcspn(path + name, "/");
		char part[256];
		int dir, r = 0;

		if (end == name)
			break;
		if (end - name >= sizeof(part))
			return -ENAMETOOLONG;
		memcpy(head, path, name);
		head[name] = '\0';
		memcpy(part, path + name, end - name);
		part[end - name] = '\0';
		dir = sys_openat2(root, name ? head : "/", O_PATH | O_DIRECTORY, 0, IN_ROOT);
		if (dir < 0)
			return dir;
		if (strcmp(part, "..") != 0) {
			bool is_last = end + strspn(path + end, "/") >= len;

			if (is_last && is_file)
				r = mknodat(dir, part, S_IFREG | 0644, 0);
			else
				r = mkdirat(dir, part, 0755);
			r = r < 0 && errno != EEXIST ? -errno : 0;
		}
		close(dir);
		if (r < 0)
			return r;
		at = end;
	}
	return 0;
}

int mounts_target(int root, const char *path, bool is_file)
{
	int fd = sys_openat2(root, path, O_PATH, 0, IN_ROOT);
	int r;

	if (fd != -ENOENT)
		return fd;
	r = make_target(root, path, is_file);
	/* A read-only root without the directory: the missing directory is what the reader has to know. */
	if (r < 0)
		return r == -EROFS ? -ENOENT : r;
	return sys_openat2(root, path, O_PATH, 0, IN_ROOT);
}

/* CVE-2019-19921, CVE-2023-27561: a symlink in the place of /proc leads every later write to /proc astray. */
static int refuse_links(struct start_context *c)
{
	static const char *const names[] = { "proc", "sys", "dev" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct stat st;

		if (fstatat(c->root_fd, names[i], &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
			return start_fail(c, "rootfs refused, there is a symlink in place of its", names[i], ELOOP);
	}
	return 0;
}

static int attach(struct start_context *c, int fd, const char *target, bool is_file)
{
	int at = mounts_target(c->root_fd, target, is_file);
	int r;

	if (at < 0)
		return start_fail(c, "mount target", target, -at);
	r = sys_attach(fd, at);
	close(at);
	return r < 0 ? start_fail(c, "mount", target, -r) : 0;
}

/* An own view of the unit's cgroup; where it has none, an empty directory instead of the host's groups. */
static int make_cgroup_mount(struct start_context *c, const struct record_mount *m, struct mounts_why *why)
{
	if (c->cgroup_fd >= 0 && c->record->clone_flags & CLONE_NEWCGROUP)
		return mounts_fs("cgroup2", "cgroup", NULL, 0, m->attr_set, why);
	return mounts_fs("tmpfs", "cgroup", "mode=555,size=4k,nr_inodes=2", 0, m->attr_set | MOUNT_ATTR_RDONLY, why);
}

static int make_inner(struct start_context *c, const struct record_mount *m, struct mounts_why *why)
{
	const struct record_head *r = c->record;
	const char *fstype = record_text(r, m->fstype);

	if (strncmp(fstype, "cgroup", 6) == 0)
		return make_cgroup_mount(c, m, why);
	return mounts_fs(fstype, m->source.off ? record_text(r, m->source) : fstype, record_text(r, m->data),
		m->sb_flags, m->attr_set, why);
}

/* The record's own tmpfs on /dev is the one that stage 1 filled and that is in place already. */
static bool is_dev_tmpfs(const struct start_context *c, const struct record_mount *m)
{
	const char *target = record_text(c->record, m->target);

	return !m->bind && mounts_path_below(target, "/dev") && mounts_path_below("/dev", target) &&
		strcmp(record_text(c->record, m->fstype), "tmpfs") == 0;
}

static int place(struct start_context *c, const struct record_mount *m, uint32_t i)
{
	const char *target = record_text(c->record, m->target);
	struct mounts_why why = { "" };
	int fd = c->mount_fd[i];
	int r;

	if (c->is_skipped[i] || is_dev_tmpfs(c, m))
		return 0;
	if (fd < 0)
		fd = make_inner(c, m, &why);
	if (fd < 0)
		return start_fail(c, "mount", why.text[0] ? why.text : target, -fd);
	r = attach(c, fd, target, m->bind && m->is_file);
	close(fd);
	return r;
}

int enter_mounts(struct start_context *c)
{
	const struct record_mount *m = record_items(c->record, c->record->mounts);
	int here = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (here < 0)
		return start_fail(c, "rootfs", "/", errno);
	/* On top of our own root: the one directory that is there on any host. root_fd goes on naming the mount. */
	r = sys_attach(c->root_fd, here);
	close(here);
	if (r < 0)
		return start_fail(c, "rootfs", "attach", -r);
	r = refuse_links(c);
	if (r == 0)
		r = attach(c, c->dev_fd, "/dev", false);
	for (uint32_t i = 0; r == 0 && i < c->record->mounts.count; i++)
		r = place(c, &m[i], i);
	return r;
}

int enter_pivot(struct start_context *c)
{
	int r;

	if (c->record->flags & RECORD_ROOT_READONLY) {
		r = mounts_set_attr(c->root_fd, MOUNT_ATTR_RDONLY, 0);
		if (r < 0)
			return start_fail(c, "rootfs", "read-only", -r);
	}
	/* man 2 pivot_root, pivot_root(".", "."): the old root ends up stacked on the new one and is taken off. */
	if (fchdir(c->root_fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return start_fail(c, "pivot_root", "rootfs", errno);
	r = sys_umount(".");
	if (r < 0)
		return start_fail(c, "umount", "old root", -r);
	if (chdir("/") < 0)
		return start_fail(c, "chdir", "/", errno);
	return 0;
}
