/* SPDX-License-Identifier: MIT */
/*
 * init/update_run.c and update_watch.c with both clocks in our hand: trials of hours, a wall clock that jumps in every state, a release whose unit fails
 * late. Jobs are started and find no program; what they would have said is told in their place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>

#include "health.h"
#include "pid1.h"
#include "sup.h"
#include "update_run.h"

enum { HOUR_MS = 3600 * 1000 };

static struct pid1 p;
static struct status status;
static time_t wall;

/* Instead of the C library's, whose name is a weak one. */
int clock_gettime(clockid_t clock, struct timespec *t)
{
	*t = (struct timespec){ .tv_sec = clock == CLOCK_REALTIME ? wall : 1000 };
	return 0;
}

static const char *digest(char c)
{
	static char text[4][72];
	static int turn;
	char *d = text[turn++ % 4];

	memcpy(d, "sha256:", 7);
	memset(d + 7, c, 64);
	d[71] = '\0';
	return d;
}

static void add_unit(unsigned i, const char *name)
{
	struct unit *u = &p.units[i];

	u->is_used = true;
	u->record_fd = u->report_fd = u->pidfd = u->ring_fd = u->ring_read_fd = u->notify_fd = u->health.out_fd = -1;
	snprintf(u->entry.name, sizeof(u->entry.name), "%s", name);
	snprintf(u->entry.image, sizeof(u->entry.image), "registry.test/%s:1", name);
	memcpy(u->entry.current, digest('a'), 72);
	u->entry.is_enabled = 1;
	u->entry.skips_registry = strcmp(name, UNIT_RELEASE_NAME) != 0;
	u->update.is_loaded = true;
	u->state = UNIT_BACKOFF;	/* no process is there to be signalled */
	if (p.units_len <= i)
		p.units_len = i + 1;
}

static int fresh(void **state)
{
	(void)state;
	memset(&p, 0, sizeof(p));
	memset(&status, 0, sizeof(status));
	p.status = &status;
	p.now_ms = 1000000;
	p.is_net_up = p.is_table_with_store = true;
	status.is_data_there = 1;
	snprintf(p.bin_dir, sizeof(p.bin_dir), "/nonexistent");
	snprintf(status.data_dir, sizeof(status.data_dir), "/nonexistent");
	wall = 1700000000;
	return 0;
}

static enum update_state state_of(unsigned i)
{
	return p.units[i].update.state;
}

/* Whatever ran for it is gone, and said this. */
static void job_says(unsigned i, enum job_kind kind, unsigned code, const char *named)
{
	struct job j = { .kind = kind, .unit = (int)i };

	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	memset(p.jobs, 0, sizeof(p.jobs));
	memcpy(j.result.digest, named, strlen(named) + 1);
	update_job_ended(&p, &j, code, code == JOB_DONE ? "" : "it failed");
}

/* 1970, 2099, the night, the day: and each time PID 1 looks round. */
static void jump(unsigned i, enum update_state stays)
{
	static const time_t to[] = { 0, 4070908800, 1700017200, 1700049600, 1, 2147483648 };

	for (size_t n = 0; n < sizeof(to) / sizeof(to[0]); n++) {
		wall = to[n];
		update_scan(&p, p.now_ms);
		assert_int_equal(state_of(i), stays);
	}
	wall = 1700000000;
}

static void ask(unsigned i)
{
	char text[200];

	assert_int_equal(update_ask(&p, i, "", text, sizeof(text)), 0);
}

/* One that is up, from its start at this moment on. */
static void runs(unsigned i)
{
	p.units[i].state = UNIT_RUNNING;
	p.units[i].started_ms = p.now_ms;
}

static void to_trial(unsigned i, bool jumps)
{
	ask(i);
	assert_int_equal(state_of(i), UPDATE_CHECKING);
	if (jumps)
		jump(i, UPDATE_CHECKING);
	job_says(i, JOB_CHECK, JOB_DONE, digest('t'));
	assert_int_equal(state_of(i), UPDATE_DOWNLOADING);
	if (jumps)
		jump(i, UPDATE_DOWNLOADING);
	job_says(i, JOB_FETCH, JOB_DONE, digest('b'));
	assert_int_equal(state_of(i), UPDATE_VERIFIED);
	if (jumps)
		jump(i, UPDATE_VERIFIED);
	p.units[i].state = UNIT_STARTING;	/* not yet */
	job_says(i, JOB_SLOT, JOB_DONE, digest('b'));
	assert_int_equal(state_of(i), UPDATE_STAGED);
	if (jumps && i + 1 != p.release)
		jump(i, UPDATE_STAGED);
	p.units[i].state = UNIT_BACKOFF;
	update_scan(&p, p.now_ms);
	assert_int_equal(state_of(i), UPDATE_SWITCHING);
	if (jumps)
		jump(i, UPDATE_SWITCHING);
	job_says(i, JOB_SLOT, JOB_DONE, digest('b'));
	assert_int_equal(state_of(i), UPDATE_CONFIRMING);
	assert_string_equal(p.units[i].entry.current, digest('b'));
}

