/* SPDX-License-Identifier: MIT */
/*
 * The judge: reads the attacker's JSON that comes before any verification, in a jail with neither files
 * nor network, and answers with fixed-size candidates. Nothing it says is more than a suggestion of bytes to verify.
 */
#ifndef CORACLE_JUDGE_H
#define CORACLE_JUDGE_H

#include "config.h"
#include "jail.h"

struct judge_signature {
	char digest[72];	/* of the payload blob */
	uint64_t size;
	char base64[1024];	/* dev.cosignproject.cosign/signature */
};

struct judge_signatures {
	uint32_t count, pad;
	struct judge_signature item[CONFIG_SIGNATURES_MAX];
};

struct judge_token {
	char token[8000];	/* "" where there is none */
};

/* A cosign signature manifest (SIGNATURE_SPEC "Storage"): its simple-signing layers. -EBADMSG where it is none. */
int judge_signatures(int exe, struct span manifest, struct judge_signatures *out, struct err *e);
/* A token server's answer: token or access_token. */
int judge_token(int exe, struct span json, struct judge_token *out, struct err *e);

int judge_main(const char *what);	/* inside the jail */

#endif
