/* SPDX-License-Identifier: MIT */
/* Input: the uncompressed bytes of an unchecked layer. Never allocates; runs inside the unpack jail. */
#include "tar_guard.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "config.h"

enum { SIZE_AT = 124, SIZE_LEN = 12, SUM_AT = 148, SUM_LEN = 8, TYPE_AT = 156 };
/* GNU's old sparse header: four parts, "more blocks follow", the whole size; a further block holds 21 parts. */
enum { SPARSE_AT = 386, SPARSE_LEN = 12, SPARSE_PARTS = 4, SPARSE_MORE_AT = 482, SPARSE_SIZE_AT = 483, MORE_PARTS = 21, MORE_MORE_AT = 504 };

/* Octal as tar writes it, or base-256 (GNU) where the top bit is set. false: neither, or beyond 2^62. */
static bool number(const uint8_t *at, size_t len, uint64_t *out)
{
	uint64_t v = 0;
	size_t i = 0;

	if (at[0] & 0x80) {
		v = at[0] & 0x7f;
		if (v & 0x40)
			return false;	/* negative */
		for (i = 1; i < len; i++) {
			if (v >> 54)
				return false;
			v = v << 8 | at[i];
		}
		*out = v;
		return true;
	}
	while (i < len && at[i] == ' ')
		i++;
	for (; i < len && at[i] >= '0' && at[i] <= '7'; i++)
		v = v << 3 | (uint64_t)(at[i] - '0');
	if (i < len && at[i] != '\0' && at[i] != ' ')
		return false;
	*out = v;
	return true;
}

static unsigned sum_of(const uint8_t *block)
{
	unsigned sum = 0;

	for (int i = 0; i < 512; i++)
		sum += i >= SUM_AT && i < SUM_AT + SUM_LEN ? ' ' : block[i];
	return sum;
}

static bool is_key(struct span record, const char *key, struct span *value)
{
	size_t len = strlen(key);

	if (record.len < len || memcmp(record.at, key, len) != 0)
		return false;
	*value = span_of(record.at + len, record.len - len);
	return true;
}

static int take_sparse(struct tar_guard *g, struct span record, struct err *e)
{
	const uint8_t *equals = memchr(record.at, '=', record.len);
	struct span key = span_of(record.at + 11, (size_t)(equals - record.at) - 11);
	struct span value = span_of(equals + 1, record.len - (size_t)(equals + 1 - record.at));
	int r;

	if (!g->is_sparse_next) {
		memset(&g->sparse, 0, offsetof(struct tar_sparse, part));
		g->is_sparse_next = true;
	}
	r = tar_sparse_record(&g->sparse, key, value, e);
	if (span_is(key, "name"))
		g->next.sparse_path = value;
	return r < 0 ? err_prefix(e, r, "entry %llu", (unsigned long long)g->entries + 1) : 0;
}

/* One "key=value" of a pax header. */
static int take_record(struct tar_guard *g, struct span record, struct err *e)
{
	unsigned long long n = g->entries + 1;
	struct tar_pax *p = &g->next;
	struct span value;

	if (!memchr(record.at, '=', record.len) || record.at[0] == '=')
		return err_set(e, -EBADMSG, "entry %llu: broken pax header", n);
	if (is_key(record, "SUN.holesdata", &value))
		return err_set(e, -ENOTSUP, "entry %llu: a sparse file as Solaris writes it: refused; make the layer with GNU tar", n);
	if (is_key(record, "GNU.sparse.", &value)) {
		if (memchr(record.at, '\0', record.len))
			return err_set(e, -EBADMSG, "entry %llu: a NUL in what says that it is sparse", n);
		return take_sparse(g, record, e);
	}
	if (is_key(record, "size=", &value)) {
		p->size = 0;
		for (size_t i = 0; i < value.len; i++) {
			if (value.at[i] < '0' || value.at[i] > '9')
				return err_set(e, -EBADMSG, "entry %llu: size in its pax header is no number", n);
			if (p->size >> 58)
				return err_set(e, -EFBIG, "entry %llu: size in its pax header is too large", n);
			p->size = p->size * 10 + (uint64_t)(value.at[i] - '0');
		}
		p->has_size = true;
	}
	if (is_key(record, "path=", &value))
		p->path = value;
	else if (is_key(record, "linkpath=", &value))
		p->linkpath = value;
	else
		return 0;
	return memchr(value.at, '\0', value.len) ? err_set(e, -EBADMSG, "entry %llu: a NUL inside its name", n) : 0;
}