static void a_clock_that_jumps_moves_nothing(void **state)
{
	(void)state;
	add_unit(0, "app");
	p.units[0].entry.update = (struct unit_update){ .confirm_ms = 2 * HOUR_MS, .confirm_window_ms = 3 * HOUR_MS };
	jump(0, UPDATE_IDLE);
	to_trial(0, true);
	runs(0);
	jump(0, UPDATE_CONFIRMING);
	p.now_ms += 2 * HOUR_MS - 1;
	jump(0, UPDATE_CONFIRMING);
	p.now_ms += 1;
	update_scan(&p, p.now_ms);
	assert_int_equal(state_of(0), UPDATE_COMMITTED);
	jump(0, UPDATE_COMMITTED);
	job_says(0, JOB_SLOT, JOB_DONE, digest('b'));
	assert_int_equal(state_of(0), UPDATE_IDLE);
	assert_string_equal(p.units[0].entry.slot.previous, digest('a'));
	jump(0, UPDATE_IDLE);
}

/* With AutoUpdate= the clock decides one thing: whether it is the window. A look is due by the time since boot. */
static void the_window_alone_is_the_clocks(void **state)
{
	(void)state;
	add_unit(0, "app");
	p.units[0].entry.update = (struct unit_update){ .is_auto = 1, .interval_ms = HOUR_MS, .window_from = 60, .window_to = 300 };
	p.units[0].update.check_ms = p.now_ms + HOUR_MS;
	jump(0, UPDATE_IDLE);
	p.now_ms += HOUR_MS;
	wall = 12 * 3600;		/* noon of the first day of 1970 */
	update_scan(&p, p.now_ms);
	assert_int_equal(state_of(0), UPDATE_IDLE);
	wall = 4070908800 + 2 * 3600;	/* two in the night, in 2099 */
	update_scan(&p, p.now_ms);
	assert_int_equal(state_of(0), UPDATE_CHECKING);
}

static void unhealthy_after_an_hour_is_a_verdict_while_on_trial(void **state)
{
	(void)state;
	add_unit(0, "app");
	p.units[0].entry.update = (struct unit_update){ .confirm_ms = 2 * HOUR_MS, .confirm_window_ms = 3 * HOUR_MS };
	to_trial(0, false);
	runs(0);
	status.unit[0].health = HEALTH_GOOD;
	update_scan(&p, p.now_ms);
	assert_int_equal(state_of(0), UPDATE_CONFIRMING);
	p.now_ms += HOUR_MS;
	update_scan(&p, p.now_ms);
	assert_int_equal(state_of(0), UPDATE_CONFIRMING);
	status.unit[0].health = HEALTH_BAD;
	p.units[0].state = UNIT_BACKOFF;
	update_scan(&p, p.now_ms);
	assert_int_equal(state_of(0), UPDATE_ROLLED_BACK);
	assert_true(update_obstacle(&p, 0) != NULL);		/* not started before the disk knows */
	jump(0, UPDATE_ROLLED_BACK);
	job_says(0, JOB_SLOT, JOB_DONE, digest('b'));
	assert_int_equal(state_of(0), UPDATE_IDLE);
	assert_string_equal(p.units[0].entry.current, digest('a'));
	assert_true(update_is_refused(&p.units[0].entry.slot, digest('b')));
}

static void release_of_two(void)
{
	add_unit(0, "one");
	add_unit(1, "two");
	add_unit(2, UNIT_RELEASE_NAME);
	p.release = 3;
	snprintf(p.units[2].entry.image, sizeof(p.units[2].entry.image), "registry.test/fleet:1");
	for (unsigned i = 0; i < 2; i++) {
		p.units[i].entry.origin = UNIT_ORIGIN_RELEASE;
		p.units[i].entry.update.confirm_ms = 2 * HOUR_MS;
	}
	p.units[2].entry.update = (struct unit_update){ .confirm_ms = 1000, .confirm_window_ms = 3 * HOUR_MS };
	to_trial(2, true);
	assert_true(p.is_release_switch && !p.read_units.is_done);
	assert_non_null(update_obstacle(&p, 0));		/* its units wait for the new table */
	p.is_release_switch = false;
	runs(0);
	runs(1);
	update_scan(&p, p.now_ms);
	jump(2, UPDATE_CONFIRMING);
}

