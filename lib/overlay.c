/* SPDX-License-Identifier: MIT */
/* Merges layers. Their names come from a checked record or a bundle's `layers` file; what is in them is their author's and is not looked at. */
#include "overlay.h"

#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "mount_sys.h"

int unshare(int flags);

enum { MOUNT_PAGE = 4096 };

#define OPTIONS "redirect_dir=nofollow,metacopy=off,lowerdir="

static const char *const scratch[] = { "/run", "/tmp", "/mnt", "/proc" };

static int open_layer(const char *name, int userns_fd)
{
	struct mount_attr a = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, .propagation = MS_PRIVATE };
	int fd = sys_clone_tree(AT_FDCWD, name, 0);
	int r;

	if (fd < 0)
		return fd;
	if (userns_fd >= 0) {
		a.attr_set |= MOUNT_ATTR_IDMAP;
		a.userns_fd = (uint64_t)userns_fd;
	}
	r = sys_mount_setattr(fd, 0, &a);
	if (r < 0) {
		close(fd);
		return userns_fd >= 0 && (r == -EINVAL || r == -EPERM) ? -ENOTSUP : r;
	}
	return fd;
}

static void close_layers(const int *layer, uint32_t count)
{
	while (count-- > 0)
		if (layer[count] >= 0)
			close(layer[count]);
}

/* FS has its layers, or R says why not. Closes it. */
static int make(int fs, int r)
{
	if (r == 0)
		r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "redirect_dir", "nofollow");
	if (r == 0)
		r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "metacopy", "off");
	if (r == 0)
		r = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL);
	if (r == 0)
		r = sys_fsmount(fs, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV);
	close(fs);
	return r;
}

int overlay_by_fd(const char *const *layers, uint32_t count, int userns_fd)
{
	int fs = sys_fsopen("overlay");
	int layer[OVERLAY_LAYERS_MAX], r = count > OVERLAY_LAYERS_MAX ? -E2BIG : 0;
	uint32_t opened = 0;

	if (fs < 0)
		return fs;
	for (; opened < count && r == 0; opened++) {
		layer[opened] = r = open_layer(layers[opened], userns_fd);
		/* EINVAL, EBADF (6.12) or EOPNOTSUPP (6.1), which all mean: no layers by descriptor. */
		if (r >= 0)
			r = sys_fsconfig_fd(fs, "lowerdir+", r) < 0 ? -EINVAL : 0;
	}
	r = make(fs, r);
	/* Not before: a mount that is attached nowhere ends with its descriptor. */
	close_layers(layer, opened);
	return r;
}

/* LAYER at the name "I" of the scratch tmpfs: attached, as overlay wants them before kernel 6.15. */
static int attach_layer(int tmpfs, uint32_t i, int layer)
{
	char name[12];
	int at, r;

	snprintf(name, sizeof(name), "%u", i);
	r = mkdirat(tmpfs, name, 0700) < 0 ? -errno : 0;
	at = r < 0 ? r : sys_openat2(tmpfs, name, O_PATH | O_DIRECTORY, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	r = at < 0 ? at : sys_attach(layer, at);
	if (at >= 0)
		close(at);
	return r;
}

/* In TMPFS, which is attached: the layers at their numbers, the overlay at "r". */
static int at_numbers(const int *layer, uint32_t count, int tmpfs)
{
	char options[MOUNT_PAGE] = OPTIONS;
	size_t at = sizeof(OPTIONS) - 1;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < count; i++) {
		at += (size_t)snprintf(options + at, sizeof(options) - at, i ? ":%u" : "%u", i);
		r = at < sizeof(options) ? attach_layer(tmpfs, i, layer[i]) : -E2BIG;
	}
	if (r == 0 && (fchdir(tmpfs) < 0 || mkdir("r", 0700) < 0))
		r = -errno;
	if (r == 0)
		r = sys_mount("overlay", "r", "overlay", MS_RDONLY | MS_NODEV, options);
	/* The clone stays when "r" is taken away. */
	return r < 0 ? r : sys_clone_tree(AT_FDCWD, "r", 0);
}

int overlay_by_number(const char *const *layers, uint32_t count, int userns_fd)
{
	int layer[OVERLAY_LAYERS_MAX], tmpfs = -1, place = -1, r = count > OVERLAY_LAYERS_MAX ? -E2BIG : 0, fs;
	uint32_t opened = 0;

	/* Before the tmpfs covers a place: a layer may lie below it. */
	for (; r >= 0 && opened < count; opened++)
		layer[opened] = r = open_layer(layers[opened], userns_fd);
	fs = r < 0 ? r : sys_fsopen("tmpfs");
	if (fs >= 0) {
		if (sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL) == 0)
			tmpfs = sys_fsmount(fs, 0);
		close(fs);
		fs = -ENOENT;
	}
	for (size_t i = 0; tmpfs >= 0 && place < 0 && i < sizeof(scratch) / sizeof(scratch[0]); i++)
		place = open(scratch[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = fs;
	if (place >= 0) {
		r = sys_attach(tmpfs, place);
		if (r == 0)
			r = at_numbers(layer, count, tmpfs);
		if (fchdir(tmpfs) == 0)
			sys_umount(".");
		close(place);
	}
	if (tmpfs >= 0)
		close(tmpfs);
	close_layers(layer, opened);
	return r;
}

int overlay_own_namespace(void)
{
	if (unshare(CLONE_NEWNS) < 0)
		return -errno;
	/* Slave, not private: a volume may ask to follow the host's mounts; nothing of ours goes back to the host. */
	return sys_mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL);
}

int overlay_open(const char *const *layers, uint32_t count, int userns_fd)
{
	int fd;

	if (count == 1)
		return open_layer(layers[0], userns_fd);
	fd = overlay_by_fd(layers, count, userns_fd);
	if (fd != -EINVAL && fd != -ENOSYS)
		return fd;
	fd = overlay_own_namespace();
	return fd < 0 ? fd : overlay_by_number(layers, count, userns_fd);
}
