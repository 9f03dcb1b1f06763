/* SPDX-License-Identifier: MIT */
/* Long texts for people: broken at blanks where the output is a terminal, as they are where a program reads them. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client.h"
#include "health.h"

enum { COLUMNS = 80, COLUMNS_MIN = 40, COLUMNS_MAX = 250 };

bool client_is_plain;

bool client_is_screen(void)
{
	const char *term = getenv("TERM");

	return isatty(1) && !client_is_plain && !(term && !strcmp(term, "dumb"));
}

/* A serial line says nothing of its width, or nonsense. */
static int columns(void)
{
	struct winsize w = { .ws_col = 0 };

	if (!isatty(1))
		return INT_MAX;
	return ioctl(1, TIOCGWINSZ, &w) < 0 || w.ws_col < COLUMNS_MIN || w.ws_col > COLUMNS_MAX ? COLUMNS : w.ws_col;
}

void client_wrap(int indent, const char *label, const char *text)
{
	int width = columns(), at = indent < 0 ? -indent : indent;

	printf("%*s%s", indent < 0 ? 0 : indent, "", label);
	indent = at;
	at += (int)strlen(label);
	for (bool is_first = true; *text; is_first = false) {
		int len = (int)strcspn(text, " ");

		/* A word that fits no line, as a digest, is the terminal's to break: nothing is won by a new line before it. */
		if (!is_first && at + 1 + len > width && indent + len <= width) {
			printf("\n%*s", indent, "");
			at = indent;
		} else if (!is_first) {
			putchar(' ');
			at++;
		}
		printf("%.*s", len, text);
		at = indent + len > width ? width : at + len;
		text += len;
		text += *text == ' ';
	}
	putchar('\n');
}

void client_wrap_health(int indent, const struct status_unit *u)
{
	char text[160];

	snprintf(text, sizeof(text), "%s%s%s", health_name(u->health), u->health_text[0] ? ": " : "", u->health_text);
	client_wrap(indent, "", text);
}
