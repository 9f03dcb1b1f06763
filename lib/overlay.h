/* SPDX-License-Identifier: MIT */
/*
 * Layers of the store as one read-only root, attached nowhere: the starter's rootfs, and what `coracle-bundle mount` shows. One layer is a bind,
 * more are an overlay without an upper directory. With a user namespace each layer is id-mapped by it: ids on disk are those inside.
 *
 * Names are relative to the working directory (<store>/layers) and never become mount options. redirect_dir and metacopy are off: a layer
 * that smuggled in trusted.overlay.redirect could otherwise show another layer's files under its own names.
 *
 * Each function: a close-on-exec descriptor of the mount, or -errno.
 */
#ifndef CORACLE_OVERLAY_H
#define CORACLE_OVERLAY_H

#include <stdint.h>

enum { OVERLAY_LAYERS_MAX = 128 };

/* COUNT layers, topmost first, id-mapped by USERNS_FD unless that is -1. The way is found by trying: layers by descriptor (kernel 6.15); else
 * attached at a scratch place of a mount namespace of our own, into which the process moves then, and named in one mount(2) page. May change the
 * working directory. -ENOTSUP: the layers' file system cannot be id-mapped by this kernel. */
int overlay_open(const char *const *layers, uint32_t count, int userns_fd);

/* The ways, for overlay_open and its tests. The second mounts at a scratch place: in a mount namespace that nobody else is in. */
int overlay_by_fd(const char *const *layers, uint32_t count, int userns_fd);
int overlay_by_number(const char *const *layers, uint32_t count, int userns_fd);

/* Moves into a mount namespace into which the host's mounts come and out of which none of ours go. 0 or -errno. */
int overlay_own_namespace(void);

#endif
