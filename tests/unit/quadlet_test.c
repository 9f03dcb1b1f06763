/* SPDX-License-Identifier: MIT */
/* bundle/quadlet.c and bundle/quadlet_values.c: systemd's syntax as its manual pages write it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "quadlet.h"

static char seen[4096];

static int note(void *arg, const struct quadlet_line *l)
{
	size_t at = strlen(seen);

	(void)arg;
	snprintf(seen + at, sizeof(seen) - at, "%u [%s] %s=<%s>\n", l->line, l->section, l->key, l->value);
	return 0;
}

static int parse(const char *text, size_t len, struct err *e)
{
	seen[0] = '\0';
	e->text[0] = '\0';
	return quadlet_parse(span_of(text, len), "f.container", note, NULL, e);
}

static void assignments(void **state)
{
	struct err e;

	(void)state;
	static const struct {
		const char *text, *want;
	} good[] = {
		{ "[A]\nk=v\n", "2 [A] k=<v>\n" },
		{ "[A]\nk=v", "2 [A] k=<v>\n" },
		{ "# c\n\n; d\n [A] \n  k  =  v w  \r\n", "5 [A] k=<v w>\n" },
		{ "[A]\nk=\n[B]\nk==x=\n", "2 [A] k=<>\n4 [B] k=<=x=>\n" },
		{ "[A]\nk=one \\\n# between\n; too\n  two\\\nthree\nl=x\n", "2 [A] k=<one  two three>\n7 [A] l=<x>\n" },
		{ "[A]\nk=end\\\n", "2 [A] k=<end>\n" },
		{ "[X-Coracle]\nOom_1-x=1\n", "2 [X-Coracle] Oom_1-x=<1>\n" },
		{ "", "" },
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_int_equal(parse(good[i].text, strlen(good[i].text), &e), 0);
		assert_string_equal(seen, good[i].want);
	}
}

static void bad_lines_are_named(void **state)
{
	struct err e;

	(void)state;
	static const struct {
		const char *text, *want;
	} bad[] = {
		{ "[A]\n\nword\n", "f.container:3: \"word\" is neither" },
		{ "k=v\n", "f.container:1: k= stands before" },
		{ "[A\nk=v\n", "f.container:1: \"[A\" is no section" },
		{ "[A]\n=v\n", "f.container:2: \"=v\" does not begin" },
		{ "[A]\nk y=v\n", "f.container:2: \"k y=v\" does not begin" },
		{ "[]\n", "f.container:1: \"[]\" is no section" },
		{ "[A]\n\x1b[31m\n", "f.container:2: \"\\x1b[31m\" is neither" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(parse(bad[i].text, strlen(bad[i].text), &e), -EBADMSG);
		if (!strstr(e.text, bad[i].want))
			fail_msg("%s", e.text);
	}
	assert_int_equal(parse("[A]\nk=a\0b\n", 10, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "NUL"));
}

static void sizes_are_bounded(void **state)
{
	static char big[QUADLET_FILE_MAX + 2];
	struct err e;

	(void)state;
	memset(big, 'x', sizeof(big));
	memcpy(big, "[A]\nk=", 6);
	assert_int_equal(parse(big, sizeof(big), &e), -EFBIG);
	assert_int_equal(parse(big, QUADLET_VALUE_MAX + 3, &e), 0);
	assert_int_equal(parse(big, QUADLET_VALUE_MAX + 4, &e), -EBADMSG);
	/* many continued lines are one value */
	for (size_t i = 4; i + 1 < sizeof(big); i += 2)
		memcpy(big + i, "\\\n", 2);
	memcpy(big + 4, "k=", 2);
	assert_int_equal(parse(big, QUADLET_FILE_MAX, &e), -EBADMSG);
}

