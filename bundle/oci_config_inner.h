/* SPDX-License-Identifier: MIT */
/* What the parts of the writer of config.json share. */
#ifndef CORACLE_OCI_CONFIG_INNER_H
#define CORACLE_OCI_CONFIG_INNER_H

#include <yyjson.h>

#include "oci_config.h"

struct oci_writer {
	const struct oci_config *in;
	yyjson_mut_doc *doc;
	yyjson_mut_val *root;
	struct err *e;
};

int oci_config_process(struct oci_writer *w);
int oci_config_mounts(struct oci_writer *w);
int oci_config_linux(struct oci_writer *w);

/* OBJECT.KEY = [TEXTS..., NULL] */
yyjson_mut_val *oci_config_strings(struct oci_writer *w, yyjson_mut_val *object, const char *key, const char *const *texts);

#endif
