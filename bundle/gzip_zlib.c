/* SPDX-License-Identifier: MIT */
/* Drives zlib. Input is hostile; runs only inside the inflate jail. */
#include "gzip.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

enum { GZIP_ONLY = 16 + MAX_WBITS };

struct gzip {
	z_stream z;
};

struct gzip *gzip_new(void)
{
	struct gzip *g = calloc(1, sizeof(*g));

	if (g && inflateInit2(&g->z, GZIP_ONLY) == Z_OK)
		return g;
	free(g);
	return NULL;
}

void gzip_free(struct gzip *g)
{
	if (g)
		inflateEnd(&g->z);
	free(g);
}

long gzip_step(struct gzip *g, const uint8_t *in, size_t len, size_t *used, void *out, size_t size, bool *is_end, struct err *e)
{
	int r;

	g->z.next_in = (Bytef *)in;
	g->z.avail_in = (uInt)len;
	g->z.next_out = out;
	g->z.avail_out = (uInt)size;
	r = inflate(&g->z, Z_NO_FLUSH);
	*used = len - g->z.avail_in;
	*is_end = r == Z_STREAM_END;
	if (*is_end)
		inflateReset(&g->z);
	else if (r != Z_OK && r != Z_BUF_ERROR)
		return err_set(e, -EBADMSG, "gzip stream is broken: %s", g->z.msg ? g->z.msg : "bad data");
	return (long)(size - g->z.avail_out);
}
