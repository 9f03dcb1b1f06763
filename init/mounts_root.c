/* SPDX-License-Identifier: MIT */
/*
 * The container's root as one detached mount: a directory is bound, layers are merged (lib/overlay.h).
 */
#include "mounts.h"

#include "mount_sys.h"
#include "overlay.h"

static int root_layers(const struct record_head *r, int userns_fd, const char **object)
{
	const struct record_str *layers = record_items(r, r->layers);
	const char *names[OVERLAY_LAYERS_MAX];

	*object = record_text(r, r->store);
	if (chdir(*object) < 0 || chdir("layers") < 0)
		return -errno;
	if (r->layers.count > OVERLAY_LAYERS_MAX)
		return -E2BIG;
	for (uint32_t i = 0; i < r->layers.count; i++)
		names[i] = record_text(r, layers[i]);
	*object = r->layers.count == 1 ? names[0] : "overlay of layers";
	return overlay_open(names, r->layers.count, userns_fd);
}

int mounts_root(const struct record_head *r, int userns_fd, const char **object)
{
	struct mounts_bind how = { .attr_set = MOUNT_ATTR_NODEV, .userns_fd = -1 };

	if (r->rootfs == RECORD_ROOTFS_LAYERS)
		return root_layers(r, userns_fd, object);
	*object = record_text(r, r->root_path);
	return mounts_bind(*object, &how);
}
