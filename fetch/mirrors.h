/* SPDX-License-Identifier: MIT */
/*
 * containers-registries.conf(5), the part of it that says where an image comes from: [[registry]] with prefix, location, blocked,
 * mirror-by-digest-only, and its [[registry.mirror]] with location and pull-from-mirror. `insecure = true` and every other key are errors with file and
 * line; unqualified-search-registries and short-name-mode are accepted without effect. What an image is called does not change: policy and signatures go
 * by the name that was asked for.
 */
#ifndef CORACLE_MIRRORS_H
#define CORACLE_MIRRORS_H

#include "config.h"
#include "ref.h"

struct endpoint_name {
	char host[256], server[256], port[6], repo[256];
	bool is_mirror, takes_tags, takes_digests;
};

/* Where REF may be fetched, in order, the registry itself last. Returns their number, or -EINVAL for a broken file, -EACCES a blocked registry. A missing
 * file is none. */
int mirrors_for(const char *file, const struct ref *ref, struct endpoint_name out[CONFIG_MIRRORS_MAX + 1], struct err *e);

#endif
