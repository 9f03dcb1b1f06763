/* SPDX-License-Identifier: MIT */
/*
 * The allow-list a unit gets unless it names another: what an ordinary program needs, and what each granted capability adds. All else is
 * EPERM; clone3 is ENOSYS, so that libcs fall back to clone, whose flags a filter can see.
 */
#ifndef CORACLE_SECCOMP_DEFAULT_H
#define CORACLE_SECCOMP_DEFAULT_H

#include <stdint.h>

#include "json_out.h"

/* Writes linux.seccomp of config.json (runtime-spec config-linux.md "Seccomp") under KEY, for an image of ARCHITECTURE ("amd64", "arm64", "arm") whose
 * process may hold CAPS. */
void seccomp_default(struct json_out *o, const char *key, const char *architecture, uint64_t caps);

#endif
