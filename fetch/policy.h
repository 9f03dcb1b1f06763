/* SPDX-License-Identifier: MIT */
/*
 * containers-policy.json(5): which images may come in, and whose signatures they need. A missing or broken policy rejects everything; so does
 * a key of the file that this program does not know. docs/trust.md has the table of what is read.
 *
 * A scope holds a list of requirements, all of which must be met: two sigstoreSigned with one key each demand both signatures, for podman as
 * for us. Ours alone: "X-Coracle-Threshold": N in a sigstoreSigned demands signatures of N different keys out of its keyPaths or keyDatas.
 */
#ifndef CORACLE_POLICY_H
#define CORACLE_POLICY_H

#include "config.h"
#include "ref.h"

enum { POLICY_REQUIREMENTS_MAX = 4, POLICY_KEY_MAX = 2048 };

enum policy_rule { POLICY_REJECT, POLICY_ACCEPT, POLICY_SIGNED };
enum policy_identity {
	POLICY_REPO_DIGEST_OR_EXACT, POLICY_EXACT, POLICY_REPOSITORY, POLICY_EXACT_REFERENCE, POLICY_EXACT_REPOSITORY, POLICY_REMAP
};

struct policy_key {
	char name[128];		/* its path, or "keyData of SCOPE" */
	char pem[POLICY_KEY_MAX];
};

struct policy_requirement {
	enum policy_rule rule;
	int key_count, threshold;	/* POLICY_SIGNED; threshold 1 unless said */
	bool may_change_trust;		/* a release that it lets in may bring a policy and certificate authorities */
	struct policy_key key[CONFIG_POLICY_KEYS_MAX];
	enum policy_identity identity;
	char identity_value[600];	/* dockerReference, dockerRepository, or remapIdentity's prefix */
	char identity_signed[600];	/* remapIdentity's signedPrefix */
};

struct policy {
	char scope[700];		/* the scope that decided, or "default" */
	int count;
	struct policy_requirement requirement[POLICY_REQUIREMENTS_MAX];
};

/* The requirements for REF: the most specific scope of its transport, else default. Keys are read and checked. -EKEYREJECTED with the reason
 * for a missing or broken file or key. */
int policy_load(const char *file, const struct ref *ref, struct policy *out, struct err *e);

/* Does one requirement reject everything? */
bool policy_rejects(const struct policy *p);

/* "X-Coracle-MayChangeTrust": true in a requirement that demands a signature. */
bool policy_may_change_trust(const struct policy *p);

/* Does the docker-reference SIGNED of a signature stand for REF under requirement R of P? 0, or -EKEYREJECTED with the reason. */
int policy_identity_check(const struct policy *p, const struct policy_requirement *r, const struct ref *ref, const char *signed_ref,
	struct err *e);

/* A signature that names no repository (cosign's bundle form): it counts only where the scope is this one repository, so that its key vouches
 * for nothing else. 0, or -EKEYREJECTED saying so. */
int policy_nameless_check(const struct policy *p, const struct policy_requirement *r, const struct ref *ref, struct err *e);

#endif
