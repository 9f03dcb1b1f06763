/* SPDX-License-Identifier: MIT */
/*
 * Walks the 512-byte headers of a tar stream ahead of libarchive and refuses what
 * libarchive would read whole into memory: pax headers, GNU long names and
 * sparse maps above our limits (facts: 1 GiB, 1 MiB and 8 MiB there). Understands ustar, GNU and pax sizes.
 */
#ifndef CORACLE_TAR_GUARD_H
#define CORACLE_TAR_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

enum { TAR_PAX_MAX = 128 * 1024, TAR_LONG_NAME_MAX = 8192 };

struct tar_guard {
	uint64_t skip;		/* bytes of content and padding until the next header */
	uint64_t pax_size;	/* size= of the pax header in front, if has_pax_size */
	uint64_t entries;
	uint32_t fill;		/* bytes in block[] or text[] */
	uint32_t text_len;	/* of the pax header being read; 0: none */
	bool has_pax_size;
	bool is_end;		/* a zero block was seen: libarchive stops there */
	uint8_t block[512];
	uint8_t text[TAR_PAX_MAX + 512];
};

/* Feeds the next LEN bytes. 0, -EFBIG over a limit, -ENOTSUP a kind that is refused, -EBADMSG no tar. */
int tar_guard_feed(struct tar_guard *g, const uint8_t *at, size_t len, struct err *e);

#endif
