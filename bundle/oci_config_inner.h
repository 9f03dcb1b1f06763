/* SPDX-License-Identifier: MIT */
/* What the parts of the writer of config.json share. */
#ifndef CORACLE_OCI_CONFIG_INNER_H
#define CORACLE_OCI_CONFIG_INNER_H

#include "json_out.h"
#include "oci_config.h"

struct oci_writer {
	const struct oci_config *in;
	struct json_out o;
	struct err *e;
};

int oci_config_process(struct oci_writer *w);
int oci_config_mounts(struct oci_writer *w);
int oci_config_linux(struct oci_writer *w);
/* The user namespace's range as an array of one mapping. */
void oci_config_ids(struct oci_writer *w, const char *key);

#endif
