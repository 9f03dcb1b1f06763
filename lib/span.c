/* SPDX-License-Identifier: MIT */
/* Copies out of spans. Input is untrusted; never allocates. */
#include "span.h"

bool span_has_word(struct span a, const char *word)
{
	size_t begin = 0;

	for (size_t i = 0; i <= a.len; i++) {
		if (i < a.len && a.at[i] != ' ' && a.at[i] != '\n')
			continue;
		if (i > begin && span_is(span_of(a.at + begin, i - begin), word))
			return true;
		begin = i + 1;
	}
	return false;
}

bool span_copy(struct span a, char *out, size_t size)
{
	if (size == 0)
		return false;
	out[0] = '\0';
	if (a.len >= size || (a.len && memchr(a.at, '\0', a.len)))
		return false;
	if (a.len)
		memcpy(out, a.at, a.len);
	out[a.len] = '\0';
	return true;
}

void span_escape(struct span a, char *out, size_t size)
{
	static const char hex[] = "0123456789abcdef";
	size_t o = 0;

	if (size == 0)
		return;
	for (size_t i = 0; i < a.len; i++) {
		uint8_t c = a.at[i];
		bool is_plain = c >= 0x20 && c < 0x7f && c != '\\';

		if (o + (is_plain ? 1 : 4) >= size)
			break;
		if (is_plain) {
			out[o++] = (char)c;
			continue;
		}
		out[o++] = '\\';
		out[o++] = 'x';
		out[o++] = hex[c >> 4];
		out[o++] = hex[c & 15];
	}
	out[o] = '\0';
}
