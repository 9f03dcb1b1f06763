/* SPDX-License-Identifier: MIT */
/* Drives the gzip decoder and libzstd. Input is hostile; runs only inside the unpack jail. */
#include "inflate.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "config.h"
#include "gzip.h"

enum { INPUT_SIZE = 128 * 1024 };

struct inflate {
	int fd;
	enum layer_compression kind;
	bool is_input_end;	/* read(2) said 0 */
	bool is_inside;		/* in the middle of a member or frame */
	bool is_done;		/* behind the last member: only draining */
	bool has_any;		/* at least one member was whole */
	size_t at, len;		/* unread part of in[] */
	struct gzip *gzip;
	ZSTD_DStream *zstd;
	uint8_t in[INPUT_SIZE];
};

struct inflate *inflate_new(int fd, enum layer_compression kind)
{
	struct inflate *i = calloc(1, sizeof(*i));

	if (!i)
		return NULL;
	i->fd = fd;
	i->kind = kind;
	if (kind == LAYER_GZIP) {
		i->gzip = gzip_new();
		if (!i->gzip)
			goto fail;
	}
	if (kind == LAYER_ZSTD) {
		i->zstd = ZSTD_createDStream();
		if (!i->zstd)
			goto fail;
		ZSTD_DCtx_setParameter(i->zstd, ZSTD_d_windowLogMax, CONFIG_ZSTD_WINDOW_LOG_MAX);
	}
	return i;
fail:
	free(i);
	return NULL;
}

void inflate_free(struct inflate *i)
{
	if (!i)
		return;
	gzip_free(i->gzip);
	ZSTD_freeDStream(i->zstd);
	free(i);
}

static int fill(struct inflate *i, struct err *e)
{
	ssize_t n;

	if (i->at < i->len || i->is_input_end)
		return 0;
	do {
		n = read(i->fd, i->in, sizeof(i->in));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, errno, "reading compressed bytes");
	i->at = 0;
	i->len = (size_t)n;
	i->is_input_end = n == 0;
	return 0;
}

static long step_gzip(struct inflate *i, void *out, size_t size, struct err *e)
{
	bool is_end;
	size_t used;
	long n;

	if (!i->is_inside && i->has_any && i->in[i->at] != 0x1f) {
		i->is_done = true;	/* padding or junk behind the last member: gzip(1) ignores it as well */
		return 0;
	}
	n = gzip_step(i->gzip, i->in + i->at, i->len - i->at, &used, out, size, &is_end, e);
	i->at += used;
	i->is_inside = !is_end;
	i->has_any |= is_end;
	return n;
}

static long step_zstd(struct inflate *i, void *out, size_t size, struct err *e)
{
	ZSTD_inBuffer in = { i->in, i->len, i->at };
	ZSTD_outBuffer to = { out, size, 0 };
	size_t r = ZSTD_decompressStream(i->zstd, &to, &in);

	i->at = in.pos;
	if (ZSTD_isError(r)) {
		if (ZSTD_getErrorCode(r) == ZSTD_error_frameParameter_windowTooLarge)
			return err_set(e, -EFBIG, "zstd window is larger than 2^%d bytes, the limit of this build "
				"(ZSTD_WINDOW_LOG_MAX): compress the layer without --long", CONFIG_ZSTD_WINDOW_LOG_MAX);
		return err_set(e, -EBADMSG, "zstd stream is broken: %s", ZSTD_getErrorName(r));
	}
	i->is_inside = r != 0;
	i->has_any |= r == 0;
	return (long)to.pos;
}

static long step_plain(struct inflate *i, void *out, size_t size)
{
	size_t n = i->len - i->at < size ? i->len - i->at : size;

	memcpy(out, i->in + i->at, n);
	i->at += n;
	return (long)n;
}

long inflate_read(struct inflate *i, void *out, size_t size, struct err *e)
{
	for (;;) {
		bool had_input;
		long n = fill(i, e);

		if (n < 0)
			return n;
		had_input = i->at < i->len;
		if (i->is_done) {
			i->at = i->len;
			if (!had_input)
				return 0;
			continue;
		}
		if (!had_input && !(i->kind != LAYER_TAR && i->is_inside)) {
			if (i->kind != LAYER_TAR && !i->has_any)
				return err_set(e, -EBADMSG, "compressed stream is empty");
			return 0;
		}
		n = i->kind == LAYER_GZIP ? step_gzip(i, out, size, e) :
			i->kind == LAYER_ZSTD ? step_zstd(i, out, size, e) : step_plain(i, out, size);
		if (n != 0)
			return n;
		if (!had_input && i->is_inside)
			return err_set(e, -EBADMSG, "compressed stream is cut short");
	}
}