/* "LEN key=value\n" records; LEN counts itself. ORIGINAL: the same bytes on their way to libarchive, NULL where part of them is gone by. */
static int read_pax(struct tar_guard *g, uint8_t *original, struct err *e)
{
	size_t at = 0;
	int r = 0;

	g->next.is_there = true;
	for (size_t i = 0; i < g->text_len; i++)
		g->next.is_odd |= g->text[i] & 0x80;
	while (r == 0 && at < g->text_len) {
		size_t len = 0, digits = at;
		struct span record, value;

		while (digits < g->text_len && g->text[digits] >= '0' && g->text[digits] <= '9' && len < TAR_PAX_MAX)
			len = len * 10 + (size_t)(g->text[digits++] - '0');
		if (digits == at || digits >= g->text_len || g->text[digits] != ' ' || len > g->text_len - at ||
		    len < digits - at + 3 || g->text[at + len - 1] != '\n')
			return err_set(e, -EBADMSG, "entry %llu: broken pax header", (unsigned long long)g->entries + 1);
		record = span_of(g->text + digits + 1, len - (digits - at) - 2);
		r = take_record(g, record, e);
		if (r == 0 && is_key(record, "GNU.sparse.", &value)) {
			if (!original)
				return err_set(e, -EBADMSG, "entry %llu: its pax header comes in pieces", (unsigned long long)g->entries + 1);
			original[digits + 1] = '_';	/* a key that libarchive does not know */
		}
		at += len;
	}
	if (r == 0 && g->next.sparse_path.at)
		g->next.path = g->next.sparse_path;
	return r;
}

/* A header that is about the entry behind it. */
static int special(struct tar_guard *g, char type, uint64_t size, struct err *e)
{
	unsigned long long n = g->entries + 1;

	if (type == 'L' || type == 'K') {
		if (size > TAR_LONG_NAME_MAX)
			return err_set(e, -EFBIG, "entry %llu: name of %llu bytes, at most %d", n, (unsigned long long)size,
				TAR_LONG_NAME_MAX);
	} else if (size > TAR_PAX_MAX) {
		return err_set(e, -EFBIG, "entry %llu: pax header of %llu bytes, at most %d", n, (unsigned long long)size, TAR_PAX_MAX);
	}
	if (type == 'x' || type == 'X') {
		if (g->next.is_there)
			return err_set(e, -EBADMSG, "entry %llu: two pax headers", n);
		g->text_len = (uint32_t)size;
		if (size)
			return 0;
	}
	g->skip = (size + 511) / 512 * 512;
	return 0;
}

static void seal(uint8_t *h)
{
	char sum[SUM_LEN];

	snprintf(sum, sizeof(sum), "%06o", sum_of(h));
	memcpy(h + SUM_AT, sum, SUM_LEN - 1);
	h[SUM_AT + SUM_LEN - 1] = ' ';
}

static int take_parts(struct tar_guard *g, const uint8_t *at, int count, struct err *e)
{
	int r = 0;

	for (int i = 0; r == 0 && i < count; i++, at += 2 * SPARSE_LEN) {
		uint64_t offset, len;

		if (at[0] == 0 && at[SPARSE_LEN] == 0)
			return 0;	/* GNU tar ends its list by zeros */
		if (!number(at, SPARSE_LEN, &offset) || !number(at + SPARSE_LEN, SPARSE_LEN, &len))
			r = err_set(e, -EBADMSG, "the map of a sparse file is broken");
		else
			r = tar_sparse_add(&g->sparse, offset, len, e);
	}
	return r < 0 ? err_prefix(e, r, "entry %llu", (unsigned long long)g->entries) : 0;
}

/* Type 'S' becomes an ordinary file of the stored bytes. */
static int old_sparse(struct tar_guard *g, uint8_t *h, struct err *e)
{
	int r;

	if (g->sparse.is_there)
		return err_set(e, -EBADMSG, "entry %llu: sparse in two ways", (unsigned long long)g->entries);
	memset(&g->sparse, 0, offsetof(struct tar_sparse, part));
	g->sparse.is_there = g->sparse.has_size = true;
	if (!number(h + SPARSE_SIZE_AT, SPARSE_LEN, &g->sparse.size) || g->sparse.size >> 62)
		return err_set(e, -EBADMSG, "entry %llu: the map of a sparse file is broken", (unsigned long long)g->entries);
	r = take_parts(g, h + SPARSE_AT, SPARSE_PARTS, e);
	g->is_extended = h[SPARSE_MORE_AT];
	h[TYPE_AT] = '0';
	memset(h + SPARSE_AT, 0, SPARSE_SIZE_AT + SPARSE_LEN - SPARSE_AT);
	seal(h);
	return r;
}

