/* SPDX-License-Identifier: MIT */
/*
 * The merged, read-only rootfs of a bundle's layers: for looking users up, for crun, for people. The starter makes its own (init/mounts_root.c).
 */
#ifndef CORACLE_ROOTFS_MOUNT_H
#define CORACLE_ROOTFS_MOUNT_H

#include "bundle_layers.h"

/* A descriptor of the merged root with its ids as on disk, attached nowhere; closing it ends the mount. May change working directory and mount
 * namespace (overlay_open). BUNDLE is the bundle's absolute path. */
int rootfs_mount_open(const struct bundle_layers *l, const char *bundle, struct err *e);

/* Mounts it at BUNDLE/rootfs, id-mapped where the bundle has a user namespace. -EBUSY where something is mounted there. Changes the working directory. */
int rootfs_mount_attach(const struct bundle_layers *l, const char *bundle, struct err *e);
int rootfs_mount_detach(const char *bundle, struct err *e);

#endif
