/* SPDX-License-Identifier: MIT */
/* Text form of sha256 digests; the only door through which one comes in. */
#include "digest.h"

#include <errno.h>

static const char prefix[] = "sha256:";
enum { PREFIX_LEN = sizeof(prefix) - 1 };

/* 0 to 15, or -1; upper case is no digest (image-spec descriptor.md). */
static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int digest_parse(struct span s, struct digest *out)
{
	if (s.len != DIGEST_TEXT_LEN || memcmp(s.at, prefix, PREFIX_LEN) != 0)
		return -EBADMSG;
	for (int i = 0; i < 32; i++) {
		int high = hex_value(s.at[PREFIX_LEN + 2 * i]);
		int low = hex_value(s.at[PREFIX_LEN + 2 * i + 1]);

		if (high < 0 || low < 0)
			return -EBADMSG;
		out->sha256[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

struct digest_text digest_text(const struct digest *d)
{
	static const char hex[] = "0123456789abcdef";
	struct digest_text t;

	memcpy(t.text, prefix, PREFIX_LEN);
	for (int i = 0; i < 32; i++) {
		t.text[PREFIX_LEN + 2 * i] = hex[d->sha256[i] >> 4];
		t.text[PREFIX_LEN + 2 * i + 1] = hex[d->sha256[i] & 15];
	}
	t.text[DIGEST_TEXT_LEN] = '\0';
	return t;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->sha256, b->sha256, sizeof(a->sha256)) == 0;
}
