/* SPDX-License-Identifier: MIT */
/*
 * The line editor of the prompt: bytes in, a line out. Pure. A serial line may be noisy: what is no key of ours rings or is swallowed, and
 * no byte that is not printable ASCII gets into a line.
 */
#include "console.h"

#include <stdio.h>
#include <string.h>

enum { CTRL_A = 1, CTRL_C = 3, CTRL_D = 4, CTRL_E = 5, CTRL_H = 8, TAB = 9, CTRL_K = 11, CTRL_L = 12, CTRL_N = 14, CTRL_P = 16,
	CTRL_U = 21, CTRL_W = 23, ESCAPE = 27, DEL = 127 };

static void erase(struct console_line *l, size_t from, size_t to)
{
	memmove(l->text + from, l->text + to, l->len - to);
	l->len -= to - from;
	l->cursor = from;
}

static size_t word_start(const struct console_line *l)
{
	size_t at = l->cursor;

	while (at && l->text[at - 1] == ' ')
		at--;
	while (at && l->text[at - 1] != ' ')
		at--;
	return at;
}

static const char *remembered(const struct console_history *h, unsigned back)
{
	return h->line[(h->count - back) % CONSOLE_HISTORY];
}

/* One line back, or on; the line being typed is kept aside. */
static void walk(struct console_line *l, bool is_back)
{
	struct console_history *h = l->history;
	unsigned most = !h ? 0 : h->count < CONSOLE_HISTORY ? h->count : CONSOLE_HISTORY;

	if (is_back ? l->back == most : !l->back)
		return;
	l->text[l->len] = '\0';
	if (!l->back)
		memcpy(h->typed, l->text, sizeof(h->typed));
	l->back += is_back ? 1 : -1u;
	memcpy(l->text, l->back ? remembered(h, l->back) : h->typed, sizeof(l->text));
	l->len = l->cursor = strlen(l->text);
}

void console_remember(struct console_history *h, const char *line)
{
	if (!line[strspn(line, " ")] || (h->count && !strcmp(remembered(h, 1), line)))
		return;
	snprintf(h->line[h->count++ % CONSOLE_HISTORY], CONSOLE_LINE_MAX, "%s", line);
}

/* ESC [ C and D move; everything else of the kind is swallowed up to its final byte. */
static void escape_key(struct console_line *l, unsigned char c)
{
	if (l->escape == 1) {
		l->escape = c == '[' || c == 'O' ? 2 : 0;
		return;
	}
	if (c >= '0' && c <= '9' && l->escape == 2) {
		l->digit = c;
		return;
	}
	if (c < 0x40)
		return;
	l->escape = 0;
	if (c == 'C' && l->cursor < l->len)
		l->cursor++;
	else if (c == 'D' && l->cursor)
		l->cursor--;
	else if (c == 'H')
		l->cursor = 0;
	else if (c == 'F')
		l->cursor = l->len;
	else if (c == 'A' || c == 'B')
		walk(l, c == 'A');
	else if (c == '~' && l->digit == '3' && l->cursor < l->len)
		erase(l, l->cursor, l->cursor + 1);
}

static enum console_key insert(struct console_line *l, unsigned char c)
{
	if (c < ' ' || c > '~' || l->len >= sizeof(l->text) - 1)
		return CONSOLE_BELL;
	memmove(l->text + l->cursor + 1, l->text + l->cursor, l->len - l->cursor);
	l->text[l->cursor++] = (char)c;
	l->len++;
	return CONSOLE_MORE;
}

enum console_key console_key(struct console_line *l, unsigned char c)
{
	bool was_cr = l->was_cr;

	l->was_cr = c == '\r';
	if (l->escape) {
		escape_key(l, c);
		return CONSOLE_MORE;
	}
	switch (c) {
	case '\n':
	case '\r':
		if (c == '\n' && was_cr)
			return CONSOLE_MORE;
		l->text[l->len] = '\0';
		return CONSOLE_ENTER;
	case CTRL_C:
		return CONSOLE_ABORT;
	case CTRL_D:
		if (!l->len)
			return CONSOLE_END;
		if (l->cursor < l->len)
			erase(l, l->cursor, l->cursor + 1);
		return CONSOLE_MORE;
	case CTRL_H:
	case DEL:
		if (l->cursor)
			erase(l, l->cursor - 1, l->cursor);
		return CONSOLE_MORE;
	case CTRL_U:
		erase(l, 0, l->cursor);
		return CONSOLE_MORE;
	case CTRL_W:
		erase(l, word_start(l), l->cursor);
		return CONSOLE_MORE;
	case CTRL_K:
		l->len = l->cursor;
		return CONSOLE_MORE;
	case CTRL_A:
		l->cursor = 0;
		return CONSOLE_MORE;
	case CTRL_E:
		l->cursor = l->len;
		return CONSOLE_MORE;
	case CTRL_L:
		return CONSOLE_MORE;
	case CTRL_P:
	case CTRL_N:
		walk(l, c == CTRL_P);
		return CONSOLE_MORE;
	case TAB:
		l->text[l->len] = '\0';
		return CONSOLE_TAB;
	case ESCAPE:
		l->escape = 1;
		l->digit = 0;
		return CONSOLE_MORE;
	default:
		return insert(l, c);
	}
}

bool console_insert(struct console_line *l, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (insert(l, (unsigned char)text[i]) != CONSOLE_MORE)
			return false;
	return true;
}

int console_split(char *line, char *word[CONSOLE_WORDS_MAX])
{
	char *save = NULL;
	int n = 0;

	for (char *w = strtok_r(line, " \t", &save); w; w = strtok_r(NULL, " \t", &save)) {
		if (n == CONSOLE_WORDS_MAX - 1)
			return -1;
		word[n++] = w;
	}
	word[n] = NULL;
	return n;
}
