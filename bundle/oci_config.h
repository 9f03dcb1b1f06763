/* SPDX-License-Identifier: MIT */
/*
 * Image config + unit -> config.json (OCI runtime-spec 1.0.2, valid for crun and runc too). Deny by default: no capabilities but the unit's,
 * no new privileges, own namespaces, no network unless Network=host, read-only root, default seccomp list, limits of memory and processes always on.
 */
#ifndef CORACLE_OCI_CONFIG_H
#define CORACLE_OCI_CONFIG_H

#include "image_config.h"
#include "image_user.h"
#include "unit_file.h"

struct oci_config {
	const struct image_config *image;
	const struct unit_file *unit;
	const struct image_user *user;
	const char *store;		/* absolute; volumes/ is below it */
	const char *digest;		/* of the manifest, for the annotation */
	uint32_t id_first, id_count;	/* outside ids of its user namespace; count 0: none */
};

/* The text into *JSON (malloc, *LEN bytes). -EINVAL, -ENOTSUP for what unit and image ask and cannot have, naming it. Reads the devices that
 * AddDevice= names and the file of SeccompProfile=; changes nothing. */
int oci_config_write(const struct oci_config *c, char **json, size_t *len, struct err *e);

/* The signal that stops the program: the unit's, the image's, or SIGTERM. -EINVAL where the image names one that is none. */
int oci_config_stop_signal(const struct unit_file *u, const struct image_config *image, struct err *e);

#endif
