/* SPDX-License-Identifier: MIT */
/* Input: the uncompressed bytes of an unchecked layer. Never allocates; runs inside the unpack jail. */
#include "tar_guard.h"

#include <errno.h>
#include <string.h>

#include "config.h"
#include "span.h"

enum { NAME_LEN = 100, SIZE_AT = 124, SIZE_LEN = 12, SUM_AT = 148, SUM_LEN = 8, TYPE_AT = 156 };

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

static bool is_sum_right(const uint8_t *block)
{
	uint64_t sum = 0, claimed;

	for (int i = 0; i < 512; i++)
		sum += i >= SUM_AT && i < SUM_AT + SUM_LEN ? ' ' : block[i];
	return number(block + SUM_AT, SUM_LEN, &claimed) && claimed == sum;
}

/* Looks through "LEN key=value\n" records for the ones that change how the stream is read. */
static int read_pax(struct tar_guard *g, struct err *e)
{
	size_t at = 0;

	while (at < g->text_len) {
		size_t len = 0, digits = at;
		struct span rest;

		while (digits < g->text_len && g->text[digits] >= '0' && g->text[digits] <= '9' && len < TAR_PAX_MAX)
			len = len * 10 + (size_t)(g->text[digits++] - '0');
		if (digits == at || digits >= g->text_len || g->text[digits] != ' ' || len <= digits - at + 1 ||
		    len > g->text_len - at)
			return err_set(e, -EBADMSG, "entry %llu: broken pax header", (unsigned long long)g->entries);
		rest = span_of(g->text + digits + 1, len - (digits - at) - 1);
		if (rest.len > 11 && memcmp(rest.at, "GNU.sparse.", 11) == 0)
			return err_set(e, -ENOTSUP, "entry %llu: GNU sparse files are refused: make the layer without --sparse",
				(unsigned long long)g->entries);
		if (rest.len > 5 && memcmp(rest.at, "size=", 5) == 0) {
			uint64_t v = 0;

			for (size_t i = 5; i < rest.len && rest.at[i] >= '0' && rest.at[i] <= '9'; i++) {
				if (v >> 58)
					return err_set(e, -EFBIG, "entry %llu: size in pax header too large",
						(unsigned long long)g->entries);
				v = v * 10 + (uint64_t)(rest.at[i] - '0');
			}
			g->pax_size = v;
			g->has_pax_size = true;
		}
		at += len;
	}
	return 0;
}

static int read_header(struct tar_guard *g, struct err *e)
{
	static const uint8_t zero[512];
	char type = (char)g->block[TYPE_AT];
	uint64_t size;

	if (memcmp(g->block, zero, sizeof(zero)) == 0) {
		g->is_end = true;
		return 0;
	}
	if (!is_sum_right(g->block) || !number(g->block + SIZE_AT, SIZE_LEN, &size))
		return err_set(e, -EBADMSG, "entry %llu: not a tar header (checksum or size field is wrong)",
			(unsigned long long)g->entries);
	if (type == 'x' || type == 'g') {
		if (size > TAR_PAX_MAX)
			return err_set(e, -EFBIG, "entry %llu: pax header of %llu bytes, at most %d",
				(unsigned long long)g->entries, (unsigned long long)size, TAR_PAX_MAX);
		g->text_len = type == 'x' ? (uint32_t)size : 0;
		g->skip = type == 'x' ? 0 : (size + 511) / 512 * 512;
		return 0;
	}
	if ((type == 'L' || type == 'K') && size > TAR_LONG_NAME_MAX)
		return err_set(e, -EFBIG, "entry %llu: name of %llu bytes, at most %d", (unsigned long long)g->entries,
			(unsigned long long)size, TAR_LONG_NAME_MAX);
	if (type == 'S' || type == 'M' || type == 'V' || type == 'D' || type == 'N')
		return err_set(e, -ENOTSUP, "entry %llu: tar type '%c' is refused", (unsigned long long)g->entries, type);
	if (type != 'L' && type != 'K') {
		if (++g->entries > CONFIG_ENTRIES_MAX)
			return err_set(e, -EFBIG, "more than %d entries", CONFIG_ENTRIES_MAX);
		if (g->has_pax_size)
			size = g->pax_size;
		g->has_pax_size = false;
		/* Links, devices and directories have no content, whatever their size says (libarchive reads it so, too) */
		if (type == '2' || type == '3' || type == '4' || type == '5' || type == '6')
			size = 0;
	}
	g->skip = (size + 511) / 512 * 512;
	return 0;
}

int tar_guard_feed(struct tar_guard *g, const uint8_t *at, size_t len, struct err *e)
{
	while (len && !g->is_end) {
		size_t want, n;
		int r;

		if (g->skip) {
			n = g->skip < len ? (size_t)g->skip : len;
			g->skip -= n;
			at += n;
			len -= n;
			continue;
		}
		want = g->text_len ? (g->text_len + 511u) / 512 * 512 : 512;
		n = want - g->fill < len ? want - g->fill : len;
		memcpy((g->text_len ? g->text : g->block) + g->fill, at, n);
		g->fill += (uint32_t)n;
		at += n;
		len -= n;
		if (g->fill < want)
			return 0;
		g->fill = 0;
		if (g->text_len) {
			r = read_pax(g, e);
			g->text_len = 0;
		} else {
			r = read_header(g, e);
		}
		if (r < 0)
			return r;
	}
	return 0;
}
