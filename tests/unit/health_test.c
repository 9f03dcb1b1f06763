/* SPDX-License-Identifier: MIT */
/* init/health.c: which words count, and what a row of results comes to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "health.h"
#include "unit.h"

static void words_of_the_unit_come_first(void **state)
{
	const struct unit_health none = { .kind = UNIT_HEALTH_UNSAID }, off = { .kind = UNIT_HEALTH_OFF };
	const struct unit_health image = { .kind = UNIT_HEALTH_CMD, .interval_ms = 5000, .retries = 7, .arg = "/image\0" };
	const struct unit_health own = { .kind = UNIT_HEALTH_TCP, .port = 80, .interval_ms = 2000 };
	const struct unit_health slower = { .kind = UNIT_HEALTH_UNSAID, .interval_ms = 9000 };
	const struct unit_health never = { .kind = UNIT_HEALTH_UNSAID, .interval_ms = UINT32_MAX };
	struct unit_health h;

	(void)state;
	health_merge(&none, &none, &h);
	assert_int_equal(h.kind, UNIT_HEALTH_UNSAID);
	health_merge(&none, &image, &h);
	assert_true(h.kind == UNIT_HEALTH_CMD && h.interval_ms == 5000 && h.retries == 7 && h.timeout_ms == 30000);
	health_merge(&off, &image, &h);
	assert_int_equal(h.kind, UNIT_HEALTH_OFF);
	health_merge(&own, &image, &h);
	assert_true(h.kind == UNIT_HEALTH_TCP && h.port == 80 && h.interval_ms == 2000);
	health_merge(&slower, &image, &h);
	assert_true(h.kind == UNIT_HEALTH_CMD && h.interval_ms == 9000);
	health_merge(&never, &image, &h);
	assert_int_equal(h.kind, UNIT_HEALTH_OFF);
}

static void results_are_counted(void **state)
{
	const struct unit_health h = { .retries = 3, .start_period_ms = 1000 };
	unsigned fails = 0;

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_int_equal(health_count(&h, false, 999, HEALTH_STARTING, &fails), HEALTH_STARTING);
	assert_int_equal(fails, 0);
	assert_int_equal(health_count(&h, true, 500, HEALTH_STARTING, &fails), HEALTH_GOOD);
	/* Once it was good the start period is over. */
	assert_int_equal(health_count(&h, false, 600, HEALTH_GOOD, &fails), HEALTH_GOOD);
	assert_int_equal(health_count(&h, false, 700, HEALTH_GOOD, &fails), HEALTH_GOOD);
	assert_int_equal(health_count(&h, true, 800, HEALTH_GOOD, &fails), HEALTH_GOOD);
	for (int i = 0; i < 2; i++)
		assert_int_equal(health_count(&h, false, 2000, HEALTH_GOOD, &fails), HEALTH_GOOD);
	assert_int_equal(health_count(&h, false, 2000, HEALTH_GOOD, &fails), HEALTH_BAD);
	assert_int_equal(health_count(&h, false, 2000, HEALTH_BAD, &fails), HEALTH_BAD);
	assert_int_equal(health_count(&h, true, 2000, HEALTH_BAD, &fails), HEALTH_GOOD);
	assert_int_equal(fails, 0);
}

static void what_follows_is_the_units_word(void **state)
{
	const struct unit_end end = { UNIT_END_UNHEALTHY, 0 };
	struct unit_entry e = { .restart = UNIT_RESTART_NO, .on_failure = UNIT_ON_FAILURE_RESTART };

	(void)state;
	assert_int_equal(unit_end_event(&e, &end), UNIT_EV_ENDED_AGAIN);
	e.restart = UNIT_RESTART_ALWAYS;
	e.on_failure = UNIT_ON_FAILURE_STOP;
	assert_int_equal(unit_end_event(&e, &end), UNIT_EV_ENDED_FAILED);
	e.on_failure = UNIT_ON_FAILURE_KILL;
	assert_int_equal(unit_end_event(&e, &end), UNIT_EV_ENDED_AGAIN);
	e.restart = UNIT_RESTART_NO;
	assert_int_equal(unit_end_event(&e, &end), UNIT_EV_ENDED_FAILED);
	/* As podman does, HealthStartupRetries= restarts whatever the others say. */
	e.on_failure = UNIT_ON_FAILURE_STOP;
	assert_int_equal(unit_end_event(&e, &(struct unit_end){ UNIT_END_STARTUP, 0 }), UNIT_EV_ENDED_AGAIN);
}

static void a_list_of_words_is_bounded(void **state)
{
	struct unit_health h = { .kind = UNIT_HEALTH_CMD };
	unsigned n = 0;

	(void)state;
	assert_true(unit_health_add(&h, "/bin/sh") && unit_health_add(&h, "-c"));
	assert_memory_equal(h.arg, "/bin/sh\0-c\0\0", 12);
	assert_false(unit_health_add(&h, ""));
	while (unit_health_add(&h, "12345678901"))
		n++;
	assert_int_equal(n, (UNIT_HEALTH_ARG_MAX - 12) / 12);
	assert_int_equal(h.arg[UNIT_HEALTH_ARG_MAX - 1], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_of_the_unit_come_first),
		cmocka_unit_test(results_are_counted),
		cmocka_unit_test(what_follows_is_the_units_word),
		cmocka_unit_test(a_list_of_words_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