static void a_release_is_condemned_for_one_unit_after_an_hour(void **state)
{
	(void)state;
	release_of_two();
	p.now_ms += HOUR_MS;
	update_scan(&p, p.now_ms);
	assert_int_equal(state_of(2), UPDATE_CONFIRMING);
	p.units[1].state = UNIT_BACKOFF;
	status.unit[1].health = HEALTH_BAD;
	update_scan(&p, p.now_ms);
	assert_int_equal(state_of(2), UPDATE_ROLLED_BACK);
	assert_string_equal(p.units[2].update.why, "unit two: unhealthy");
	assert_string_equal(p.units[2].entry.current, digest('a'));
	assert_non_null(update_obstacle(&p, 0));
	jump(2, UPDATE_ROLLED_BACK);
	job_says(2, JOB_SLOT, JOB_DONE, digest('b'));
	assert_int_equal(state_of(2), UPDATE_IDLE);
	p.is_release_switch = false;	/* the old table came */
	assert_null(update_obstacle(&p, 0));
	assert_true(update_is_refused(&p.units[2].entry.slot, digest('b')));
}

static void a_release_asks_its_registry_until_its_window_ends(void **state)
{
	(void)state;
	release_of_two();
	p.now_ms += 2 * HOUR_MS;
	for (int n = 0; n < 5; n++) {
		update_scan(&p, p.now_ms);
		assert_int_equal(state_of(2), UPDATE_CONFIRMING);
		assert_int_equal(job_count(&p, JOB_CHECK, 2), 1);
		job_says(2, JOB_CHECK, JOB_RETRY, "");
		update_scan(&p, p.now_ms);
		assert_int_equal(job_count(&p, JOB_CHECK, 2), 0);	/* not at once */
		p.now_ms += UPDATE_RETRY_MS;
	}
	update_scan(&p, p.now_ms);
	job_says(2, JOB_CHECK, JOB_DONE, digest('b'));
	update_scan(&p, p.now_ms);
	assert_int_equal(state_of(2), UPDATE_COMMITTED);
	jump(2, UPDATE_COMMITTED);
	job_says(2, JOB_SLOT, JOB_DONE, digest('b'));
	assert_int_equal(state_of(2), UPDATE_IDLE);
	jump(2, UPDATE_IDLE);
}

static void a_registry_that_never_answers_is_the_releases_fault(void **state)
{
	(void)state;
	release_of_two();
	p.now_ms += 2 * HOUR_MS;
	update_scan(&p, p.now_ms);
	job_says(2, JOB_CHECK, JOB_RETRY, "");
	p.now_ms += HOUR_MS;
	update_scan(&p, p.now_ms);
	assert_int_equal(state_of(2), UPDATE_ROLLED_BACK);
	assert_string_equal(p.units[2].update.why, "not confirmed in time: it failed");
}

/* Between the pull and the slot's line nothing on the disk names the new image. */
static void garbage_is_not_collected_while_an_image_is_being_staged(void **state)
{
	(void)state;
	add_unit(0, "app");
	ask(0);
	job_says(0, JOB_CHECK, JOB_DONE, digest('t'));
	job_says(0, JOB_FETCH, JOB_DONE, digest('b'));
	assert_int_equal(state_of(0), UPDATE_VERIFIED);
	p.wants_gc = true;
	memset(p.jobs, 0, sizeof(p.jobs));
	update_scan(&p, p.now_ms);
	assert_true(p.wants_gc);
	assert_int_equal(job_count(&p, JOB_GC, -1), 0);
	job_says(0, JOB_SLOT, JOB_DONE, digest('b'));
	memset(p.jobs, 0, sizeof(p.jobs));
	update_scan(&p, p.now_ms);
	assert_false(p.wants_gc);
	assert_int_equal(job_count(&p, JOB_GC, -1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(garbage_is_not_collected_while_an_image_is_being_staged, fresh),
		cmocka_unit_test_setup(a_clock_that_jumps_moves_nothing, fresh),
		cmocka_unit_test_setup(the_window_alone_is_the_clocks, fresh),
		cmocka_unit_test_setup(unhealthy_after_an_hour_is_a_verdict_while_on_trial, fresh),
		cmocka_unit_test_setup(a_release_is_condemned_for_one_unit_after_an_hour, fresh),
		cmocka_unit_test_setup(a_release_asks_its_registry_until_its_window_ends, fresh),
		cmocka_unit_test_setup(a_registry_that_never_answers_is_the_releases_fault, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
