/* SPDX-License-Identifier: MIT */
/* init/console.c: the line editor, key by key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "console.h"

/* Types KEYS; what the last one meant. The line is left in L. */
static enum console_key type(struct console_line *l, const char *keys)
{
	enum console_key k = CONSOLE_MORE;

	memset(l, 0, sizeof(*l));
	for (; *keys; keys++)
		k = console_key(l, (unsigned char)*keys);
	return k;
}

static void lines(void **state)
{
	static const struct { const char *keys, *line; } cases[] = {
		{ "status\r", "status" },
		{ "status\n", "status" },
		{ "stax\177tus\r", "status" },
		{ "stax\btus\r", "status" },
		{ "\177\177status\r", "status" },
		{ "rubbish\025status\r", "status" },
		{ "tatus\001s\r", "status" },
		{ "tatus\001s\005 x\r", "status x" },
		{ "logs hello\027bye\r", "logs bye" },
		{ "stus\033[D\033[Dat\r", "status" },
		{ "stus\033[D\033[D\033[Cat\r", "stuats" },
		{ "status\033[A\033[B\033[3~\033OP\r", "status" },
		{ "xstatus\033[H\004\r", "status" },
		{ "status x\033[D\033[D\013\r", "status" },
		{ "a\tb\001\002c\r", "cab" },
	};
	struct console_line l;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(type(&l, cases[i].keys), CONSOLE_ENTER);
		if (strcmp(l.text, cases[i].line) != 0)
			fail_msg("case %u: '%s', expected '%s'", i, l.text, cases[i].line);
	}
}

static void keys_that_end(void **state)
{
	struct console_line l;

	(void)state;
	assert_int_equal(type(&l, "half\003"), CONSOLE_ABORT);
	assert_int_equal(type(&l, "\004"), CONSOLE_END);
	assert_int_equal(type(&l, "x\004"), CONSOLE_MORE);
	assert_int_equal(type(&l, "\007"), CONSOLE_BELL);
	assert_int_equal(type(&l, "\303"), CONSOLE_BELL);
}

static void cr_and_lf_are_one_key(void **state)
{
	struct console_line l;

	(void)state;
	assert_int_equal(type(&l, "\r"), CONSOLE_ENTER);
	assert_int_equal(console_key(&l, '\n'), CONSOLE_MORE);
	assert_int_equal(console_key(&l, '\n'), CONSOLE_ENTER);
}

static void a_line_too_long_rings(void **state)
{
	struct console_line l = { .len = 0 };

	(void)state;
	for (int i = 0; i < CONSOLE_LINE_MAX - 1; i++)
		assert_int_equal(console_key(&l, 'x'), CONSOLE_MORE);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(console_key(&l, 'x'), CONSOLE_BELL);
	assert_int_equal(console_key(&l, '\r'), CONSOLE_ENTER);
	assert_int_equal(strlen(l.text), CONSOLE_LINE_MAX - 1);
}

static void words(void **state)
{
	char line[CONSOLE_LINE_MAX] = "  logs\thello  -n 3 ";
	char many[CONSOLE_LINE_MAX] = "a b c d e f g h i j k l m n o p q";
	char *word[CONSOLE_WORDS_MAX];

	(void)state;
	assert_int_equal(console_split(line, word), 4);
	assert_string_equal(word[1], "hello");
	assert_null(word[4]);
	assert_int_equal(console_split(many, word), -1);
	line[0] = '\0';
	assert_int_equal(console_split(line, word), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(keys_that_end),
		cmocka_unit_test(cr_and_lf_are_one_key),
		cmocka_unit_test(a_line_too_long_rings),
		cmocka_unit_test(words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
