/* SPDX-License-Identifier: MIT */
/*
 * The container's root as one detached mount. A directory or a single layer is
 * a bind; more layers are an overlay without an upper directory, which the
 * kernel keeps read-only by itself. Layer names are relative to the store's
 * layers/ so that 127 of them fit one mount(2) page.
 *
 * redirect_dir and metacopy are switched off: a layer that smuggled in
 * trusted.overlay.redirect could otherwise show another layer's files under
 * its own names.
 *
 * Which of the two ways makes the overlay is found by trying: "lowerdir+" for
 * each layer (kernel 6.8), else one string through mount(2) at a scratch
 * directory of the starter's private mount namespace.
 */
#include "mounts.h"

#include <string.h>

#include "mounts_sys.h"

enum { MOUNT_PAGE = 4096 };

static const char *const scratch[] = { "/run", "/tmp", "/mnt", "/proc" };

int mounts_overlay_fsconfig(const struct record_head *r, const struct record_str *layers, uint32_t count)
{
	int fs = sys_fsopen("overlay");
	int fd = 0;

	if (fs < 0)
		return fs;
	for (uint32_t i = 0; i < count && fd == 0; i++)
		fd = sys_fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", record_text(r, layers[i]));
	if (fd == 0)
		fd = sys_fsconfig(fs, FSCONFIG_SET_STRING, "redirect_dir", "nofollow");
	if (fd == 0)
		fd = sys_fsconfig(fs, FSCONFIG_SET_STRING, "metacopy", "off");
	if (fd == 0)
		fd = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL);
	if (fd == 0)
		fd = sys_fsmount(fs, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV);
	close(fs);
	return fd;
}

/* "redirect_dir=nofollow,metacopy=off,lowerdir=A:B:C" */
static int overlay_options(char *out, size_t size, const struct record_head *r, const struct record_str *layers,
	uint32_t count)
{
	static const char first[] = "redirect_dir=nofollow,metacopy=off,lowerdir=";
	size_t at = sizeof(first) - 1;

	memcpy(out, first, at);
	for (uint32_t i = 0; i < count; i++) {
		const char *name = record_text(r, layers[i]);

		if (strpbrk(name, ":,\\"))
			return -EINVAL;
		if (layers[i].len + 2 > size - at)
			return -E2BIG;
		if (i > 0)
			out[at++] = ':';
		memcpy(out + at, name, layers[i].len);
		at += layers[i].len;
	}
	out[at] = '\0';
	return 0;
}

int mounts_overlay_mount(const struct record_head *r, const struct record_str *layers, uint32_t count)
{
	char options[MOUNT_PAGE];
	int fd = overlay_options(options, sizeof(options), r, layers, count);
	size_t i = 0;

	if (fd < 0)
		return fd;
	do {
		fd = sys_mount("overlay", scratch[i], "overlay", MS_RDONLY | MS_NODEV, options);
		if (fd == 0)
			break;
	} while (fd == -ENOENT && access(scratch[i], F_OK) < 0 && ++i < sizeof(scratch) / sizeof(scratch[0]));
	if (fd < 0)
		return fd;
	fd = sys_clone_tree(AT_FDCWD, scratch[i], 0);
	sys_umount(scratch[i]);
	return fd;
}

static int make_private(int fd)
{
	struct mount_attr a = { .propagation = MS_PRIVATE };

	return sys_mount_setattr(fd, 0, &a);
}

static int root_layers(const struct record_head *r, const char **object)
{
	const struct record_str *layers = record_items(r, r->layers);
	int fd;

	*object = record_text(r, r->store);
	if (chdir(*object) < 0 || chdir("layers") < 0)
		return -errno;
	*object = record_text(r, layers[0]);
	if (r->layers.count == 1)
		return mounts_bind(*object, false, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, 0, 0);
	*object = "overlay of layers";
	fd = mounts_overlay_fsconfig(r, layers, r->layers.count);
	if (fd == -EINVAL || fd == -ENOSYS)
		fd = mounts_overlay_mount(r, layers, r->layers.count);
	return fd;
}

int mounts_root(const struct record_head *r, const char **object, struct mounts_why *why)
{
	int fd, e;

	why->text[0] = '\0';
	if (r->rootfs == RECORD_ROOTFS_LAYERS) {
		fd = root_layers(r, object);
	} else {
		*object = record_text(r, r->root_path);
		fd = mounts_bind(*object, false, MOUNT_ATTR_NODEV, 0, 0);
	}
	if (fd < 0)
		return fd;
	e = make_private(fd);
	if (e < 0) {
		close(fd);
		return e;
	}
	return fd;
}
