/* SPDX-License-Identifier: MIT */
/*
 * Image references: [docker://]HOST[:PORT]/REPO[:TAG][@DIGEST], with Docker Hub's short
 * names (docker.io, library/). Repository and tag follow distribution-spec's grammar, so both are safe in a URL path.
 */
#ifndef CORACLE_REF_H
#define CORACLE_REF_H

#include <stdbool.h>

#include "digest.h"
#include "err.h"

struct ref {
	char host[256];		/* as written, "registry.demo:5443"; part of scopes and names */
	char server[256];	/* name to connect to */
	char port[6];
	char repo[256];
	char tag[129];		/* "" where only a digest is given */
	bool has_digest;
	struct digest digest;
};

/* 0, or -EINVAL saying which part is wrong. */
int ref_parse(const char *text, struct ref *out, struct err *e);

/* "host/repo" into OUT of SIZE bytes. */
void ref_name(const struct ref *r, char *out, size_t size);

#endif
