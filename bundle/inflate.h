/* SPDX-License-Identifier: MIT */
/*
 * Uncompressed bytes out of a descriptor: plain, gzip (many members, RFC 1952) or zstd
 * (many frames, skippable ones anywhere, RFC 8878; the window is capped by CONFIG_ZSTD_WINDOW_LOG_MAX). No external
 * program is ever run. Bytes behind the last member that are no member are ignored, but read to the end.
 */
#ifndef CORACLE_INFLATE_H
#define CORACLE_INFLATE_H

#include "err.h"
#include "store.h"

struct inflate;

struct inflate *inflate_new(int fd, enum layer_compression kind);
void inflate_free(struct inflate *i);

/* Up to SIZE bytes into OUT; 0 at the end. -EBADMSG broken or cut stream, -EFBIG window too large, or -errno of read(2). */
long inflate_read(struct inflate *i, void *out, size_t size, struct err *e);

#endif
