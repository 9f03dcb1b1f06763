/* SPDX-License-Identifier: MIT */
/*
 * The unpacker's side of a layer and its messages. `coracle-bundle unpack` runs in a jail with
 *   0  compressed bytes     1  result out     2  struct unpack_digest records out (a file)
 *   3  staging directory, read-write     4...  lower layers, topmost first, read-only
 * and says once: struct unpack_result, then mark_bytes of marks {uint16_t length, char kind, path} (bundle/marks.h): 'w' a whiteout to make at
 * path, 'o' a directory to mark opaque. Paths are canonical (no link in them) relative to the staging directory. The launcher
 * believes nothing of it: lengths, counts and paths are checked, diff_id is compared.
 */
#ifndef CORACLE_UNPACK_H
#define CORACLE_UNPACK_H

#include <stdint.h>

#include "digest.h"
#include "jail.h"

enum {
	UNPACK_MAGIC = 0x554e5031,
	UNPACK_DIGEST_FD = 2,
	UNPACK_STAGE_FD = 3,
	UNPACK_LOWER_FD = 4,
	UNPACK_MARKS_MAX = 65536,
	UNPACK_MARK_HEAD = 3,
	UNPACK_MARK_BYTES_MAX = 4 << 20,
	UNPACK_PATH_MAX = 4096,
};

struct unpack_result {
	uint32_t magic;
	int32_t code;			/* 0 or a negative code of err.h */
	struct digest diff_id;		/* of the uncompressed stream */
	uint64_t entries, bytes;
	uint32_t mark_count, mark_bytes;
	char text[384];
};

/* The fs-verity digest of the content that was written to one inode; a later record for the same inode replaces an earlier one. */
struct unpack_digest {
	uint64_t inode;
	uint64_t serial;		/* 0, 1, 2...: the order of writing */
	uint64_t at;			/* for the reader's use; written as 0 */
	struct digest verity;
};

/* What the jail of the unpacker allows; also what the test of the jail runs its hostile program under. */
void unpack_jail_spec(struct jail_spec *spec);

/* The command inside the jail: argv[1] "plain", "gzip" or "zstd", argv[2] the number of lower layers. */
int cmd_unpack(int argc, char **argv);

#endif
