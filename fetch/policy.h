/* SPDX-License-Identifier: MIT */
/*
 * containers-policy.json(5): which images may come in, and whose signature they need. A missing or
 * broken policy rejects everything.
 */
#ifndef CORACLE_POLICY_H
#define CORACLE_POLICY_H

#include "judge.h"
#include "ref.h"

enum { POLICY_KEYS_MAX = 8, POLICY_KEY_MAX = 4096 };

enum policy_rule { POLICY_REJECT, POLICY_ACCEPT, POLICY_SIGNED };
enum policy_identity { POLICY_REPO_DIGEST_OR_EXACT, POLICY_EXACT, POLICY_REPOSITORY, POLICY_EXACT_REFERENCE, POLICY_EXACT_REPOSITORY };

struct policy {
	enum policy_rule rule;
	char scope[600];		/* the scope that decided, or "default" */
	int key_count;
	char key_name[POLICY_KEYS_MAX][128];	/* path of the key, or "keyData" */
	char key[POLICY_KEYS_MAX][POLICY_KEY_MAX];	/* PEM */
	enum policy_identity identity;
	char identity_value[600];
};

/* The requirement for REF: the most specific scope of transports.docker, else default. -EKEYREJECTED with the reason for a missing or broken file or key. */
int policy_load(const char *file, const struct ref *ref, struct policy *out, struct err *e);

/* Does the docker-reference SIGNED of a signature stand for REF under this policy? 0, or -EKEYREJECTED with the reason. */
int policy_identity_check(const struct policy *p, const struct ref *ref, const char *signed_ref, struct err *e);

#endif
