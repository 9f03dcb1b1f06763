/* SPDX-License-Identifier: MIT */
/*
 * sha256 content digests as image-spec descriptor.md writes them:
 * "sha256:" and 64 lower-case hex digits. Nothing else is a digest here, so a
 * struct digest is safe to use as a file name or in a URL.
 */
#ifndef CORACLE_DIGEST_H
#define CORACLE_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "span.h"

enum { DIGEST_HEX_LEN = 64, DIGEST_TEXT_LEN = 71 };

struct digest {
	uint8_t sha256[32];
};

/* "sha256:" + hex + NUL */
struct digest_text {
	char text[DIGEST_TEXT_LEN + 1];
};

/* 0, or -EBADMSG for anything but the canonical form (image-spec descriptor.md, "Digests"). */
int digest_parse(struct span s, struct digest *out);
struct digest_text digest_text(const struct digest *d);
bool digest_equal(const struct digest *a, const struct digest *b);

#endif
