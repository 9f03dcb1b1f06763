/* SPDX-License-Identifier: MIT */
/*
 * The unpacker's side of a layer and its messages. `coracle-bundle unpack` runs in a jail with
 *   0  compressed bytes     1  result out     3  staging directory, read-write     4...  lower layers, topmost first, read-only
 * and says once: struct unpack_result, then mark_count marks {uint16_t length, char kind, path}: 'w' a whiteout to make at
 * path, 'o' a directory to mark opaque. Paths are canonical (no link in them) relative to the staging directory. The launcher
 * believes nothing of it: lengths, counts and paths are checked, diff_id is compared.
 */
#ifndef CORACLE_UNPACK_H
#define CORACLE_UNPACK_H

#include <stdint.h>

#include "digest.h"
#include "jail.h"

enum {
	UNPACK_MAGIC = 0x554e504b,
	UNPACK_STAGE_FD = 3,
	UNPACK_LOWER_FD = 4,
	UNPACK_MARKS_MAX = 65536,
	UNPACK_PATH_MAX = 4096,
};

struct unpack_result {
	uint32_t magic;
	int32_t code;			/* 0 or a negative code of err.h */
	struct digest diff_id;		/* of the uncompressed stream */
	uint64_t entries, bytes;
	uint32_t mark_count;
	uint32_t pad;
	char text[384];
};

/* What the jail of the unpacker allows; also what the test of the jail runs its hostile program under. */
void unpack_jail_spec(struct jail_spec *spec);

/* The command inside the jail: argv[1] "plain", "gzip" or "zstd", argv[2] the number of lower layers. */
int cmd_unpack(int argc, char **argv);

#endif
