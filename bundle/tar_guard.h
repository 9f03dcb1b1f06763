/* SPDX-License-Identifier: MIT */
/*
 * Walks the 512-byte headers of a tar stream ahead of libarchive and refuses what
 * libarchive would read whole into memory or read in two ways: pax headers and GNU long names above our limits
 * (1 MiB and more there), rare types, content behind entries that have none. Sparse files it reads itself (bundle/tar_sparse.h): libarchive
 * gets to see an ordinary file of the stored bytes. It also keeps the names of the pax header as they are, byte for byte:
 * libarchive passes them through a character set, names are no text.
 */
#ifndef CORACLE_TAR_GUARD_H
#define CORACLE_TAR_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "span.h"
#include "tar_sparse.h"

enum { TAR_PAX_MAX = 128 * 1024, TAR_LONG_NAME_MAX = 8192 };

/* What stands before an entry and holds for it. */
struct tar_pax {
	bool is_there;		/* a pax header was read */
	bool has_size;
	bool is_odd;		/* bytes beyond ASCII: libarchive may warn that it cannot convert them */
	uint64_t size;
	struct span path, linkpath;	/* in text[]; at NULL: not named there */
	struct span sparse_path;	/* the name that GNU.sparse.name gives: it is what counts */
};

struct tar_guard {
	uint64_t skip;		/* bytes of content and padding until the next header */
	uint64_t entries;
	uint32_t fill;		/* bytes in block[] or text[] */
	uint32_t text_len;	/* of the pax header being read; 0: none */
	bool is_end;		/* a zero block was seen: libarchive stops there */
	bool is_extended;	/* blocks of an old GNU sparse map come before the content */
	bool is_withheld;	/* the bytes used last are not for libarchive */
	struct tar_pax next;	/* for the entry to come */
	struct tar_pax pax;	/* of the entry whose header was read last; valid until the next feed behind its content */
	char type;		/* that entry's typeflag */
	uint64_t size;		/* and its stored content's bytes */
	struct tar_sparse sparse;	/* of that entry, or read so far of the one to come */
	bool is_sparse_next;	/* sparse is about the one to come */
	uint8_t block[512];
	uint8_t text[TAR_PAX_MAX + 512];
};

/* Looks at the next bytes, at most until the end of one header or of one content; *USED tells how many (0 only where LEN is). Feed
 * multiples of 512 where possible, and tar_guard_wants() bytes at once: the size field of a hard link is set to 0 in place, as such entries
 * have no content, whatever they say; what says that a file is sparse is taken out in place.
 * 0, -EFBIG over a limit, -ENOTSUP a kind that is refused, -EBADMSG no tar. */
int tar_guard_feed(struct tar_guard *g, uint8_t *at, size_t len, size_t *used, struct err *e);

/* Bytes of a pax header that should come in one piece; 0: any number will do. */
size_t tar_guard_wants(const struct tar_guard *g);

#endif
