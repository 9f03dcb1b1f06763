/* SPDX-License-Identifier: MIT */
/* init/unit.c: every cell of the table, and the questions around it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "unit_names.h"

/* One letter per state, one per action, in the order of the enums; "" is a cell that stays and does nothing.
 * States:  I W P p S A R e T r B E X F   (inactive waiting pulling preparing starting activating running ending stopping restarting
 * backoff exited refused failed)
 * Actions: - nothing, z reset, q queue, P pull, p prepare, l launch, k keep, a await, r run, t term, A abort, w let, K kill, J kill job,
 *          b backoff, j job backoff, f forget, x refuse, . rest */
static const char states[] = "IWPpSAReTrBEXF";
static const char actions[] = "-zqPplkartAwKJbjfx.";

/*                        start stop restart pull prep launch done retry refsd damgd exec startd ready leave hung unhea uhkil again done kept failed limit timer */
static const char *const grid[UNIT_STATES][UNIT_EVENTS] = {
	[UNIT_INACTIVE] =   { "Wz", "", "Wz", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "" },
	[UNIT_WAITING] =    { "", "I.", "", "PP", "pp", "Sl", "", "", "Xx", "", "", "", "", "", "", "", "", "", "", "", "", "F.", "" },
	[UNIT_PULLING] =    { "", "TJ", "", "", "", "", "Wk", "Bj", "Xx", "Bf", "", "", "", "", "", "", "", "", "", "", "", "", "" },
	[UNIT_PREPARING] =  { "", "TJ", "", "", "", "", "Wk", "Bj", "Xx", "Bf", "", "", "", "", "", "", "", "", "", "", "", "", "" },
	[UNIT_STARTING] =   { "", "TK", "rK", "", "", "", "", "", "", "", "Aa", "Rr", "", "", "", "", "", "Bb", "I.", "E.", "F.", "", "SK" },
	[UNIT_ACTIVATING] = { "", "Tt", "rt", "", "", "", "", "", "", "", "", "", "Rr", "ew", "eA", "et", "eK", "Bb", "I.", "E.", "F.", "", "et" },
	[UNIT_RUNNING] =    { "", "Tt", "rt", "", "", "", "", "", "", "", "", "", "", "ew", "eA", "et", "eK", "Bb", "I.", "E.", "F.", "", "" },
	[UNIT_ENDING] =     { "", "Tt", "rt", "", "", "", "", "", "", "", "", "", "", "", "", "", "eK", "Bb", "I.", "E.", "F.", "", "eK" },
	[UNIT_STOPPING] =   { "r-", "", "r-", "", "", "", "I.", "I.", "I.", "I.", "TK", "TK", "", "", "", "", "", "I.", "I.", "I.", "I.", "", "TK" },
	[UNIT_RESTARTING] = { "", "T-", "", "", "", "", "Wz", "Wz", "Wz", "Wz", "rK", "rK", "", "", "", "", "", "Wz", "Wz", "Wz", "Wz", "", "rK" },
	[UNIT_BACKOFF] =    { "Wz", "I.", "Wz", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "Wq" },
	[UNIT_EXITED] =     { "", "I.", "Wz", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "" },
	[UNIT_REFUSED] =    { "Wz", "I.", "Wz", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "Wq" },
	[UNIT_FAILED] =     { "Wz", "I.", "Wz", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "" },
};

static void every_cell(void **state)
{
	(void)state;
	assert_int_equal(strlen(states), UNIT_STATES);
	assert_int_equal(strlen(actions), UNIT_ACTIONS);
	for (int s = 0; s < UNIT_STATES; s++) {
		for (int e = 0; e < UNIT_EVENTS; e++) {
			struct unit_step step = unit_step(s, e);
			const char *want = grid[s][e];
			char next = want[0] ? want[0] : states[s], action = want[0] ? want[1] : '-';

			if (states[step.next] != next || actions[step.action] != action)
				fail_msg("%s x %s: %c%c, expected %c%c", unit_state_name(s), event_name[e],
					states[step.next], actions[step.action], next, action);
		}
	}
}

static void out_of_range_stays(void **state)
{
	(void)state;
	assert_int_equal(unit_step(UNIT_RUNNING, UNIT_EVENTS).next, UNIT_RUNNING);
	assert_int_equal(unit_step(UNIT_RUNNING, 1000).action, UNIT_DO_NOTHING);
	assert_string_equal(unit_state_name(UNIT_STATES), "unknown");
}

