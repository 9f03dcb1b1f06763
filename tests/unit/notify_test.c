/* SPDX-License-Identifier: MIT */
/* init/notify_parse.c: what a datagram says, and what it cannot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "notify.h"

static struct notify parsed(const char *text)
{
	struct notify n;

	notify_parse(text, strlen(text), &n);
	return n;
}

static void the_words(void **state)
{
	struct notify n = parsed("READY=1\nSTATUS=three of four\nWATCHDOG=1\nEXTEND_TIMEOUT_USEC=1500001\nWATCHDOG_USEC=2000000");

	(void)state;
	assert_true(n.is_ready && n.is_alive && !n.is_stopping && !n.is_hung);
	assert_true(n.has_status && n.has_extend && n.has_watchdog);
	assert_string_equal(n.status, "three of four");
	assert_int_equal(n.extend_ms, 1501);
	assert_int_equal(n.watchdog_ms, 2000);
	assert_true(parsed("STOPPING=1\n").is_stopping);
	assert_true(parsed("WATCHDOG=trigger").is_hung);
	n = parsed("WATCHDOG_USEC=0");
	assert_true(n.has_watchdog && n.watchdog_ms == 0);
}

static void nothing_else_counts(void **state)
{
	static const char *const nothing[] = { "", "\n\n", "READY", "READY=", "READY=0", "READY=11", " READY=1", "ready=1", "XREADY=1",
		"READY=1 ", "STOPPING=yes", "MAINPID=1", "EXTEND_TIMEOUT_USEC=-5", "EXTEND_TIMEOUT_USEC=5s", "WATCHDOG_USEC=",
		"WATCHDOG=2", "EXTEND_TIMEOUT_USEC=99999999999999999999" };
	const struct notify none = { .is_ready = false };

	(void)state;
	for (size_t i = 0; i < sizeof(nothing) / sizeof(*nothing); i++) {
		struct notify n = parsed(nothing[i]);

		if (memcmp(&n, &none, sizeof(n)) != 0)
			fail_msg("%s", nothing[i]);
	}
}

static void bounds(void **state)
{
	char big[NOTIFY_MAX];
	struct notify n;

	(void)state;
	memset(big, 'x', sizeof(big));
	memcpy(big, "STATUS=", 7);
	notify_parse(big, sizeof(big), &n);
	assert_int_equal(strlen(n.status), NOTIFY_STATUS_MAX - 1);
	n = parsed("STATUS=\033[31mred\xff");
	assert_string_equal(n.status, "?[31mred?");
	notify_parse("READY=1\0", 8, &n);
	assert_false(n.is_ready);
	assert_int_equal(parsed("EXTEND_TIMEOUT_USEC=9000000000000000000").extend_ms, 86400000);
	assert_string_equal(parsed("STATUS=one\nSTATUS=two").status, "two");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_words),
		cmocka_unit_test(nothing_else_counts),
		cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
