/* SPDX-License-Identifier: MIT */
/* The command lines of `pull`, `inspect` and `check`, which take the same options. */
#ifndef CORACLE_OPTIONS_H
#define CORACLE_OPTIONS_H

#include "image.h"
#include "policy.h"
#include "registry.h"

enum { OPTIONS_KNOWN_MAX = 8 };

struct options {
	const char *command, *store_dir, *policy_file, *text;	/* TEXT: the reference as written */
	const char *preload;	/* NULL, or an archive that is tried first where it is there */
	struct access access;
	struct platform platform;
	int result_fd;		/* -1: no job */
	unsigned total_s;	/* 0: no deadline */
	bool is_json, no_partial, refuses_secrets;
	bool is_staged;		/* pull --staged: nobody asked by hand, so the share of a staged rollout counts (rollout.h) */
	struct digest known[OPTIONS_KNOWN_MAX];	/* pull --known: manifests of which nothing is fetched, as the caller has or does not want them */
	int known_count;
	const char *as;		/* pull --as REF: take the bytes from TEXT, but only as policy and signature would let in REF; NULL */
	const char *trust;	/* a folder of which policy.json, where it is there, stands for the policy, and certs.d comes first; NULL */
	bool is_dry;		/* pull --dry: would it come in? No layer is fetched, nothing published */
	uint64_t floor;		/* pull --floor: the lowest signed version that may come in, 0: none */
};

/* Fills OUT; argv[0] is the command. 0, or 2 after usage was printed. */
int options_parse(int argc, char **argv, struct options *out);

/* Reference and policy of them. -EINVAL, -EKEYREJECTED. */
int options_load(const struct options *o, struct ref *ref, struct policy *policy, struct err *e);

#endif
