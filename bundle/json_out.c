/* SPDX-License-Identifier: MIT */
/* The writer of json_out.h. Texts come from unit files and images: every byte is checked and escaped. */
#include "json_out.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(struct json_out *o, const char *bytes, size_t len)
{
	if (o->failed)
		return;
	if (len + 1 > o->room - o->len) {
		size_t room = (o->room + len + 1) * 2;
		char *more = realloc(o->at, room);

		if (!more) {
			o->failed = -ENOMEM;
			return;
		}
		o->at = more;
		o->room = room;
	}
	memcpy(o->at + o->len, bytes, len);
	o->len += len;
	o->at[o->len] = '\0';
}

static void new_line(struct json_out *o)
{
	put(o, "\n", 1);
	for (unsigned i = 0; i < o->depth; i++)
		put(o, "  ", 2);
}

/* Bytes of the UTF-8 character at S (RFC 3629: shortest form, no surrogates), or 0. */
static size_t character(const unsigned char *s)
{
	size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return len;
}

static void quoted(struct json_out *o, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	put(o, "\"", 1);
	while (*s) {
		char escape[8];
		size_t len = character(s);

		if (len == 0) {
			o->failed = o->failed ? o->failed : -EILSEQ;
			return;
		}
		if (*s == '"' || *s == '\\')
			put(o, "\\", 1);
		if (*s < 0x20 || *s == 0x7f) {
			snprintf(escape, sizeof(escape), "\\u%04x", *s);
			put(o, escape, 6);
		} else {
			put(o, (const char *)s, len);
		}
		s += len;
	}
	put(o, "\"", 1);
}

static void element(struct json_out *o, const char *key)
{
	if (o->has_element)
		put(o, ",", 1);
	if (o->depth)
		new_line(o);
	if (key) {
		quoted(o, key);
		put(o, ": ", 2);
	}
	o->has_element = true;
}

static void open_bracket(struct json_out *o, const char *key, const char *bracket)
{
	element(o, key);
	put(o, bracket, 1);
	o->depth++;
	o->has_element = false;
}

void json_out_object(struct json_out *o, const char *key)
{
	open_bracket(o, key, "{");
}

void json_out_array(struct json_out *o, const char *key)
{
	open_bracket(o, key, "[");
}

void json_out_close(struct json_out *o, char bracket)
{
	o->depth--;
	if (o->has_element)
		new_line(o);
	put(o, &bracket, 1);
	o->has_element = true;
}

void json_out_text(struct json_out *o, const char *key, const char *text)
{
	element(o, key);
	quoted(o, text);
}

void json_out_raw(struct json_out *o, const char *key, const char *json, size_t len)
{
	element(o, key);
	put(o, json, len);
}

void json_out_uint(struct json_out *o, const char *key, uint64_t n)
{
	char digits[24];

	json_out_raw(o, key, digits, (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n));
}

void json_out_int(struct json_out *o, const char *key, int64_t n)
{
	char digits[24];

	json_out_raw(o, key, digits, (size_t)snprintf(digits, sizeof(digits), "%lld", (long long)n));
}

void json_out_bool(struct json_out *o, const char *key, bool value)
{
	json_out_raw(o, key, value ? "true" : "false", value ? 4 : 5);
}

void json_out_texts(struct json_out *o, const char *key, const char *const *texts)
{
	json_out_array(o, key);
	for (; *texts; texts++)
		json_out_text(o, NULL, *texts);
	json_out_close(o, ']');
}

int json_out_end(struct json_out *o, char **text, size_t *len)
{
	int r;

	put(o, "\n", 1);
	r = o->failed;
	*text = r == 0 ? o->at : NULL;
	*len = o->len;
	if (r < 0)
		free(o->at);
	memset(o, 0, sizeof(*o));
	return r;
}
