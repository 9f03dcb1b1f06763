/* SPDX-License-Identifier: MIT */
/*
 * Splits a unit file into assignments (systemd.syntax(7)). The file comes from the board's maker or a provisioning step, and may hold any
 * bytes. Never allocates; every length is bounded.
 */
#include "quadlet.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct lines {
	struct span text;
	size_t at;
	unsigned number;	/* of the line last taken */
};

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool next_line(struct lines *l, struct span *out)
{
	const uint8_t *begin = l->text.at + l->at, *end;

	if (l->at >= l->text.len)
		return false;
	end = memchr(begin, '\n', l->text.len - l->at);
	*out = span_of(begin, end ? (size_t)(end - begin) : l->text.len - l->at);
	l->at += out->len + 1;
	l->number++;
	while (out->len && is_blank(out->at[out->len - 1]))
		out->len--;
	while (out->len && is_blank(out->at[0])) {
		out->at++;
		out->len--;
	}
	return true;
}

static bool is_comment(struct span s)
{
	return s.len && (s.at[0] == '#' || s.at[0] == ';');
}

static bool append(char *out, size_t *len, struct span s)
{
	if (s.len >= QUADLET_VALUE_MAX - *len || (s.len && memchr(s.at, '\0', s.len)))
		return false;
	if (s.len)
		memcpy(out + *len, s.at, s.len);
	*len += s.len;
	out[*len] = '\0';
	return true;
}

/* The logical line that begins with FIRST: a backslash at the end is a space and goes on; comments in between are passed over. */
static int join(struct lines *l, struct span first, char *out, const char *name, struct err *e)
{
	unsigned begin = l->number;
	struct span s = first;
	size_t len = 0;

	out[0] = '\0';
	for (;;) {
		bool is_more = s.len && s.at[s.len - 1] == '\\';

		if (is_more)
			s.len--;
		if (!append(out, &len, s) || (is_more && !append(out, &len, span_str(" "))))
			return err_set(e, -EBADMSG, "%s:%u: longer than %u bytes, or a NUL byte in it", name, begin,
				QUADLET_VALUE_MAX);
		if (!is_more)
			return 0;
		do {
			if (!next_line(l, &s))
				return 0;
		} while (is_comment(s));
	}
}

static int section(const char *line, char *out, size_t size)
{
	size_t len = strlen(line);

	if (len < 3 || line[len - 1] != ']' || len - 1 > size)
		return -EBADMSG;
	memcpy(out, line + 1, len - 2);
	out[len - 2] = '\0';
	return strpbrk(out, "[]") ? -EBADMSG : 0;
}

static char *trim(char *s)
{
	size_t len;

	while (is_blank((uint8_t)*s))
		s++;
	for (len = strlen(s); len && is_blank((uint8_t)s[len - 1]); len--)
		s[len - 1] = '\0';
	return s;
}

static bool is_key(const char *s)
{
	for (const char *p = s; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_')
			return false;
	return s[0];
}

int quadlet_parse(struct span text, const char *name, int (*each)(void *arg, const struct quadlet_line *l), void *arg, struct err *e)
{
	static char line[QUADLET_VALUE_MAX + 1];
	struct lines l = { .text = text };
	char in[64] = "";
	struct span s;

	if (text.len > QUADLET_FILE_MAX)
		return err_set(e, -EFBIG, "%s: larger than %u bytes", name, QUADLET_FILE_MAX);
	while (next_line(&l, &s)) {
		struct quadlet_line q = { .section = in, .line = l.number };
		char *equals, shown[80];
		int r;

		if (s.len == 0 || is_comment(s))
			continue;
		r = join(&l, s, line, name, e);
		if (r < 0)
			return r;
		span_escape(span_str(line), shown, sizeof(shown));
		if (line[0] == '[') {
			if (section(line, in, sizeof(in)) < 0)
				return err_set(e, -EBADMSG, "%s:%u: \"%s\" is no section like [Container]", name, q.line, shown);
			continue;
		}
		equals = strchr(line, '=');
		if (!equals)
			return err_set(e, -EBADMSG, "%s:%u: \"%s\" is neither Key=value nor [Section] nor a comment", name, q.line,
				shown);
		*equals = '\0';
		q.key = trim(line);
		q.value = trim(equals + 1);
		if (!is_key(q.key))
			return err_set(e, -EBADMSG, "%s:%u: \"%s\" does not begin with the name of a key", name, q.line, shown);
		if (!in[0])
			return err_set(e, -EBADMSG, "%s:%u: %s= stands before the first [Section]", name, q.line, q.key);
		r = each(arg, &q);
		if (r != 0)
			return r;
	}
	return 0;
}
