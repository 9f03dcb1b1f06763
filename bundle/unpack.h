/* SPDX-License-Identifier: MIT */
/*
 * The jailed side of a layer and its messages: two processes with a pipe between them, so that decompressing and hashing go on beside the making of
 * files. `coracle-bundle inflate` runs in a jail that has nothing but
 *   0  compressed bytes     1  uncompressed bytes out     2  result out
 * and says once: struct inflate_result. `coracle-bundle unpack` runs in another with
 *   0  uncompressed bytes   1  result out     2  struct unpack_digest records out (a file)     3  marks out (a file: bundle/marks.h)
 *   4  staging directory, read-write     5...  lower layers, topmost first, read-only
 * and says once: struct unpack_result. Of the marks, 'w' is a whiteout to make at
 * its path, 'o' a directory to mark opaque. Paths are canonical (no link in them) relative to the staging directory. The launcher
 * believes nothing of them: lengths, counts and paths are checked, diff_id is compared.
 */
#ifndef CORACLE_UNPACK_H
#define CORACLE_UNPACK_H

#include <stdint.h>

#include "digest.h"
#include "jail.h"

enum {
	UNPACK_MAGIC = 0x554e5033,
	UNPACK_DIGEST_FD = 2,
	UNPACK_MARKS_FD = 3,
	UNPACK_STAGE_FD = 4,
	UNPACK_LOWER_FD = 5,
	UNPACK_MARKS_MAX = 65536,
	UNPACK_MARK_HEAD = 3,
	UNPACK_MARK_BYTES_MAX = 48 << 20,	/* of disk, until the layer is published */
	UNPACK_PATH_MAX = 4096,
};

struct unpack_result {
	uint32_t magic;
	int32_t code;			/* 0 or a negative code of err.h */
	uint64_t entries, bytes;
	uint32_t is_input_end;		/* it came to the end of what the decompressor gave, which may know why that is the end */
	char text[384];
};

struct inflate_result {
	uint32_t magic;
	int32_t code;
	struct digest diff_id;		/* of the uncompressed stream */
	char text[256];
};

/* The fs-verity digest of the content that was written to one inode; a later record for the same inode replaces an earlier one. */
struct unpack_digest {
	uint64_t inode;
	uint64_t serial;		/* 0, 1, 2...: the order of writing */
	uint64_t at;			/* for the reader's use; written as 0 */
	struct digest verity;
};

/* What the jails allow; also what the test of the jail runs its hostile program under. */
void unpack_jail_spec(struct jail_spec *spec);
void inflate_jail_spec(struct jail_spec *spec);

/* The commands inside the jails: argv[1] the number of lower layers; "plain", "gzip" or "zstd". */
int cmd_unpack(int argc, char **argv);
int cmd_inflate(int argc, char **argv);

#endif
