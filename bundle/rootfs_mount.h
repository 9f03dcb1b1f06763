/* SPDX-License-Identifier: MIT */
/*
 * The merged, read-only rootfs of a bundle's layers: for looking users up, for crun, for people. The starter makes its own (init/mounts_root.c).
 * One layer is a read-only bind, more are an overlay without an upper directory.
 */
#ifndef CORACLE_ROOTFS_MOUNT_H
#define CORACLE_ROOTFS_MOUNT_H

#include "bundle_layers.h"

/* A descriptor of the merged root, attached nowhere; closing it ends the mount. Changes the working directory. Kernels before 6.8 have it
 * in a private mount namespace, into which the process moves. BUNDLE is the bundle's absolute path. */
int rootfs_mount_open(const struct bundle_layers *l, const char *bundle, struct err *e);

/* Mounts it at BUNDLE/rootfs. -EBUSY where something is mounted there. Changes the working directory. */
int rootfs_mount_attach(const struct bundle_layers *l, const char *bundle, struct err *e);
int rootfs_mount_detach(const char *bundle, struct err *e);

#endif
