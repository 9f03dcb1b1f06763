/* SPDX-License-Identifier: MIT */
/* init/console.c: the line editor, key by key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

/* Types KEYS into a line that has the history H. */
static enum console_key type_with(struct console_history *h, struct console_line *l, const char *keys)
{
	enum console_key k = CONSOLE_MORE;

	*l = (struct console_line){ .history = h };
	for (; *keys; keys++)
		k = console_key(l, (unsigned char)*keys);
	return k;
}

static void history(void **state)
{
	static struct console_history h;
	struct console_line l;
	char line[32];

	(void)state;
	type_with(&h, &l, "x\033[A\033[A\r");
	assert_string_equal(l.text, "x");
	console_remember(&h, "one");
	console_remember(&h, "two");
	console_remember(&h, "two");
	console_remember(&h, "  ");
	type_with(&h, &l, "\033[A\r");
	assert_string_equal(l.text, "two");
	type_with(&h, &l, "\020\020\r");
	assert_string_equal(l.text, "one");
	type_with(&h, &l, "typed\033[A\033[A\033[A\033[B\r");
	assert_string_equal(l.text, "two");
	type_with(&h, &l, "typed\033[A\016s\r");
	assert_string_equal(l.text, "typeds");
	for (int i = 0; i < 100; i++) {
		snprintf(line, sizeof(line), "line %d", i);
		console_remember(&h, line);
	}
	*line = '\0';
	type_with(&h, &l, "");
	for (int i = 0; i < 50; i++)
		console_key(&l, 16);
	l.text[l.len] = '\0';
	snprintf(line, sizeof(line), "line %d", 100 - CONSOLE_HISTORY);
	assert_string_equal(l.text, line);
}

static void delete_and_tab(void **state)
{
	struct console_line l;

	(void)state;
	assert_int_equal(type(&l, "xstatus\033[H\033[3~\r"), CONSOLE_ENTER);
	assert_string_equal(l.text, "status");
	assert_int_equal(type(&l, "stat\t"), CONSOLE_TAB);
	assert_string_equal(l.text, "stat");
	assert_true(console_insert(&l, "us ", 3));
	assert_int_equal(l.len, 7);
	assert_false(console_insert(&l, "\033", 1));
}

/* A noisy line: whatever comes, the line stays printable and within its bounds. */
static void noise(void **state)
{
	static struct console_history h;
	struct console_line l = { .history = &h };
	uint64_t seed = 0x9e3779b97f4a7c15u;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		if (console_key(&l, (unsigned char)(seed >> 20)) == CONSOLE_ENTER) {
			console_remember(&h, l.text);
			l = (struct console_line){ .history = &h };
		}
		assert_true(l.len < CONSOLE_LINE_MAX && l.cursor <= l.len);
		for (size_t k = 0; k < l.len; k++)
			assert_in_range(l.text[k], ' ', '~');
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
		cmocka_unit_test(history),
		cmocka_unit_test(delete_and_tab),
		cmocka_unit_test(noise),
		cmocka_unit_test(keys_that_end),
		cmocka_unit_test(cr_and_lf_are_one_key),
		cmocka_unit_test(a_line_too_long_rings),
		cmocka_unit_test(words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
