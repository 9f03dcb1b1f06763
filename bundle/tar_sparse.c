/* SPDX-License-Identifier: MIT */
/* Input: unchecked bytes of a layer. Never allocates; runs inside the unpack jail. */
#include "tar_sparse.h"

#include <errno.h>
#include <string.h>

enum { BLOCK = 512 };

static int broken(struct err *e)
{
	return err_set(e, -EBADMSG, "the map of a sparse file is broken");
}

static int decimal(struct span s, uint64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] < '0' || s.at[i] > '9' || *out >> 58)
			return -EBADMSG;
		*out = *out * 10 + (uint64_t)(s.at[i] - '0');
	}
	return s.len ? 0 : -EBADMSG;
}

int tar_sparse_add(struct tar_sparse *s, uint64_t at, uint64_t len, struct err *e)
{
	const struct tar_part *last = s->count ? &s->part[s->count - 1] : NULL;

	if (at >> 62 || len >> 62 || (last && at < last->at + last->len) || (s->has_size && at + len > s->size))
		return broken(e);
	if (s->count == CONFIG_SPARSE_PARTS_MAX)
		return err_set(e, -EFBIG, "a sparse file of more than %d parts", CONFIG_SPARSE_PARTS_MAX);
	s->part[s->count++] = (struct tar_part){ at, len };
	s->stored += len;
	return 0;
}

/* 0.1: "offset,length,offset,length..." */
static int take_list(struct tar_sparse *s, struct span list, struct err *e)
{
	uint64_t pair[2];
	int n = 0, r = 0;

	while (r == 0 && list.len) {
		const uint8_t *comma = memchr(list.at, ',', list.len);
		size_t len = comma ? (size_t)(comma - list.at) : list.len, skip = len + (comma ? 1 : 0);

		if (decimal(span_of(list.at, len), &pair[n]) < 0)
			return broken(e);
		n = !n;
		if (n == 0)
			r = tar_sparse_add(s, pair[0], pair[1], e);
		list = span_of(list.at + skip, list.len - skip);
	}
	return r == 0 && n ? broken(e) : r;
}

int tar_sparse_record(struct tar_sparse *s, struct span key, struct span value, struct err *e)
{
	uint64_t n = 0;

	s->is_there = true;
	if (span_is(key, "name"))
		return 0;	/* the guard's business */
	if (span_is(key, "map"))
		return take_list(s, value, e);
	if (decimal(value, &n) < 0)
		return broken(e);
	if (span_is(key, "size") || span_is(key, "realsize")) {
		s->size = n;
		s->has_size = true;
	} else if (span_is(key, "major")) {
		if (n > 1)
			return err_set(e, -ENOTSUP, "a sparse file of a format later than 1.0: refused");
		s->is_inside = n == 1;
	} else if (span_is(key, "offset")) {
		s->offset = n;
		s->has_offset = true;
	} else if (span_is(key, "numbytes")) {
		if (!s->has_offset)
			return broken(e);
		s->has_offset = false;
		return tar_sparse_add(s, s->offset, n, e);
	}
	return 0;	/* minor, numblocks: what they say is seen from the rest */
}

/* A number of the map is whole. */
static int take_number(struct tar_sparse *s, struct err *e)
{
	uint64_t n = s->number;

	s->number = 0;
	s->has_digit = false;
	if (!s->has_count) {
		if (n > CONFIG_SPARSE_PARTS_MAX)
			return err_set(e, -EFBIG, "a sparse file of more than %d parts", CONFIG_SPARSE_PARTS_MAX);
		s->has_count = true;
		s->numbers_left = (uint32_t)n * 2;
		return 0;
	}
	if (s->numbers_left-- % 2 == 0) {
		s->offset = n;
		return 0;
	}
	return tar_sparse_add(s, s->offset, n, e);
}

int tar_sparse_map(struct tar_sparse *s, const uint8_t *at, size_t len, size_t *used, struct err *e)
{
	size_t i = 0;
	int r = 0;

	while (r == 0 && i < len && !s->is_map_done) {
		uint8_t c = at[i++];

		s->map_bytes++;
		if (s->has_count && s->numbers_left == 0) {
			/* padding to the block's end */
		} else if (c >= '0' && c <= '9' && s->number >> 58 == 0) {
			s->number = s->number * 10 + (uint64_t)(c - '0');
			s->has_digit = true;
		} else if (c == '\n' && s->has_digit) {
			r = take_number(s, e);
		} else {
			r = broken(e);
		}
		s->is_map_done = s->has_count && s->numbers_left == 0 && s->map_bytes % BLOCK == 0;
	}
	*used = i;
	return r;
}
