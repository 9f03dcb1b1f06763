/* SPDX-License-Identifier: MIT */
/* The prompt on a serial console: line editing with history and completion over descriptors 0 and 1, each line a `coracle` command in a
 * child. */
#ifndef CORACLE_CONSOLE_H
#define CORACLE_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

enum { CONSOLE_LINE_MAX = 256, CONSOLE_WORDS_MAX = 16, CONSOLE_HISTORY = 16 };

/* The last lines, and the one being typed while they are walked through. */
struct console_history {
	unsigned count;
	char line[CONSOLE_HISTORY][CONSOLE_LINE_MAX];
	char typed[CONSOLE_LINE_MAX];
};

/* A line being typed. */
struct console_line {
	char text[CONSOLE_LINE_MAX];
	size_t len, cursor;
	unsigned escape;	/* how far inside an escape sequence */
	unsigned char digit;	/* in it, the last one */
	struct console_history *history;	/* or NULL */
	unsigned back;		/* lines back in it, 0: the one being typed */
	bool was_cr;		/* a newline right after it is the same key */
};

enum console_key { CONSOLE_MORE, CONSOLE_ENTER, CONSOLE_ABORT, CONSOLE_END, CONSOLE_BELL, CONSOLE_TAB };

/* Takes one byte in. ENTER: text is a whole line (ended by NUL). ABORT: Ctrl-C. END: Ctrl-D on an empty line. TAB: text ends in NUL, and is to be
 * completed at the cursor. */
enum console_key console_key(struct console_line *l, unsigned char c);

/* Puts TEXT in at the cursor; false where it does not fit. */
bool console_insert(struct console_line *l, const char *text, size_t len);

/* Keeps LINE, unless it is empty or the last one again. */
void console_remember(struct console_history *h, const char *line);

/* Splits LINE at blanks, in place. The number of words; -1 for too many. */
int console_split(char *line, char *word[CONSOLE_WORDS_MAX]);

/* The helper process: until the line hangs up. ETC: folder of board.conf, or NULL. Exit status. */
int console_main(const char *socket, const char *etc);

#endif
