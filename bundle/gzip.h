/* SPDX-License-Identifier: MIT */
/* One gzip member (RFC 1952) after the other: by ISA-L's igzip on x86_64 (gzip_isal.c), by zlib elsewhere (gzip_zlib.c). Which, says the Makefile. */
#ifndef CORACLE_GZIP_H
#define CORACLE_GZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct gzip;

struct gzip *gzip_new(void);
void gzip_free(struct gzip *g);

/* Takes *USED of the LEN bytes at IN, puts up to SIZE bytes to OUT: their number, also 0, or -EBADMSG. *IS_END: the member is whole and its checksum right;
 * what comes next is another. Called with LEN 0 it gives what it still has. */
long gzip_step(struct gzip *g, const uint8_t *in, size_t len, size_t *used, void *out, size_t size, bool *is_end, struct err *e);

#endif
