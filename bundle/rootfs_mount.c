/* SPDX-License-Identifier: MIT */
/* Mounts a bundle's layers (lib/overlay.h), named as its file `layers` names them. */
#include "rootfs_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "mount_sys.h"
#include "overlay.h"
#include "userns_fd.h"

int setns(int fd, int nstype);

enum { U_NOFOLLOW = 8, MOUNT_ROOT = 0x2000 };	/* UMOUNT_NOFOLLOW, STATX_ATTR_MOUNT_ROOT */

static uint32_t count_of(const struct bundle_layers *l)
{
	return l->count + l->has_base;
}

/* A namespace with the bundle's ids, or -1 where it has none. */
static int ids_of(const struct bundle_layers *l)
{
	char map[64];

	if (!l->id_count)
		return -1;
	snprintf(map, sizeof(map), "0 %u %u\n", l->id_first, l->id_count);
	return userns_fd_new(map, map);
}

static int open_layers(const struct bundle_layers *l, const char *bundle, int userns_fd)
{
	const char *names[OVERLAY_LAYERS_MAX];
	char base[PATH_MAX];

	if (chdir(l->store) < 0 || chdir("layers") < 0)
		return -errno;
	for (uint32_t i = 0; i < l->count; i++)
		names[i] = l->layer[i];
	if (l->has_base) {
		if (!bundle_layers_name(l, bundle, l->count, base, sizeof(base)))
			return -ENAMETOOLONG;
		names[l->count] = base;
	}
	return overlay_open(names, count_of(l), userns_fd);
}

int rootfs_mount_open(const struct bundle_layers *l, const char *bundle, struct err *e)
{
	int fd = open_layers(l, bundle, -1);

	return fd < 0 ? err_sys(e, -fd, "%s: rootfs of %u layers cannot be mounted", bundle, count_of(l)) : fd;
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

static bool is_mount_point(const char *path)
{
	struct statx st;

	return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, 0, &st) == 0 && st.stx_attributes & MOUNT_ROOT;
}

/* At TARGET of the mount namespace HERE, which is the caller's; overlay_open may have left it. */
static int attach(const struct bundle_layers *l, const char *bundle, const char *target, int here)
{
	int ids = ids_of(l), fd = ids < -1 ? ids : open_layers(l, bundle, ids), at = -1, r = fd;

	if (fd >= 0)
		r = setns(here, CLONE_NEWNS) < 0 ? -errno : 0;
	if (r == 0)
		r = at = sys_openat2(AT_FDCWD, target, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, 0);
	if (r >= 0)
		r = sys_attach(fd, at);
	if (at >= 0)
		close(at);
	if (fd >= 0)
		close(fd);
	if (ids >= 0)
		close(ids);
	return r;
}

int rootfs_mount_attach(const struct bundle_layers *l, const char *bundle, struct err *e)
{
	char target[PATH_MAX];
	int r = target_of(bundle, target, e), here;

	if (r < 0)
		return r;
	if (is_mount_point(target))
		return err_set(e, -EBUSY, "%s: something is mounted there: coracle-bundle umount %s", target, bundle);
	here = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (here < 0)
		return err_sys(e, errno, "/proc/self/ns/mnt");
	r = attach(l, bundle, target, here);
	close(here);
	if (r == -ENOTSUP)
		return err_set(e, r, "%s: the store's file system cannot be id-mapped by this kernel: UserNS=host does without", target);
	return r < 0 ? err_sys(e, -r, "%s: rootfs of %u layers cannot be mounted", target, count_of(l)) : 0;
}

int rootfs_mount_detach(const char *bundle, struct err *e)
{
	char target[PATH_MAX];
	int r = target_of(bundle, target, e);

	if (r == 0)
		r = sys_result(syscall(SYS_umount2, target, U_NOFOLLOW));
	if (r == -EINVAL)
		return err_set(e, r, "%s: nothing is mounted there", target);
	return r < 0 ? err_sys(e, -r, "%s", target) : 0;
}
