/* SPDX-License-Identifier: MIT */
/*
 * Image references: [docker://]HOST[:PORT]/REPO[:TAG][@DIGEST], with Docker Hub's short names (docker.io, library/), HOST also [IPv6];
 * oci:DIRECTORY[:NAME][@DIGEST] and oci-archive:FILE[:NAME][@DIGEST], an image layout (image-spec image-layout.md) and a tar of one, as from a
 * USB stick. Repository, tag and name follow a grammar that is safe in a URL path.
 */
#ifndef CORACLE_REF_H
#define CORACLE_REF_H

#include <stdbool.h>

#include "digest.h"
#include "err.h"

enum ref_transport { REF_DOCKER, REF_OCI, REF_OCI_ARCHIVE };

struct ref {
	enum ref_transport transport;
	char path[512];		/* of the layout or archive, absolute and without links; "" for a registry. Then host, server, port, repo are empty */
	char host[256];		/* as written, "registry.demo:5443"; part of scopes and names */
	char server[256];	/* name to connect to; an IPv6 address without its brackets */
	char port[6];
	char repo[256];
	char tag[129];		/* "" where only a digest is given, or a file without a name */
	bool has_digest;
	struct digest digest;
};

/* 0, or -EINVAL saying which part is wrong. */
int ref_parse(const char *text, struct ref *out, struct err *e);

/* "host/repo", or the path, into OUT of SIZE bytes. */
void ref_name(const struct ref *r, char *out, size_t size);

/* distribution-spec's <name>? */
bool ref_is_repo(const char *s);

/* HOST[:PORT] as in a reference into server and port ("443" where none is said). false where it is not one. */
bool ref_split_host(const char *host, char server[256], char port[6]);

#endif
