/* SPDX-License-Identifier: MIT */
/* The values of unit files: words, truth, numbers, sizes, time spans. Text comes from quadlet.c; nothing here allocates. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "quadlet.h"

static int digit(char c, unsigned base)
{
	int n = isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : 99;

	return n < (int)base ? n : -1;
}

/* COUNT digits behind *AT as one byte or, above 0x7f with \u, as UTF-8. */
static int number_escape(const char **at, unsigned base, unsigned count, char *out)
{
	uint32_t n = 0;
	int len = 0;

	for (unsigned i = 0; i < count; i++) {
		int d = digit((*at)[0], base);

		if (d < 0)
			return -EBADMSG;
		n = n * base + (uint32_t)d;
		(*at)++;
	}
	if (n == 0 || n > 0x10ffff || (count < 4 && n > 0xff) || (n >= 0xd800 && n < 0xe000))
		return -EBADMSG;
	if (n < 0x80 || count < 4) {
		out[len++] = (char)n;
	} else if (n < 0x800) {
		out[len++] = (char)(0xc0 | n >> 6);
		out[len++] = (char)(0x80 | (n & 0x3f));
	} else {
		if (n >= 0x10000) {
			out[len++] = (char)(0xf0 | n >> 18);
			out[len++] = (char)(0x80 | (n >> 12 & 0x3f));
		} else {
			out[len++] = (char)(0xe0 | n >> 12);
		}
		out[len++] = (char)(0x80 | (n >> 6 & 0x3f));
		out[len++] = (char)(0x80 | (n & 0x3f));
	}
	return len;
}

/* *AT is behind the backslash. Bytes written to OUT (at most 4), or -EBADMSG. */
static int escape(const char **at, char *out)
{
	static const char from[] = "abfnrtv\\\"'s", to[] = "\a\b\f\n\r\t\v\\\"' ";
	char c = *(*at)++;
	const char *p = c ? strchr(from, c) : NULL;

	if (p) {
		out[0] = to[p - from];
		return 1;
	}
	if (c == 'x')
		return number_escape(at, 16, 2, out);
	if (c == 'u')
		return number_escape(at, 16, 4, out);
	if (c == 'U')
		return number_escape(at, 16, 8, out);
	if (c >= '0' && c <= '7') {
		(*at)--;
		return number_escape(at, 8, 3, out);
	}
	return -EBADMSG;
}

int quadlet_word(const char **at, char *out, size_t size)
{
	size_t len = 0;
	char quote = 0;

	*at += strspn(*at, " \t\r");
	if (!**at)
		return 0;
	for (;;) {
		char c = **at, bytes[4] = { c };
		int n = 1;

		if (!c && quote)
			return -EBADMSG;
		if (!c || (!quote && strchr(" \t\r", c)))
			break;
		(*at)++;
		if (quote ? c == quote : c == '"' || c == '\'') {
			quote = quote ? 0 : c;
			continue;
		}
		if (c == '\\')
			n = escape(at, bytes);
		if (n < 0)
			return n;
		if ((size_t)n >= size - len)
			return -EFBIG;
		memcpy(out + len, bytes, (size_t)n);
		len += (size_t)n;
	}
	out[len] = '\0';
	return 1;
}

bool quadlet_bool(const char *text, bool *out)
{
	static const char *const yes[] = { "1", "yes", "y", "true", "t", "on" }, *const no[] = { "0", "no", "n", "false", "f", "off" };

	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++) {
		if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
			*out = strcasecmp(text, yes[i]) == 0;
			return true;
		}
	}
	return false;
}

/* Digits at *AT, not more than MAX. */
static bool take_number(const char **at, uint64_t max, uint64_t *out)
{
	uint64_t n = 0;

	if (!isdigit((unsigned char)**at))
		return false;
	for (; isdigit((unsigned char)**at); (*at)++) {
		uint64_t d = (uint64_t)(**at - '0');

		if (n > (max - d) / 10)
			return false;
		n = n * 10 + d;
	}
	*out = n;
	return true;
}

bool quadlet_u64(const char *text, uint64_t max, uint64_t *out)
{
	uint64_t n;

	if (!take_number(&text, max, &n) || *text)
		return false;
	*out = n;
	return true;
}

bool quadlet_size(const char *text, uint64_t *out)
{
	static const char units[] = "bkmgt";
	uint64_t n;
	const char *p;

	if (!take_number(&text, 1ull << 50, &n))
		return false;
	if (*text) {
		p = strchr(units, tolower((unsigned char)*text));
		/* 64m, 64mb, 64MiB are all written; 1024 is the base of each. */
		if (!p || (text[1] && strcasecmp(text + 1, "b") != 0 && strcasecmp(text + 1, "ib") != 0))
			return false;
		if (n > (uint64_t)INT64_MAX >> 10 * (p - units))
			return false;
		n <<= 10 * (p - units);
	}
	*out = n;
	return true;
}

static bool time_unit(const char **at, uint64_t *ms)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {
		{ "ms", 1 }, { "msec", 1 }, { "s", 1000 }, { "sec", 1000 }, { "second", 1000 }, { "seconds", 1000 },
		{ "m", 60000 }, { "min", 60000 }, { "minute", 60000 }, { "minutes", 60000 }, { "h", 3600000 }, { "hr", 3600000 },
		{ "hour", 3600000 }, { "hours", 3600000 }, { "d", 86400000 }, { "day", 86400000 }, { "days", 86400000 },
	};
	size_t len = 0;

	*at += strspn(*at, " ");
	while (isalpha((unsigned char)(*at)[len]))
		len++;
	if (len == 0) {
		*ms = 1000;
		return true;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (strlen(units[i].name) == len && strncmp(*at, units[i].name, len) == 0) {
			*ms = units[i].ms;
			*at += len;
			return true;
		}
	return false;
}

bool quadlet_ms(const char *text, uint32_t *out)
{
	uint64_t total = 0;

	if (strcmp(text, "infinity") == 0) {
		*out = UINT32_MAX;
		return true;
	}
	do {
		uint64_t n, tenths = 0, unit;

		if (!take_number(&text, UINT32_MAX, &n))
			return false;
		if (*text == '.' && isdigit((unsigned char)text[1])) {
			tenths = (uint64_t)(text[1] - '0');
			text += 2;
		}
		if (!time_unit(&text, &unit))
			return false;
		total += n * unit + tenths * unit / 10;
		if (total >= UINT32_MAX)
			return false;
		text += strspn(text, " ");
	} while (*text);
	*out = (uint32_t)total;
	return true;
}

unsigned quadlet_distance(const char *a, const char *b)
{
	unsigned row[64];
	size_t la = strlen(a), lb = strlen(b);

	if (la >= 64 || lb >= 64)
		return 99;
	for (size_t k = 0; k <= lb; k++)
		row[k] = (unsigned)k;
	for (size_t i = 1; i <= la; i++) {
		unsigned corner = row[0];

		row[0] = (unsigned)i;
		for (size_t k = 1; k <= lb; k++) {
			unsigned change = corner + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[k - 1]));
			unsigned insert = row[k - 1] + 1, drop = row[k] + 1;

			corner = row[k];
			row[k] = change < insert ? (change < drop ? change : drop) : (insert < drop ? insert : drop);
		}
	}
	return row[lb];
}