/* Whatever state a unit is in: after a stop and an end it is down, and it stays down. */
static void stop_and_end_lead_to_inactive(void **state)
{
	static const enum unit_event end[] = { UNIT_EV_DONE, UNIT_EV_RETRY, UNIT_EV_REFUSED, UNIT_EV_DAMAGED,
		UNIT_EV_ENDED_AGAIN, UNIT_EV_ENDED_DONE, UNIT_EV_ENDED_KEPT, UNIT_EV_ENDED_FAILED };

	(void)state;
	for (int s = 0; s < UNIT_STATES; s++) {
		for (unsigned e = 0; e < sizeof(end) / sizeof(end[0]); e++) {
			enum unit_state now = unit_step(s, UNIT_EV_STOP).next;

			now = unit_step(now, end[e]).next;
			assert_int_equal(now, UNIT_INACTIVE);
			for (int x = UNIT_EV_PULL; x < UNIT_EVENTS; x++)
				assert_int_equal(unit_step(now, x).next, UNIT_INACTIVE);
		}
	}
}

static struct unit_end ended(enum unit_end_kind kind, int value)
{
	return (struct unit_end){ kind, value };
}

/* The table of systemd.service(5), Restart=: clean exit, unclean code, unclean signal, timeout, OOM as a signal, clean signal, watchdog. */
static void restart_policies(void **state)
{
	static const char *const want[] = {
		[UNIT_RESTART_NO] = "nnnnnnn", [UNIT_RESTART_ON_SUCCESS] = "ynnnnyn",
		[UNIT_RESTART_ON_FAILURE] = "nyyyyny", [UNIT_RESTART_ON_ABNORMAL] = "nnyyyny",
		[UNIT_RESTART_ON_ABORT] = "nnynynn", [UNIT_RESTART_ALWAYS] = "yyyyyyy",
		[UNIT_RESTART_ON_WATCHDOG] = "nnnnnny",
	};
	const struct unit_end how[] = { ended(UNIT_END_EXIT, 0), ended(UNIT_END_EXIT, 3),
		ended(UNIT_END_SIGNAL, SIGSEGV), ended(UNIT_END_TIMEOUT, 0), ended(UNIT_END_OOM, 0),
		ended(UNIT_END_SIGNAL, SIGTERM), ended(UNIT_END_WATCHDOG, 0) };

	(void)state;
	for (uint32_t r = 0; r < sizeof(want) / sizeof(want[0]); r++)
		for (unsigned h = 0; h < sizeof(how) / sizeof(how[0]); h++)
			if (unit_restarts(&(struct unit_entry){ .restart = r }, &how[h]) != (want[r][h] == 'y'))
				fail_msg("restart %u, end %u", r, h);
	assert_false(unit_restarts(&(struct unit_entry){ .restart = 99 }, &how[1]));
	assert_true(unit_restarts(&(struct unit_entry){ .restart = UNIT_RESTART_ON_FAILURE }, &(struct unit_end){ UNIT_END_START, 0 }));
	assert_true(unit_restarts(&(struct unit_entry){ .restart = UNIT_RESTART_ON_FAILURE },
		&(struct unit_end){ UNIT_END_UNHEALTHY, 0 }));
}

static void exit_lists_come_before_the_policy(void **state)
{
	const struct unit_entry e = {
		.restart = UNIT_RESTART_ON_FAILURE,
		.exit_success = { UNIT_EXIT_CODE | 75, UNIT_EXIT_SIGNAL | SIGKILL },
		.exit_prevent = { UNIT_EXIT_CODE | 3, UNIT_EXIT_CODE | 0, UNIT_EXIT_SIGNAL | SIGABRT },
		.exit_force = { UNIT_EXIT_CODE | 75, UNIT_EXIT_CODE | 3 },
	};
	const struct unit_end tempfail = ended(UNIT_END_EXIT, 75), killed = ended(UNIT_END_SIGNAL, SIGKILL),
		three = ended(UNIT_END_EXIT, 3), four = ended(UNIT_END_EXIT, 4), aborted = ended(UNIT_END_SIGNAL, SIGABRT);

	(void)state;
	assert_true(unit_end_is_clean(&e, &tempfail) && unit_end_is_clean(&e, &killed));
	assert_true(unit_restarts(&e, &tempfail));	/* forced */
	assert_false(unit_restarts(&e, &killed));	/* a success */
	assert_false(unit_restarts(&e, &three));	/* prevented, which wins */
	assert_true(unit_restarts(&e, &four));
	assert_false(unit_restarts(&e, &aborted));
	/* A code is not a signal of that number. */
	assert_true(unit_restarts(&e, &(struct unit_end){ UNIT_END_SIGNAL, 3 }));
}

