/* SPDX-License-Identifier: MIT */
/*
 * Mounts layers. The names are relative to <store>/layers, the working directory, so that 127 of them fit one page. redirect_dir and metacopy are
 * off: a layer must not be able to show files of another under its own names.
 */
#include "rootfs_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, M_RDONLY = 1, M_NODEV = 4, M_REC = 16384, M_SLAVE = 1 << 19, U_DETACH = 2, U_NOFOLLOW = 8 };
enum { EMPTY_PATH = 0x1000, MOUNT_ROOT = 0x2000 };	/* AT_EMPTY_PATH, STATX_ATTR_MOUNT_ROOT */

static int result(long r)
{
	return r < 0 ? -errno : (int)r;
}

static uint32_t count_of(const struct bundle_layers *l)
{
	return l->count + l->has_base;
}

static int enter_layers(const struct bundle_layers *l, struct err *e)
{
	if (chdir(l->store) < 0 || chdir("layers") < 0)
		return err_sys(e, errno, "%s/layers", l->store);
	return 0;
}

static int make_private(int fd)
{
	struct mount_attr a = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, .propagation = 1 << 18 /* MS_PRIVATE */ };

	return result(syscall(SYS_mount_setattr, fd, "", EMPTY_PATH, &a, sizeof(a)));
}

static int single(const struct bundle_layers *l)
{
	int fd = result(syscall(SYS_open_tree, AT_FDCWD, l->layer[0], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
	int r = fd < 0 ? fd : make_private(fd);

	if (r < 0 && fd >= 0)
		close(fd);
	return r < 0 ? r : fd;
}

static int set(int fs, const char *key, const char *value)
{
	return result(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0));
}

/* Kernel 6.8: one option a layer, a mount that is attached nowhere. */
static int overlay_detached(const struct bundle_layers *l, const char *bundle)
{
	int fs = result(syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC)), r = 0;
	char name[PATH_MAX];

	if (fs < 0)
		return fs;
	for (uint32_t i = 0; r >= 0 && i < count_of(l); i++)
		r = bundle_layers_name(l, bundle, i, name, sizeof(name)) ? set(fs, "lowerdir+", name) : -ENAMETOOLONG;
	if (r >= 0)
		r = set(fs, "redirect_dir", "nofollow");
	if (r >= 0)
		r = set(fs, "metacopy", "off");
	if (r >= 0)
		r = result(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	if (r >= 0)
		r = result(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV));
	close(fs);
	return r;
}

/* Older kernels: mount(2) with one string. */
static int overlay_at(const struct bundle_layers *l, const char *bundle, const char *target)
{
	char options[PAGE], name[PATH_MAX];
	size_t at = (size_t)snprintf(options, sizeof(options), "redirect_dir=nofollow,metacopy=off,lowerdir=");

	for (uint32_t i = 0; i < count_of(l); i++) {
		if (!bundle_layers_name(l, bundle, i, name, sizeof(name)))
			return -ENAMETOOLONG;
		if (strpbrk(name, ":,\\"))
			return -EINVAL;
		if (strlen(name) + 2 > sizeof(options) - at)
			return -E2BIG;
		at += (size_t)snprintf(options + at, sizeof(options) - at, "%s%s", i ? ":" : "", name);
	}
	return result(syscall(SYS_mount, "overlay", target, "overlay", M_RDONLY | M_NODEV, options));
}

static int target_of(const char *bundle, char out[PATH_MAX], struct err *e)
{
	struct stat st;

	if ((size_t)snprintf(out, PATH_MAX, "%s/rootfs", bundle) >= PATH_MAX)
		return err_set(e, -ENAMETOOLONG, "%s: path too long", bundle);
	if (mkdir(out, 0755) < 0 && errno != EEXIST)
		return err_sys(e, errno, "%s", out);
	if (lstat(out, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(e, -ENOTDIR, "%s: is no directory", out);
	return 0;
}

/* The descriptor of a mount at TARGET that nobody outside our own mount namespace sees. */
static int private_at(const struct bundle_layers *l, const char *bundle, const char *target)
{
	int r;

	if (unshare(CLONE_NEWNS) < 0)
		return -errno;
	r = result(syscall(SYS_mount, NULL, "/", NULL, M_REC | M_SLAVE, NULL));
	if (r == 0)
		r = overlay_at(l, bundle, target);
	return r < 0 ? r : result(open(target, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

int rootfs_mount_open(const struct bundle_layers *l, const char *bundle, struct err *e)
{
	char target[PATH_MAX];
	int r = enter_layers(l, e);

	if (r < 0)
		return r;
	if (count_of(l) == 1) {
		r = single(l);
	} else {
		r = overlay_detached(l, bundle);
		if (r == -EINVAL || r == -ENOSYS) {
			r = target_of(bundle, target, e);
			if (r == 0)
				r = private_at(l, bundle, target);
		}
	}
	return r < 0 ? err_sys(e, -r, "%s: rootfs of %u layers cannot be mounted", bundle, count_of(l)) : r;
}

static bool is_mount_point(const char *path)
{
	struct statx st;

	return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, 0, &st) == 0 && st.stx_attributes & MOUNT_ROOT;
}

int rootfs_mount_attach(const struct bundle_layers *l, const char *bundle, struct err *e)
{
	char target[PATH_MAX];
	int fd = -1, r = target_of(bundle, target, e);

	if (r == 0 && is_mount_point(target))
		r = err_set(e, -EBUSY, "%s: something is mounted there: coracle-bundle umount %s", target, bundle);
	if (r == 0)
		r = enter_layers(l, e);
	if (r < 0)
		return r;
	fd = count_of(l) == 1 ? single(l) : overlay_detached(l, bundle);
	if (fd >= 0)
		r = result(syscall(SYS_move_mount, fd, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH));
	else if (fd == -EINVAL || fd == -ENOSYS)
		r = overlay_at(l, bundle, target);
	else
		r = fd;
	if (fd >= 0)
		close(fd);
	return r < 0 ? err_sys(e, -r, "%s: rootfs of %u layers cannot be mounted", target, count_of(l)) : 0;
}

int rootfs_mount_detach(const char *bundle, struct err *e)
{
	char target[PATH_MAX];
	int r = target_of(bundle, target, e);

	if (r == 0)
		r = result(syscall(SYS_umount2, target, U_NOFOLLOW));
	if (r == -EINVAL)
		return err_set(e, r, "%s: nothing is mounted there", target);
	return r < 0 ? err_sys(e, -r, "%s", target) : 0;
}
