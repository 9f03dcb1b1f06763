/* SPDX-License-Identifier: MIT */
/* Input: the uncompressed bytes of an unchecked layer. Never allocates; runs inside the unpack jail. */
#include "tar_guard.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config.h"

enum { SIZE_AT = 124, SIZE_LEN = 12, SUM_AT = 148, SUM_LEN = 8, TYPE_AT = 156 };

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

/* One "key=value" of a pax header. */
static int take_record(struct tar_guard *g, struct span record, struct err *e)
{
	unsigned long long n = g->entries + 1;
	struct tar_pax *p = &g->next;
	struct span value;

	if (!memchr(record.at, '=', record.len) || record.at[0] == '=')
		return err_set(e, -EBADMSG, "entry %llu: broken pax header", n);
	if (is_key(record, "GNU.sparse", &value) || is_key(record, "SUN.holesdata", &value))
		return err_set(e, -ENOTSUP, "entry %llu: sparse files are refused: make the layer without --sparse", n);
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

/* "LEN key=value\n" records; LEN counts itself. */
static int read_pax(struct tar_guard *g, struct err *e)
{
	size_t at = 0;
	int r = 0;

	g->next.is_there = true;
	for (size_t i = 0; i < g->text_len; i++)
		g->next.is_odd |= g->text[i] & 0x80;
	while (r == 0 && at < g->text_len) {
		size_t len = 0, digits = at;

		while (digits < g->text_len && g->text[digits] >= '0' && g->text[digits] <= '9' && len < TAR_PAX_MAX)
			len = len * 10 + (size_t)(g->text[digits++] - '0');
		if (digits == at || digits >= g->text_len || g->text[digits] != ' ' || len > g->text_len - at ||
		    len < digits - at + 3 || g->text[at + len - 1] != '\n')
			return err_set(e, -EBADMSG, "entry %llu: broken pax header", (unsigned long long)g->entries + 1);
		r = take_record(g, span_of(g->text + digits + 1, len - (digits - at) - 2), e);
		at += len;
	}
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

/* H may be changed where IN_PLACE. */
static int entry(struct tar_guard *g, uint8_t *h, bool in_place, char type, uint64_t size, struct err *e)
{
	unsigned long long n = ++g->entries;

	if (n > CONFIG_ENTRIES_MAX)
		return err_set(e, -EFBIG, "more than %d entries", CONFIG_ENTRIES_MAX);
	if (!type || !strchr("01234567", type))
		if (type)
			return err_set(e, -ENOTSUP, "entry %llu: tar type 0x%02x is refused", n, (unsigned char)type);
	g->pax = g->next;
	g->next = (struct tar_pax){ .is_there = false };
	if (type == '0' || type == '7' || !type) {
		g->size = g->pax.has_size ? g->pax.size : size;
	} else {
		if (g->pax.has_size && g->pax.size)
			return err_set(e, -EBADMSG, "entry %llu: content for something that has none", n);
		if (type == '1' && size) {
			char sum[SUM_LEN];

			if (!in_place)
				return err_set(e, -EBADMSG, "entry %llu: hard link with content", n);
			memcpy(h + SIZE_AT, "00000000000", SIZE_LEN);
			snprintf(sum, sizeof(sum), "%06o", sum_of(h));
			memcpy(h + SUM_AT, sum, SUM_LEN - 1);
			h[SUM_AT + SUM_LEN - 1] = ' ';
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

int tar_guard_feed(struct tar_guard *g, uint8_t *at, size_t len, size_t *used, struct err *e)
{
	bool is_entry = false;
	size_t done = 0;
	int r = 0;

	while (r == 0 && done < len && !is_entry && !g->is_end) {
		size_t left = len - done, want, n;

		if (g->skip) {
			n = g->skip < left ? (size_t)g->skip : left;
			g->skip -= n;
			done += n;
			if (g->skip == 0)
				break;
			continue;
		}
		if (!g->text_len && !g->fill && left >= 512) {
			r = read_header(g, at + done, true, &is_entry, e);
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
		if (g->text_len) {
			r = read_pax(g, e);
			g->text_len = 0;
		} else {
			r = read_header(g, g->block, false, &is_entry, e);
		}
	}
	*used = g->is_end ? len : done;
	return r;
}
