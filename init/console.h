/* SPDX-License-Identifier: MIT */
/* The prompt on a serial console: plain line editing over descriptors 0 and 1, each line a `coracle` command in a child. */
#ifndef CORACLE_CONSOLE_H
#define CORACLE_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

enum { CONSOLE_LINE_MAX = 256, CONSOLE_WORDS_MAX = 16 };

/* A line being typed. */
struct console_line {
	char text[CONSOLE_LINE_MAX];
	size_t len, cursor;
	unsigned escape;	/* how far inside an escape sequence */
	bool was_cr;		/* a newline right after it is the same key */
};

enum console_key { CONSOLE_MORE, CONSOLE_ENTER, CONSOLE_ABORT, CONSOLE_END, CONSOLE_BELL };

/* Takes one byte in. ENTER: text is a whole line (ended by NUL). ABORT: Ctrl-C. END: Ctrl-D on an empty line. */
enum console_key console_key(struct console_line *l, unsigned char c);

/* Splits LINE at blanks, in place. The number of words; -1 for too many. */
int console_split(char *line, char *word[CONSOLE_WORDS_MAX]);

/* The helper process: until the line hangs up. Exit status. */
int console_main(const char *socket);

#endif
