/* SPDX-License-Identifier: MIT */
/*
 * Seccomp rules -> classic BPF (linux/filter.h), the runtime-spec's "Seccomp" without its JSON. The code checks the architecture first and
 * kills any it was not made for, kills x32 numbers, then finds the call by a binary tree of number ranges: about nine comparisons.
 *
 * What counts where rules overlap: a rule without comparisons replaces those with some for the same call, and the first of them stays; of
 * rules with comparisons the first in the profile's order that matches decides; a rule whose action is the default says nothing.
 */
#ifndef CORACLE_SECCOMP_BPF_H
#define CORACLE_SECCOMP_BPF_H

#include <linux/filter.h>
#include <stddef.h>

#include "seccomp_arch.h"

enum seccomp_op { SECCOMP_OP_NE, SECCOMP_OP_LT, SECCOMP_OP_LE, SECCOMP_OP_EQ, SECCOMP_OP_GE, SECCOMP_OP_GT, SECCOMP_OP_MASKED_EQ };

struct seccomp_compare {
	uint32_t arg;			/* 0 to 5 */
	uint32_t op;			/* enum seccomp_op */
	uint64_t value;			/* MASKED_EQ: the mask, ... */
	uint64_t two;			/* ... and what has to be left by it */
};

enum { SECCOMP_COMPARES_MAX = 6 };

struct seccomp_rule {
	const char *name;		/* of the call; one that an architecture lacks has no effect there */
	uint32_t action;		/* SECCOMP_RET_* with its data */
	uint32_t count;			/* of comparisons, all of which have to hold; 0: always */
	const struct seccomp_compare *compare;
};

struct seccomp_filter {
	struct sock_filter *at;		/* MAX instructions of the caller's */
	size_t max, len;
};

/* Fills OUT for COUNT architectures, of which each is there once. 0, -EFBIG for more instructions than OUT has room for, -ENOMEM. */
int seccomp_bpf_build(struct seccomp_filter *out, const struct seccomp_arch *const *archs, size_t count, const struct seccomp_rule *rules,
	size_t rules_len, uint32_t fallback);

#endif