static void words(void **state)
{
	(void)state;
	static const struct {
		const char *text, *want;	/* words in <>, ! for an error */
	} table[] = {
		{ "a b\tc", "<a><b><c>" }, { "  a  ", "<a>" }, { "", "" }, { "\"a b\" 'c \"d'", "<a b><c \"d>" },
		{ "a\"b c\"d", "<ab cd>" }, { "\"\"", "<>" }, { "a\\ b", "<a!" }, { "a\\sb", "<a b>" }, { "\\x41\\102\\u00e9", "<AB\xc3\xa9>" },
		{ "\\t\\n", "<\t\n>" }, { "\"open", "!" }, { "'open\"", "!" }, { "\\q", "!" }, { "\\x4", "!" }, { "\\x00", "!" }, { "\\", "!" },
		{ "\\U0001F600", "<\xf0\x9f\x98\x80>" }, { "\\ud800", "!" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		const char *at = table[i].text;
		char word[64], got[256] = "";
		int r;

		while ((r = quadlet_word(&at, word, sizeof(word))) == 1)
			snprintf(got + strlen(got), sizeof(got) - strlen(got), "<%s>", word);
		if (r < 0)
			strcat(got, "!");
		if (strcmp(table[i].want, "<a!") == 0)
			assert_true(r < 0);	/* a backslash and a blank is no escape of systemd's */
		else
			assert_string_equal(got, table[i].want);
	}
}

static void word_fits_or_fails(void **state)
{
	const char *text = "12345678";
	char word[9];

	(void)state;
	assert_int_equal(quadlet_word(&text, word, 9), 1);
	text = "12345678";
	assert_int_equal(quadlet_word(&text, word, 8), -EFBIG);
}

static void numbers(void **state)
{
	uint64_t n = 7;
	uint32_t ms = 7;
	bool b;

	(void)state;
	assert_true(quadlet_size("64m", &n) && n == 64 << 20);
	assert_true(quadlet_size("1024", &n) && n == 1024);
	assert_true(quadlet_size("2GiB", &n) && n == 2ull << 30);
	assert_true(quadlet_size("5kb", &n) && n == 5120);
	assert_true(quadlet_size("7b", &n) && n == 7);
	assert_false(quadlet_size("", &n) || quadlet_size("-1", &n) || quadlet_size("1x", &n) || quadlet_size("m", &n) ||
		quadlet_size("1mm", &n) || quadlet_size("9999999999999999999", &n) || quadlet_size("1125899906842624t", &n) ||
		quadlet_size(" 1", &n) || quadlet_size("0x10", &n));
	assert_true(quadlet_ms("5", &ms) && ms == 5000);
	assert_true(quadlet_ms("1min 30s", &ms) && ms == 90000);
	assert_true(quadlet_ms("1min30", &ms) && ms == 90000);
	assert_true(quadlet_ms("500ms", &ms) && ms == 500);
	assert_true(quadlet_ms("1.5s", &ms) && ms == 1500);
	assert_true(quadlet_ms("2h", &ms) && ms == 7200000);
	assert_true(quadlet_ms("infinity", &ms) && ms == UINT32_MAX);
	assert_false(quadlet_ms("", &ms) || quadlet_ms("s", &ms) || quadlet_ms("5 parsecs", &ms) || quadlet_ms("-1", &ms) ||
		quadlet_ms("99999999999", &ms) || quadlet_ms("60d", &ms));
	assert_true(quadlet_bool("Yes", &b) && b);
	assert_true(quadlet_bool("off", &b) && !b);
	assert_false(quadlet_bool("", &b) || quadlet_bool("2", &b) || quadlet_bool("yes please", &b));
	assert_true(quadlet_u64("4294967295", UINT32_MAX, &n) && n == UINT32_MAX);
	assert_false(quadlet_u64("4294967296", UINT32_MAX, &n) || quadlet_u64("1a", 100, &n) || quadlet_u64("+1", 100, &n));
}

static void distances(void **state)
{
	(void)state;
	assert_int_equal(quadlet_distance("Image", "Image"), 0);
	assert_int_equal(quadlet_distance("Image", "imagee"), 1);
	assert_int_equal(quadlet_distance("Image", "Imgae"), 2);
	assert_int_equal(quadlet_distance("", "abc"), 3);
	assert_int_equal(quadlet_distance("abc", ""), 3);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(assignments),
		cmocka_unit_test(bad_lines_are_named),
		cmocka_unit_test(sizes_are_bounded),
		cmocka_unit_test(words),
		cmocka_unit_test(word_fits_or_fails),
		cmocka_unit_test(numbers),
		cmocka_unit_test(distances),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
