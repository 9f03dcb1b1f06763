/* SPDX-License-Identifier: MIT */
/*
 * The allow-list a unit gets unless it names another: what an ordinary program needs, and what each granted capability adds. All else is
 * EPERM; clone3 is ENOSYS, so that libcs fall back to clone, whose flags a filter can see.
 */
#ifndef CORACLE_SECCOMP_DEFAULT_H
#define CORACLE_SECCOMP_DEFAULT_H

#include <stdint.h>
#include <yyjson.h>

/* linux.seccomp of config.json (runtime-spec config-linux.md "Seccomp") for an image of ARCHITECTURE ("amd64", "arm64", "arm") whose
 * process may hold CAPS. NULL without memory. */
yyjson_mut_val *seccomp_default(yyjson_mut_doc *doc, const char *architecture, uint64_t caps);

#endif
