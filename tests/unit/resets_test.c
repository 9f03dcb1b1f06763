/* SPDX-License-Identifier: MIT */
/* init/resets.c: the file and what a boot makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "resets.h"

static struct resets of(const char *text)
{
	struct resets r;

	resets_parse(text, &r);
	return r;
}

static void what_is_written_is_read(void **state)
{
	struct resets r = { .count = 2, .is_bad = true, .why = "unit x \033[31m" }, back;
	char text[RESETS_TEXT_MAX + 64];
	size_t n = resets_write(&r, text, sizeof(text));

	(void)state;
	assert_int_equal(n, strlen(text));
	back = of(text);
	assert_true(back.count == 2 && back.is_bad);
	assert_string_equal(back.why, "unit x ?[31m");
	memset(r.why, 'y', sizeof(r.why) - 1);
	r.why[sizeof(r.why) - 1] = '\0';
	resets_write(&r, text, sizeof(text));
	assert_int_equal(strlen(of(text).why), RESETS_TEXT_MAX - 1);
}

static void rubbish_is_no_reset(void **state)
{
	static const char *const texts[] = { "", "\n\n", "count", "count=", "count=-1", "count=99999999999", "xcount=3", "bad=2", "why=" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct resets r = of(texts[i]);

		if (r.count || r.is_bad || r.why[0])
			fail_msg("%s", texts[i]);
	}
}

static void boots(void **state)
{
	static const struct { const char *text; bool has_bitten; uint32_t count; const char *cause; } want[] = {
		{ "", false, 0, "power, or a reset from outside" },
		{ "count=1\n", false, 1, "power, or a reset from outside" },
		{ "count=1\n", true, 2, "the watchdog: PID 1's loop or the kernel stood still" },
		{ "count=1\nbad=1\nwhy=unit x\n", false, 2, "unit x" },
		{ "count=1\nbad=1\nwhy=unit x\n", true, 2, "unit x" },
		{ "count=1\nbad=0\nwhy=rebooted: asked for\n", true, 1, "rebooted: asked for" },
		{ "count=1000\nbad=1\nwhy=x\n", true, 1000, "x" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
		struct resets r = of(want[i].text);
		char cause[RESETS_TEXT_MAX];

		resets_boot(&r, want[i].has_bitten, cause, sizeof(cause));
		if (r.count != want[i].count || strcmp(cause, want[i].cause) != 0)
			fail_msg("%zu: %u %s", i, r.count, cause);
		assert_true(!r.is_bad && !r.why[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(rubbish_is_no_reset),
		cmocka_unit_test(boots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