static void what_an_end_is(void **state)
{
	struct unit_entry e = { .restart = UNIT_RESTART_ON_FAILURE };
	const struct unit_end zero = ended(UNIT_END_EXIT, 0), one = ended(UNIT_END_EXIT, 1), term = ended(UNIT_END_SIGNAL, SIGTERM);

	(void)state;
	assert_int_equal(unit_end_event(&e, &zero), UNIT_EV_ENDED_DONE);
	assert_int_equal(unit_end_event(&e, &one), UNIT_EV_ENDED_AGAIN);
	assert_int_equal(unit_end_event(&e, &term), UNIT_EV_ENDED_DONE);
	e.type = UNIT_TYPE_ONESHOT;
	e.restart = UNIT_RESTART_NO;
	assert_int_equal(unit_end_event(&e, &zero), UNIT_EV_ENDED_DONE);
	/* Being told to end before it was done is no good end of a oneshot. */
	assert_int_equal(unit_end_event(&e, &term), UNIT_EV_ENDED_FAILED);
	e.remains = 1;
	assert_int_equal(unit_end_event(&e, &zero), UNIT_EV_ENDED_KEPT);
	assert_int_equal(unit_end_event(&e, &one), UNIT_EV_ENDED_FAILED);
}

static void ends_have_names(void **state)
{
	const struct unit_end code = ended(UNIT_END_EXIT, 3), sig = ended(UNIT_END_SIGNAL, 9);
	char text[128];

	(void)state;
	unit_end_text(&code, text, sizeof(text));
	assert_string_equal(text, "exited with code 3");
	unit_end_text(&sig, text, sizeof(text));
	assert_string_equal(text, "killed by signal 9");
	unit_end_text(&(struct unit_end){ UNIT_END_OOM, 0 }, text, sizeof(text));
	assert_non_null(strstr(text, "memory"));
}

static void backoff_doubles_to_its_cap(void **state)
{
	(void)state;
	assert_int_equal(unit_backoff_ms(1000, 60000, 0), 1000);
	assert_int_equal(unit_backoff_ms(1000, 60000, 3), 8000);
	assert_int_equal(unit_backoff_ms(1000, 60000, 6), 60000);
	assert_int_equal(unit_backoff_ms(1000, 60000, 4000000000u), 60000);
	assert_int_equal(unit_backoff_ms(5000, 1000, 9), 5000);
	/* A unit that says 0 does not spin. */
	assert_int_equal(unit_backoff_ms(0, 0, 0), 100);
	assert_int_equal(unit_backoff_ms(0, 0, 50), 100);
}

static void jitter_stays_within_a_fifth(void **state)
{
	(void)state;
	for (uint32_t r = 0; r < 100000; r += 37) {
		uint64_t ms = unit_jitter_ms(10000, r * 2654435761u);

		assert_in_range(ms, 8000, 12000);
	}
	assert_int_equal(unit_jitter_ms(0, 5), 0);
	assert_int_not_equal(unit_jitter_ms(10000, 1), unit_jitter_ms(10000, 2000));
}

static void start_limit_counts_within_its_interval(void **state)
{
	struct unit_limit l = { 0 };

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_true(unit_limit_take(&l, 1000 + (uint64_t)i, 3, 10000));
	assert_false(unit_limit_take(&l, 5000, 3, 10000));
	assert_false(unit_limit_take(&l, 10999, 3, 10000));
	assert_true(unit_limit_take(&l, 11000, 3, 10000));
	for (int i = 0; i < 1000; i++)
		assert_true(unit_limit_take(&l, 11001, 0, 10000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell),
		cmocka_unit_test(out_of_range_stays),
		cmocka_unit_test(stop_and_end_lead_to_inactive),
		cmocka_unit_test(restart_policies),
		cmocka_unit_test(exit_lists_come_before_the_policy),
		cmocka_unit_test(what_an_end_is),
		cmocka_unit_test(ends_have_names),
		cmocka_unit_test(backoff_doubles_to_its_cap),
		cmocka_unit_test(jitter_stays_within_a_fifth),
		cmocka_unit_test(start_limit_counts_within_its_interval),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
