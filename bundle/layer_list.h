/* SPDX-License-Identifier: MIT */
/*
 * What a layer holds, recorded while it was unpacked: layers/list/<short>, in the text format of composefs-dump(5), one line an entry:
 *   PATH SIZE MODE NLINK UID GID RDEV MTIME PAYLOAD CONTENT DIGEST [XATTR=VALUE...]
 * MODE "@..." is a further name of the file that PAYLOAD names. DIGEST is the fs-verity digest, in hex. Directories have size 0 and one link.
 */
#ifndef CORACLE_LAYER_LIST_H
#define CORACLE_LAYER_LIST_H

#include <stdint.h>
#include <stdio.h>

#include "err.h"

/* Writes the list of the layer open at LAYER to LIST (a regular file, from its start). DIGESTS: struct unpack_digest records in any order, read by
 * mapping and sorted in place. *BYTES: what the files' contents add up to. -EPROTO where a file has no digest. */
int layer_list_write(int layer, int digests, int list, uint64_t *bytes, struct err *e);

/* Reads every file of the layer open at LAYER and compares with LIST. What differs goes to OUT, a line each behind PREFIX. Number of
 * differences, or a negative code. */
long layer_list_verify(int layer, int list, FILE *out, const char *prefix, struct err *e);

#endif
