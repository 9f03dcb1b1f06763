/* SPDX-License-Identifier: MIT */
/* Operating system, architecture and variant, normalised and ordered as containerd does (containerd/platforms). */
#ifndef CORACLE_PLATFORM_H
#define CORACLE_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

struct platform {
	char os[16], arch[16], variant[8];
	bool runs_arm32;	/* an arm64 kernel that runs 32-bit arm programs */
};

/* This machine: amd64 with the level of its CPU, arm64 with what its kernel runs, arm by the kernel's word, never below what this program is built for. */
struct platform platform_host(void);
/* "linux/arm/v7" -> parts, normalised. -EINVAL. */
int platform_parse(const char *text, struct platform *out, struct err *e);
void platform_normalise(struct platform *p);
/* "linux/arm/v7" */
void platform_text(const struct platform *p, char *out, size_t size);

/* How well HAVE runs on WANT: 0 not at all, more is better, never 1. amd64/v3 takes v3, v2, plain; arm/v7 takes v7, v6, v5; arm64 takes arm64, and where it runs
 * them arm v8 to v5. 386 is not taken on amd64: the seccomp lists of units have no 32-bit half. */
int platform_rank(const struct platform *want, const struct platform *have);

#endif
