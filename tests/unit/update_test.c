/* SPDX-License-Identifier: MIT */
/* init/update.c: every cell of the table, what leads where in all, and the questions around it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "update_names.h"

/* One letter per state, one per action, in the order of the enums; "" is a cell that stays and does nothing.
 * States:  I C D V S W T G B   (idle checking downloading verified staged switching confirming committed rolled-back)
 * Actions: - nothing, c check, p pull, s stage, w wait, n count, t try, k commit, x condemn, g give up, v revert, f refuse, r return,
 *          l settle, K cancel, . rest, ! fail, j later, a again */
static const char states[] = "ICDVSWTGB";
static const char actions[] = "-cpswntkxgvfrlK.!ja";

/*                         asked back fstag ftrial fspent same newer wback done retry refsd go good bad stopped timer */
static const char *const grid[UPDATE_STATES][UPDATE_EVENTS] = {
	[UPDATE_IDLE] =        { "Cc", "Bv", "Sw", "Wn", "Bx", "", "", "", "", "", "", "", "", "", "", "" },
	[UPDATE_CHECKING] =    { "", "IK", "", "", "", "I.", "Dp", "", "", "I!", "I!", "", "", "", "", "Ca" },
	[UPDATE_DOWNLOADING] = { "", "IK", "", "", "", "I.", "", "Bg", "Vs", "I!", "I!", "", "", "", "", "Da" },
	[UPDATE_VERIFIED] =    { "", "", "", "", "", "", "", "", "Sw", "I!", "Bf", "", "", "", "", "Va" },
	[UPDATE_STAGED] =      { "Cc", "Bx", "", "", "", "", "", "", "", "", "", "Wn", "", "", "", "" },
	[UPDATE_SWITCHING] =   { "", "", "", "", "", "", "", "", "Tt", "Sj", "Bx", "", "", "", "", "Wa" },
	[UPDATE_CONFIRMING] =  { "", "Bx", "", "", "", "", "", "", "", "", "", "", "Gk", "Bx", "Bg", "" },
	[UPDATE_COMMITTED] =   { "", "", "", "", "", "", "", "", "Il", "Gj", "I!", "", "", "", "", "Ga" },
	[UPDATE_ROLLED_BACK] = { "", "", "", "", "", "", "", "", "Ir", "Bj", "I!", "", "", "", "", "Ba" },
};

static void every_cell(void **state)
{
	(void)state;
	assert_int_equal(strlen(states), UPDATE_STATES);
	assert_int_equal(strlen(actions), UPDATE_ACTIONS);
	for (int s = 0; s < UPDATE_STATES; s++) {
		for (int e = 0; e < UPDATE_EVENTS; e++) {
			struct update_step step = update_step(s, e);
			const char *want = grid[s][e];
			char next = want[0] ? want[0] : states[s], action = want[0] ? want[1] : '-';

			if (states[step.next] != next || actions[step.action] != action || update_takes(s, e) != (want[0] != '\0'))
				fail_msg("%s x %s: %c%c, expected %c%c", update_state_name(s), event_name[e],
					states[step.next], actions[step.action], next, action);
		}
	}
}

static void out_of_range_stays(void **state)
{
	(void)state;
	assert_int_equal(update_step(UPDATE_STAGED, UPDATE_EVENTS).next, UPDATE_STAGED);
	assert_int_equal(update_step(UPDATE_STAGED, UPDATE_EVENTS).action, UPDATE_DO_NOTHING);
	assert_false(update_takes(UPDATE_STATES, UPDATE_EV_ASKED));
	assert_string_equal(update_state_name(UPDATE_STATES), "unknown");
}

