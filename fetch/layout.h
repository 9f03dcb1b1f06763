/* SPDX-License-Identifier: MIT */
/*
 * Image layouts (image-spec image-layout.md), as a directory or a tar of one: a jailed process reads them and answers fetch/net.h's requests as a
 * registry would, so that a stick is no more trusted than a server. It sees the one tree or file it was handed, read-only, and no network.
 *
 * manifests/NAME is found by org.opencontainers.image.ref.name; NAME "" is the only image there is; sha256-HEX.sig also by the mark that `cosign
 * save` sets; referrers/ lists what index.json holds, for the caller to sift.
 */
#ifndef CORACLE_LAYOUT_H
#define CORACLE_LAYOUT_H

#include "jail.h"
#include "ref.h"

/* The tree (a detached read-only mount) or file of REF, to hand to the jail. -ENOENT and others. */
int layout_open(const struct ref *ref, struct err *e);
void layout_jail_spec(struct jail_spec *spec);

int layout_main(void);	/* inside the jail */

#endif
