/* SPDX-License-Identifier: MIT */
/*
 * What looks like a secret: a short list of well-known shapes of keys, tokens and password files. A shape asks for more than its prefix (a
 * key's armour with key material under it, a token of the right length and alphabet that is no placeholder), so that documentation, programs and
 * libraries that know of such things are none. Finding nothing proves nothing.
 */
#ifndef CORACLE_SECRETS_H
#define CORACLE_SECRETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

/* The longest shape: what a caller that reads in pieces repeats from the end of one piece. */
enum { SECRETS_OVERLAP = 1024 };

struct secret {
	const char *what;	/* "GitHub token": static; NULL: nothing found */
	size_t at;		/* in the text given */
};

/* The first secret in TEXT, part of a file NAMEd so (its last component; NULL: unknown). BEFORE: TEXT is not the file's beginning,
 * and its first byte was looked at already. MORE: it is not the file's end,
 * so what starts in the last SECRETS_OVERLAP bytes is for the next piece. */
struct secret secrets_in(struct span text, const char *name, bool before, bool more);

/* Reads the regular file open at FD through. 0 and OUT with its place in the file, or a negative code of read(2). */
int secrets_in_file(int fd, const char *name, struct secret *out);

#endif