/* No way round the order: the new image is started after its attempt was counted, and committed after it was good. */
static void nothing_is_skipped(void **state)
{
	(void)state;
	for (int s = 0; s < UPDATE_STATES; s++)
		for (int e = 0; e < UPDATE_EVENTS; e++) {
			struct update_step step = update_step(s, e);

			if (step.action == UPDATE_DO_TRY)
				assert_true(s == UPDATE_SWITCHING && e == UPDATE_EV_DONE);
			if (step.action == UPDATE_DO_COMMIT)
				assert_true(s == UPDATE_CONFIRMING && e == UPDATE_EV_GOOD);
			if (step.action == UPDATE_DO_STAGE)
				assert_true(s == UPDATE_DOWNLOADING && e == UPDATE_EV_DONE);
			/* From where something is to be written, only its being written leads on. */
			if ((s == UPDATE_COMMITTED || s == UPDATE_ROLLED_BACK) && step.next != s)
				assert_true(e == UPDATE_EV_DONE || e == UPDATE_EV_REFUSED);
		}
}

/* Whatever happens to its job, no state keeps an update for ever. */
static void every_job_state_has_its_ends(void **state)
{
	static const uint8_t jobs[] = { UPDATE_CHECKING, UPDATE_DOWNLOADING, UPDATE_VERIFIED, UPDATE_SWITCHING, UPDATE_COMMITTED, UPDATE_ROLLED_BACK };

	(void)state;
	for (unsigned i = 0; i < sizeof(jobs); i++) {
		assert_true(update_takes(jobs[i], UPDATE_EV_RETRY));
		assert_true(update_takes(jobs[i], UPDATE_EV_REFUSED));
		assert_true(update_takes(jobs[i], UPDATE_EV_TIMER));
		assert_true(jobs[i] == UPDATE_CHECKING || update_takes(jobs[i], UPDATE_EV_DONE));
	}
}

static void what_is_found_at_boot(void **state)
{
	struct unit_slot s = { .tries = 2 };

	(void)state;
	assert_int_equal(update_found(&s), UPDATE_EVENTS);
	snprintf(s.next, sizeof(s.next), "sha256:x");
	assert_int_equal(update_found(&s), UPDATE_EV_FOUND_TRIAL);
	s.tries = 0;
	assert_int_equal(update_found(&s), UPDATE_EV_FOUND_STAGED);
	s.tries = CONFIG_UPDATE_TRIES;
	assert_int_equal(update_found(&s), UPDATE_EV_FOUND_SPENT);
}

static void the_window(void **state)
{
	(void)state;
	assert_true(update_is_in_window(0, 0, 700));
	assert_true(update_is_in_window(60, 120, 60));
	assert_true(update_is_in_window(60, 120, 119));
	assert_false(update_is_in_window(60, 120, 120));
	assert_false(update_is_in_window(60, 120, 59));
	assert_true(update_is_in_window(23 * 60, 60, 23 * 60));
	assert_true(update_is_in_window(23 * 60, 60, 59));
	assert_false(update_is_in_window(23 * 60, 60, 60));
}

static void how_long_a_trial_takes(void **state)
{
	struct unit_entry e = { 0 };

	(void)state;
	assert_int_equal(update_confirm_ms(&e), CONFIG_UPDATE_CONFIRM_S * 1000);
	assert_int_equal(update_window_ms(&e), CONFIG_UPDATE_WINDOW_S * 1000);
	e.notify = UNIT_NOTIFY_YES;
	assert_int_equal(update_confirm_ms(&e), 0);
	e.update.confirm_ms = 5000;
	assert_int_equal(update_confirm_ms(&e), 5000);
	e.update.confirm_window_ms = 9000;
	assert_int_equal(update_window_ms(&e), 9000);
	/* Never so short that no image could pass. */
	e.update.confirm_ms = 9000;
	assert_int_equal(update_window_ms(&e), 9000 + CONFIG_UPDATE_WINDOW_S * 1000);
}

static void what_was_refused(void **state)
{
	struct unit_slot s = { .refused = { "sha256:a", "sha256:b" } };

	(void)state;
	assert_true(update_is_refused(&s, "sha256:b"));
	assert_false(update_is_refused(&s, "sha256:c"));
	assert_false(update_is_refused(&s, ""));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell),
		cmocka_unit_test(out_of_range_stays),
		cmocka_unit_test(nothing_is_skipped),
		cmocka_unit_test(every_job_state_has_its_ends),
		cmocka_unit_test(what_is_found_at_boot),
		cmocka_unit_test(the_window),
		cmocka_unit_test(how_long_a_trial_takes),
		cmocka_unit_test(what_was_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
