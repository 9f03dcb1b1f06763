/* SPDX-License-Identifier: MIT */
/*
 * The judge: reads the attacker's JSON that comes before any verification, in a jail with neither files
 * nor network, and answers with fixed-size candidates. Nothing it says is more than a suggestion of bytes to verify.
 */
#ifndef CORACLE_JUDGE_H
#define CORACLE_JUDGE_H

#include "config.h"
#include "image.h"
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

struct judge_descriptor {
	char digest[72];
	uint64_t size;
};

struct judge_descriptors {
	uint32_t count, pad;
	struct judge_descriptor item[CONFIG_SIGNATURES_MAX];
	char text[256];		/* index: what the image has instead */
};

struct judge_bundle {
	char payload[CONFIG_SIGNATURE_MAX];	/* base64, in the standard alphabet */
	char signature[1024];			/* likewise */
};

struct judge_token {
	char token[8000];	/* "" where there is none */
	uint32_t expires_in_s;	/* 60 where it does not say (token spec) */
	uint32_t pad;
};

/* A cosign signature manifest (SIGNATURE_SPEC "Storage"): its simple-signing layers. -EBADMSG where it is none. */
int judge_signatures(int exe, struct span manifest, struct judge_signatures *out, struct err *e);
/* An answer of the referrers API or the index of its fallback tag (distribution-spec "Listing Referrers"): manifests that may hold a bundle. The
 * descriptor's artifactType is a hint only: cosign 3 writes the empty config's type there. */
int judge_referrers(int exe, struct span index, struct judge_descriptors *out, struct err *e);
/* A referrer's manifest: its one layer, if that is a sigstore bundle; count 0 where it is something else. */
int judge_referrer(int exe, struct span manifest, struct judge_descriptors *out, struct err *e);
/* A sigstore bundle (protobuf-specs sigstore_bundle.proto) with a DSSE envelope of one signature by a key. -EBADMSG for any other. */
int judge_bundle(int exe, struct span json, struct judge_bundle *out, struct err *e);
/* The entry of an index for P, before anything vouches for the index: count 0 and the text where there is none. */
int judge_index(int exe, struct span index, const struct platform *p, struct judge_descriptors *out, struct err *e);
/* A token server's answer: token or access_token. */
int judge_token(int exe, struct span json, struct judge_token *out, struct err *e);

int judge_main(const char *what, const char *argument_or_null);	/* inside the jail */

/* What the jail allows; also what its test runs a hostile program under. */
void judge_jail_spec(struct jail_spec *spec);

#endif
