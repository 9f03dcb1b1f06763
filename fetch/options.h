/* SPDX-License-Identifier: MIT */
/* The command lines of `pull` and `inspect`, which take the same options. */
#ifndef CORACLE_OPTIONS_H
#define CORACLE_OPTIONS_H

#include "image.h"
#include "policy.h"
#include "registry.h"

struct options {
	const char *command, *store_dir, *policy_file, *text;	/* TEXT: the reference as written */
	const char *preload;	/* NULL, or an archive that is tried first where it is there */
	struct access access;
	struct platform platform;
	int result_fd;		/* -1: no job */
	unsigned total_s;	/* 0: no deadline */
	bool is_json, no_partial, refuses_secrets;
};

/* Fills OUT; argv[0] is the command. 0, or 2 after usage was printed. */
int options_parse(int argc, char **argv, struct options *out);

/* Reference and policy of them. -EINVAL, -EKEYREJECTED. */
int options_load(const struct options *o, struct ref *ref, struct policy *policy, struct err *e);

#endif
