/* SPDX-License-Identifier: MIT */
/*
 * Header and trailer of a member here, what is between them by ISA-L's igzip, whose own reader of headers forgets what it knew of one that comes in two
 * pieces. Input is hostile; runs only inside the inflate jail.
 */
#include "gzip.h"

#include <errno.h>
#include <igzip_lib.h>
#include <stdlib.h>

#include "crc.h"

enum { FLAG_HCRC = 2, FLAG_EXTRA = 4, FLAG_NAME = 8, FLAG_COMMENT = 16, FLAGS_RESERVED = 0xe0, DEFLATE = 8, FIXED = 10, TRAILER = 8 };

/* RFC 1952, 2.3, in their order. */
enum part { PART_FIXED, PART_EXTRA_LEN, PART_EXTRA, PART_NAME, PART_COMMENT, PART_HCRC, PART_BODY, PART_TRAILER };

struct gzip {
	enum part part;
	size_t left;		/* bytes of this part */
	size_t have;		/* bytes in text[] */
	uint8_t text[FIXED];	/* the fixed part, a length, a checksum, the trailer */
	uint8_t flags;
	uint32_t header_crc, crc, size;
	struct inflate_state state;
};

/* What igzip_inflate.c asks for, for wrappers that it reads itself. It is given none: none of these is called. */
uint32_t crc32_gzip_refl(uint32_t crc, const unsigned char *at, uint64_t len)
{
	return crc;
}

uint32_t isal_adler32_bam1(uint32_t adler, const unsigned char *at, uint64_t len)
{
	return adler;
}

void isal_gzip_header_init(struct isal_gzip_header *h)
{
}

void isal_zlib_header_init(struct isal_zlib_header *h)
{
}

static void begin(struct gzip *g, enum part part, size_t left)
{
	g->part = part;
	g->left = left;
	g->have = 0;
}

static void begin_member(struct gzip *g)
{
	begin(g, PART_FIXED, FIXED);
	g->header_crc = g->crc = g->size = 0;
	isal_inflate_init(&g->state);	/* crc_flag 0: deflate alone */
}

struct gzip *gzip_new(void)
{
	struct gzip *g = calloc(1, sizeof(*g));

	if (g)
		begin_member(g);
	return g;
}

void gzip_free(struct gzip *g)
{
	free(g);
}

static uint32_t little(const uint8_t *at, size_t len)
{
	uint32_t v = 0;

	while (len--)
		v = v << 8 | at[len];
	return v;
}

/* To the first part behind PART that this header has. */
static void next_part(struct gzip *g, enum part part)
{
	if (part < PART_EXTRA_LEN && (g->flags & FLAG_EXTRA))
		begin(g, PART_EXTRA_LEN, 2);
	else if (part < PART_NAME && (g->flags & FLAG_NAME))
		begin(g, PART_NAME, 1);
	else if (part < PART_COMMENT && (g->flags & FLAG_COMMENT))
		begin(g, PART_COMMENT, 1);
	else if (part < PART_HCRC && (g->flags & FLAG_HCRC))
		begin(g, PART_HCRC, 2);
	else
		begin(g, PART_BODY, 0);
}

/* A part of the header is whole. */
static int header_part(struct gzip *g, struct err *e)
{
	const uint8_t *t = g->text;

	switch (g->part) {
	case PART_FIXED:
		if (t[0] != 0x1f || t[1] != 0x8b)
			return err_set(e, -EBADMSG, "gzip stream is broken: incorrect header");
		if (t[2] != DEFLATE || (t[3] & FLAGS_RESERVED))
			return err_set(e, -EBADMSG, "gzip stream is broken: unknown method or flags");
		g->flags = t[3];
		break;
	case PART_EXTRA_LEN:
		if (little(t, 2)) {
			begin(g, PART_EXTRA, little(t, 2));
			return 0;
		}
		break;
	case PART_HCRC:
		if (little(t, 2) != (g->header_crc & 0xffff))
			return err_set(e, -EBADMSG, "gzip stream is broken: incorrect header checksum");
		break;
	default:
		break;
	}
	next_part(g, g->part);
	return 0;
}

/* Is the part whole with this byte of it? */
static bool is_last(struct gzip *g, uint8_t byte)
{
	if (g->part == PART_NAME || g->part == PART_COMMENT)
		return byte == 0;
	if (g->part != PART_EXTRA)
		g->text[g->have++] = byte;
	return --g->left == 0;
}

/* One byte of a header or trailer. */
static int take(struct gzip *g, uint8_t byte, bool *is_end, struct err *e)
{
	if (g->part < PART_HCRC)
		g->header_crc = crc_add(g->header_crc, &byte, 1);
	if (!is_last(g, byte))
		return 0;
	if (g->part != PART_TRAILER)
		return header_part(g, e);
	if (little(g->text, 4) != g->crc)
		return err_set(e, -EBADMSG, "gzip stream is broken: incorrect data check");
	if (little(g->text + 4, 4) != g->size)
		return err_set(e, -EBADMSG, "gzip stream is broken: incorrect length check");
	begin_member(g);
	*is_end = true;
	return 0;
}

static const char *reason(int code)
{
	return code == ISAL_INVALID_LOOKBACK ? "invalid distance" : code == ISAL_INVALID_SYMBOL ? "invalid code" : "invalid block";
}

static long body(struct gzip *g, const uint8_t *in, size_t len, size_t *used, uint8_t *out, size_t size, bool *is_end, struct err *e)
{
	struct inflate_state *s = &g->state;
	uint64_t behind;
	int count, r;
	size_t n;

	s->next_in = (uint8_t *)in;
	s->avail_in = (uint32_t)len;
	s->next_out = out;
	s->avail_out = (uint32_t)size;
	r = isal_inflate(s);
	if (r < 0)	/* what it says of its input then is wrong */
		return err_set(e, -EBADMSG, "gzip stream is broken: %s", reason(r));
	*used += len - s->avail_in;
	n = size - s->avail_out;
	g->crc = crc_add(g->crc, out, n);
	g->size += (uint32_t)n;
	if (s->block_state != ISAL_BLOCK_FINISH)
		return (long)n;
	/* It may hold as many as eight bytes behind the last block: of the trailer, which has eight. */
	behind = s->read_in >> s->read_in_length % 8;
	count = s->read_in_length / 8;
	begin(g, PART_TRAILER, TRAILER);
	for (r = 0; r == 0 && count > 0; count--, behind >>= 8)
		r = take(g, (uint8_t)behind, is_end, e);
	return r < 0 ? r : (long)n;
}

long gzip_step(struct gzip *g, const uint8_t *in, size_t len, size_t *used, void *out, size_t size, bool *is_end, struct err *e)
{
	int r = 0;

	*used = 0;
	*is_end = false;
	while (r == 0 && !*is_end && g->part != PART_BODY && *used < len)
		r = take(g, in[(*used)++], is_end, e);
	if (r < 0 || *is_end || g->part != PART_BODY)
		return r;
	return body(g, in + *used, len - *used, used, out, size, is_end, e);
}
