/* SPDX-License-Identifier: MIT */
/* From a reference to the verified manifest and config of one platform; what pull and inspect have in common. */
#ifndef CORACLE_FIND_H
#define CORACLE_FIND_H

#include "image.h"
#include "verify.h"

struct find {
	/* in */
	struct registry *registry;
	int exe;
	const struct ref *ref;
	const struct ref *as;			/* whom the signature must be for; NULL: REF itself */
	const struct policy *policy;
	const struct platform *platform;
	const struct verify_notes *notes;	/* NULL: nobody listens */
	/* out; the caller calls find_free */
	struct admitted admitted;
	struct digest top, manifest_digest;	/* what the reference names; what runs here */
	char *manifest_json, *config_json;
	size_t manifest_len, config_len;
	struct manifest manifest;
};

/* A signature on the index counts for all it names, one on the platform's own manifest (as podman and skopeo sign) for that. Nothing is parsed
 * in this process before a signature covers it. Codes of registry_get, verify_image, image_*. TOP is set as soon as it is known. */
int find_image(struct find *f, struct err *e);
/* The version that the image found says of itself in what is signed (VERIFY_VERSION): the higher of claim and annotation; 0: none. */
uint64_t find_version(const struct find *f);

void find_free(struct find *f);

#endif
