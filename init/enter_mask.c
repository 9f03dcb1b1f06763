/* SPDX-License-Identifier: MIT */
/*
 * Masked and read-only paths, and sysctls. Everything is done on descriptors:
 * the null device that masks files comes from our own tmpfs and is looked at
 * before use (CVE-2025-31133), sysctls go through a procfs that was made for
 * this and is attached nowhere (CVE-2025-52881). A path that is not there is
 * the only thing passed over in silence.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "enter.h"
#include "mounts.h"
#include "mount_sys.h"

struct masks {
	int null_fd;		/* the null device, O_PATH */
	int empty_fd;		/* a read-only, empty tmpfs, or -1 while none was needed */
};

static int open_null(struct start_context *c)
{
	struct stat st;
	int fd = sys_openat2(c->dev_fd, "null", O_PATH | O_NOFOLLOW, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);

	if (fd < 0)
		return start_fail(c, "open", "/dev/null", -fd);
	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3)) {
		close(fd);
		return start_fail(c, "mask", "/dev/null is not the null device", 0);
	}
	return fd;
}

static int open_path(struct start_context *c, const char *path)
{
	return sys_openat2(c->root_fd, path, O_PATH, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

/* The empty directory on TARGET: the first time the mount itself, then copies of it (a detached mount can't be copied before 6.15). */
static int cover_directory(struct masks *m, int target)
{
	int copy, r;

	if (m->empty_fd < 0) {
		m->empty_fd = mounts_fs("tmpfs", "masked", "mode=555,size=4k,nr_inodes=2", MS_RDONLY,
			MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, NULL);
		return m->empty_fd < 0 ? m->empty_fd : sys_attach(m->empty_fd, target);
	}
	copy = sys_clone_tree(m->empty_fd, "", AT_EMPTY_PATH);
	if (copy < 0)
		return copy;
	r = sys_attach(copy, target);
	close(copy);
	return r;
}

static int cover_file(struct masks *m, int target)
{
	int copy = sys_clone_tree(m->null_fd, "", AT_EMPTY_PATH);
	int r;

	if (copy < 0)
		return copy;
	r = sys_attach(copy, target);
	close(copy);
	return r;
}

static int mask(struct start_context *c, struct masks *m, const char *path)
{
	int target = open_path(c, path);
	struct stat st;
	int r;

	if (target == -ENOENT || target == -ENOTDIR)
		return 0;
	if (target < 0)
		return start_fail(c, "mask", path, -target);
	if (fstat(target, &st) < 0)
		r = -errno;
	else
		r = S_ISDIR(st.st_mode) ? cover_directory(m, target) : cover_file(m, target);
	close(target);
	return r < 0 ? start_fail(c, "mask", path, -r) : 0;
}

static int make_readonly(struct start_context *c, const char *path)
{
	int target = open_path(c, path);
	int copy, r;

	if (target == -ENOENT || target == -ENOTDIR)
		return 0;
	if (target < 0)
		return start_fail(c, "read-only", path, -target);
	copy = sys_clone_tree(target, "", AT_EMPTY_PATH | AT_RECURSIVE);
	r = copy < 0 ? copy : mounts_set_attr(copy, MOUNT_ATTR_RDONLY, 0);
	if (r == 0)
		r = sys_attach(copy, target);
	if (copy >= 0)
		close(copy);
	close(target);
	return r < 0 ? start_fail(c, "read-only", path, -r) : 0;
}

int enter_mask(struct start_context *c)
{
	const struct record_head *r = c->record;
	const struct record_str *masked = record_items(r, r->masked);
	const struct record_str *readonly = record_items(r, r->readonly);
	struct masks m = { .null_fd = -1, .empty_fd = -1 };
	int e = 0;

	for (uint32_t i = 0; e == 0 && i < r->readonly.count; i++)
		e = make_readonly(c, record_text(r, readonly[i]));
	if (e == 0 && r->masked.count > 0) {
		m.null_fd = open_null(c);
		e = m.null_fd < 0 ? m.null_fd : 0;
	}
	for (uint32_t i = 0; e == 0 && i < r->masked.count; i++)
		e = mask(c, &m, record_text(r, masked[i]));
	if (m.empty_fd >= 0)
		close(m.empty_fd);
	if (m.null_fd >= 0)
		close(m.null_fd);
	return e;
}

/* The sysctls that belong to a namespace; any other would change the host. */
static const struct {
	const char *prefix;
	uint32_t flag;
} namespaced[] = {
	{ "net/", CLONE_NEWNET },
	{ "kernel/msg", CLONE_NEWIPC }, { "kernel/sem", CLONE_NEWIPC }, { "kernel/shm", CLONE_NEWIPC },
	{ "fs/mqueue/", CLONE_NEWIPC },
	{ "kernel/domainname", CLONE_NEWUTS }, { "kernel/hostname", CLONE_NEWUTS },
};

static bool is_namespaced(const struct record_head *r, const char *key)
{
	for (size_t i = 0; i < sizeof(namespaced) / sizeof(namespaced[0]); i++)
		if (r->clone_flags & namespaced[i].flag &&
		    strncmp(key, namespaced[i].prefix, strlen(namespaced[i].prefix)) == 0)
			return true;
	return false;
}

static int write_sysctl(int sys, const char *key, const char *value)
{
	int fd = sys_openat2(sys, key, O_WRONLY, 0,
		RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);
	int r = 0;

	if (fd < 0)
		return fd;
	if (write(fd, value, strlen(value)) < 0)
		r = -errno;
	close(fd);
	return r;
}

int enter_sysctls(struct start_context *c)
{
	const struct record_head *r = c->record;
	const struct record_pair *p = record_items(r, r->sysctls);
	int proc, sys, e = 0;

	if (r->sysctls.count == 0)
		return 0;
	proc = mounts_fs("proc", "proc", NULL, 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, NULL);
	if (proc < 0)
		return start_fail(c, "sysctl", "private procfs", -proc);
	sys = sys_openat2(proc, "sys", O_PATH | O_DIRECTORY, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	if (sys < 0)
		e = start_fail(c, "sysctl", "/proc/sys", -sys);
	for (uint32_t i = 0; e == 0 && i < r->sysctls.count; i++) {
		const char *key = record_text(r, p[i].key);

		if (!is_namespaced(r, key)) {
			e = start_fail(c, "sysctl refused, it is not the container's own", key, EPERM);
			break;
		}
		e = write_sysctl(sys, key, record_text(r, p[i].value));
		if (e < 0)
			e = start_fail(c, "sysctl", key, -e);
	}
	if (sys >= 0)
		close(sys);
	close(proc);
	return e;
}