/* H may be changed where IN_PLACE. */
static int entry(struct tar_guard *g, uint8_t *h, bool in_place, char type, uint64_t size, struct err *e)
{
	unsigned long long n = ++g->entries;

	if (n > CONFIG_ENTRIES_MAX)
		return err_set(e, -EFBIG, "more than %d entries", CONFIG_ENTRIES_MAX);
	if (type && !strchr("01234567S", type))
		return err_set(e, -ENOTSUP, "entry %llu: tar type 0x%02x is refused", n, (unsigned char)type);
	g->pax = g->next;
	g->next = (struct tar_pax){ .is_there = false };
	if (!g->is_sparse_next)
		g->sparse.is_there = false;
	g->is_sparse_next = false;
	if (type == 'S') {
		int r = in_place ? old_sparse(g, h, e) : err_set(e, -EBADMSG, "entry %llu: its header comes in pieces", n);

		if (r < 0)
			return r;
		type = '0';
	}
	if (g->sparse.is_there && ((type && type != '0') || !g->sparse.has_size))
		return err_set(e, -EBADMSG, "entry %llu: a sparse file without a size, or no file", n);
	if (type == '0' || type == '7' || !type) {
		g->size = g->pax.has_size ? g->pax.size : size;
	} else {
		if (g->pax.has_size && g->pax.size)
			return err_set(e, -EBADMSG, "entry %llu: content for something that has none", n);
		if (type == '1' && size) {
			if (!in_place)
				return err_set(e, -EBADMSG, "entry %llu: hard link with content", n);
			memcpy(h + SIZE_AT, "00000000000", SIZE_LEN);
			seal(h);
		}
		g->size = 0;
	}
	g->type = type;
	g->skip = (g->size + 511) / 512 * 512;
	return 0;
}

/* *IS_ENTRY: an entry's header, where the caller has to stop. */
static int read_header(struct tar_guard *g, uint8_t *h, bool in_place, bool *is_entry, struct err *e)
{
	static const uint8_t zero[512];
	char type = (char)h[TYPE_AT];
	uint64_t size, sum;

	if (memcmp(h, zero, sizeof(zero)) == 0) {
		g->is_end = true;
		return 0;
	}
	if (!number(h + SUM_AT, SUM_LEN, &sum) || sum != sum_of(h) || !number(h + SIZE_AT, SIZE_LEN, &size))
		return err_set(e, -EBADMSG, "entry %llu: not a tar header (checksum or size field is wrong)",
			(unsigned long long)g->entries + 1);
	if (type && strchr("xXgLK", type))
		return special(g, type, size, e);
	*is_entry = true;
	return entry(g, h, in_place, type, size, e);
}

size_t tar_guard_wants(const struct tar_guard *g)
{
	return g->text_len && !g->fill ? (g->text_len + 511u) / 512 * 512 : 0;
}

/* A block of an old sparse map, which libarchive is not shown. */
static int read_extension(struct tar_guard *g, const uint8_t *block, struct err *e)
{
	g->is_extended = block[MORE_MORE_AT];
	return take_parts(g, block, MORE_PARTS, e);
}

/* A block, or a pax header, is whole in block[] or text[]; where it came in one piece, ORIGINAL is what libarchive gets to see. */
static int take_whole(struct tar_guard *g, uint8_t *original, bool *is_stop, struct err *e)
{
	int r;

	if (!g->text_len)
		return g->is_extended ? read_extension(g, g->block, e) : read_header(g, g->block, false, is_stop, e);
	r = read_pax(g, original, e);
	g->text_len = 0;
	return r;
}

int tar_guard_feed(struct tar_guard *g, uint8_t *at, size_t len, size_t *used, struct err *e)
{
	bool is_stop = false;
	size_t done = 0;
	int r = 0;

	g->is_withheld = g->is_extended;
	while (r == 0 && done < len && !is_stop && !g->is_end) {
		size_t left = len - done, want, n;

		if (g->skip && !g->is_extended) {
			n = g->skip < left ? (size_t)g->skip : left;
			g->skip -= n;
			done += n;
			if (g->skip == 0)
				break;
			continue;
		}
		if (!g->text_len && !g->fill && left >= 512) {
			r = g->is_extended ? read_extension(g, at + done, e) : read_header(g, at + done, true, &is_stop, e);
			is_stop |= g->text_len > 0 || g->is_withheld;
			done += 512;
			continue;
		}
		want = g->text_len ? (g->text_len + 511u) / 512 * 512 : 512;
		n = want - g->fill < left ? want - g->fill : left;
		memcpy((g->text_len ? g->text : g->block) + g->fill, at + done, n);
		g->fill += (uint32_t)n;
		done += n;
		if (g->fill < want)
			break;
		g->fill = 0;
		r = take_whole(g, n == want ? at + done - want : NULL, &is_stop, e);
		is_stop |= g->is_withheld;
	}
	*used = g->is_end ? len : done;
	return r;
}
