/* SPDX-License-Identifier: MIT */
/* bundle/slot_steps.c: every step from every kind of slot; what is repeated, what is refused, what the floor lets in. And state/updates. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "file.h"
#include "slot_steps.h"
#include "update_log.h"

#define D "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"
#define A D "a"
#define B D "b"
#define C D "c"
#define REF "r.test:5000/app:1"

static struct slot fresh(void)
{
	struct slot s = { .name = "app", .ref = REF, .current = A };

	return s;
}

static struct slot staged(void)
{
	struct slot s = fresh();

	snprintf(s.next, sizeof(s.next), B);
	return s;
}

static struct slot on_trial(uint32_t tries)
{
	struct slot s = staged();

	s.tries = tries;
	return s;
}

/* A refused step leaves the slot as it was and says why. */
static void refuses(int got, int want, const struct slot *now, const struct slot *before, struct err *e, const char *why)
{
	assert_int_equal(got, want);
	assert_memory_equal(now, before, sizeof(*now));
	assert_non_null(strstr(e->text, why));
	e->text[0] = '\0';
}

static void stage(void **state)
{
	struct slot s = fresh(), before = s;
	struct err e = { "" };

	(void)state;
	refuses(slot_stage(&s, "r.test:5000/other:1", B, 0, &e), -EINVAL, &s, &before, &e, "uses no image of r.test:5000/other:1 yet");
	refuses(slot_stage(&s, REF, A, 0, &e), -EINVAL, &s, &before, &e, "uses that image already");
	assert_int_equal(slot_stage(&s, REF, B, 0, &e), SLOT_CHANGED);
	assert_string_equal(s.next, B);
	assert_int_equal(slot_stage(&s, REF, B, 0, &e), SLOT_ALREADY);
	/* The tag moved while it waited: the later one takes its place. */
	assert_int_equal(slot_stage(&s, REF, C, 0, &e), SLOT_CHANGED);
	assert_string_equal(s.next, C);
	s = before = on_trial(1);
	refuses(slot_stage(&s, REF, C, 0, &e), -EBUSY, &s, &before, &e, "is on trial");
	s = fresh();
	snprintf(s.refused[2], sizeof(s.refused[2]), B);
	snprintf(s.refused[0], sizeof(s.refused[0]), C);
	snprintf(s.refused[1], sizeof(s.refused[1]), D "d");
	before = s;
	refuses(slot_stage(&s, REF, B, 0, &e), -EKEYREJECTED, &s, &before, &e, "failed here before");
}

static void tries_are_counted_up_to_the_limit(void **state)
{
	struct slot s = staged(), before = s;
	struct err e = { "" };

	(void)state;
	refuses(slot_try(&s, C, 1, &e), -EINVAL, &s, &before, &e, "is not staged");
	refuses(slot_try(&s, B, 2, &e), -EINVAL, &s, &before, &e, "attempt 2 does not follow 0");
	for (uint32_t n = 1; n <= CONFIG_UPDATE_TRIES; n++) {
		assert_int_equal(slot_try(&s, B, n, &e), SLOT_CHANGED);
		assert_int_equal(s.tries, n);
		assert_int_equal(slot_try(&s, B, n, &e), SLOT_ALREADY);
	}
	before = s;
	refuses(slot_try(&s, B, CONFIG_UPDATE_TRIES + 1, &e), -EKEYREJECTED, &s, &before, &e, "were interrupted");
	assert_string_equal(s.current, A);
}

static void commit_raises_the_floor_and_keeps_the_old_one(void **state)
{
	struct slot s = staged(), before = s;
	struct err e = { "" };

	(void)state;
	refuses(slot_commit(&s, B, 7, &e), -EINVAL, &s, &before, &e, "is not on trial");
	s = on_trial(2);
	s.floor = 5;
	assert_int_equal(slot_commit(&s, B, 7, &e), SLOT_CHANGED);
	assert_string_equal(s.current, B);
	assert_string_equal(s.previous, A);
	assert_string_equal(s.next, "");
	assert_int_equal(s.tries, 0);
	assert_int_equal(s.floor, 7);
	assert_int_equal(slot_commit(&s, B, 7, &e), SLOT_ALREADY);
}

static void rollback_of_a_trial(void **state)
{
	struct slot s = on_trial(1);
	struct err e = { "" };

	(void)state;
	assert_int_equal(slot_rollback(&s, B, true, &e), SLOT_CHANGED);
	assert_string_equal(s.current, A);
	assert_string_equal(s.next, "");
	assert_int_equal(s.tries, 0);
	assert_true(slot_is_refused(&s, B));
	assert_int_equal(slot_rollback(&s, B, true, &e), SLOT_ALREADY);
	/* Without a verdict it may come again. */
	s = on_trial(1);
	assert_int_equal(slot_rollback(&s, B, false, &e), SLOT_CHANGED);
	assert_false(slot_is_refused(&s, B));
	assert_int_equal(slot_stage(&s, REF, B, 0, &e), SLOT_CHANGED);
}

static void rollback_of_a_committed_one(void **state)
{
	struct slot s = fresh(), before = s;
	struct err e = { "" };

	(void)state;
	refuses(slot_rollback(&s, A, true, &e), -EINVAL, &s, &before, &e, "no image from before");
	s = on_trial(1);
	assert_int_equal(slot_commit(&s, B, 9, &e), SLOT_CHANGED);
	assert_int_equal(slot_rollback(&s, B, true, &e), SLOT_CHANGED);
	assert_string_equal(s.current, A);
	assert_string_equal(s.previous, "");
	assert_true(slot_is_refused(&s, B));
	/* The floor stays: the local one below it runs, one from outside does not come in. */
	assert_int_equal(s.floor, 9);
	assert_int_equal(slot_stage(&s, REF, C, 8, &e), -EKEYREJECTED);
	assert_int_equal(slot_rollback(&s, B, true, &e), SLOT_ALREADY);
}

static void refused_ones_are_remembered_latest_first(void **state)
{
	struct slot s = staged(), before;
	struct err e = { "" };
	char digest[DIGEST_TEXT_LEN + 1];

	(void)state;
	assert_int_equal(slot_refuse(&s, B, &e), SLOT_CHANGED);
	assert_string_equal(s.next, "");
	assert_int_equal(slot_refuse(&s, B, &e), SLOT_ALREADY);
	for (int i = 0; i < UNIT_REFUSED_MAX; i++) {
		snprintf(digest, sizeof(digest), D "%d", i);
		assert_int_equal(slot_refuse(&s, digest, &e), SLOT_CHANGED);
		assert_string_equal(s.refused[0], digest);
	}
	assert_false(slot_is_refused(&s, B));
	before = s;
	refuses(slot_refuse(&s, A, &e), -EBUSY, &s, &before, &e, "uses that image");
}

static void the_floor_names_both_versions(void **state)
{
	struct slot s = fresh(), before;
	struct err e = { "" };

	(void)state;
	assert_int_equal(slot_check_floor(&s, 0, &e), 0);
	s.floor = 12;
	before = s;
	refuses(slot_stage(&s, REF, B, 11, &e), -EKEYREJECTED, &s, &before, &e, "version 11 is older than 12");
	refuses(slot_stage(&s, REF, B, 0, &e), -EKEYREJECTED, &s, &before, &e, "says no version and 12");
	assert_int_equal(slot_stage(&s, REF, B, 12, &e), SLOT_CHANGED);
}

static void the_log_keeps_the_last_of_each_unit(void **state)
{
	char dir[] = "/tmp/update_log_test.XXXXXX", why[16], *text;
	struct store *store;
	struct err e = { "" };
	size_t len;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(store_open(&store, dir, STORE_WRITE, &e), 0);
	assert_int_equal(file_make_dirs(store_fd(store), "state", 0755, &e), 0);
	for (int i = 0; i < 9; i++) {
		char digest[DIGEST_TEXT_LEN + 1];

		snprintf(digest, sizeof(digest), D "%d", i);
		snprintf(why, sizeof(why), "why %d\n\033", i);
		assert_int_equal(update_log_add(store, "app", "committed", digest, 1000, why, &e), 0);
		assert_int_equal(update_log_add(store, "other", "failed", A, 5, why, &e), 0);
	}
	assert_int_equal(file_read(store_fd(store), UPDATE_LOG_PATH, 65536, &text, &len, &e), 0);
	assert_null(strstr(text, "why 4?? "));
	assert_null(strstr(text, D "4"));
	for (int i = 5; i < 9; i++) {
		snprintf(why, sizeof(why), "1000 why %d??\n", i);
		assert_non_null(strstr(text, why));
	}
	/* The same outcome of the same image again is one line. */
	assert_non_null(strstr(text, " other failed " A " 5 why 8??\n"));
	assert_null(strstr(text, "5 why 7"));
	free(text);
	store_close(store);
	assert_int_equal(file_remove_tree(AT_FDCWD, dir, &e), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(stage),
		cmocka_unit_test(tries_are_counted_up_to_the_limit),
		cmocka_unit_test(commit_raises_the_floor_and_keeps_the_old_one),
		cmocka_unit_test(rollback_of_a_trial),
		cmocka_unit_test(rollback_of_a_committed_one),
		cmocka_unit_test(refused_ones_are_remembered_latest_first),
		cmocka_unit_test(the_floor_names_both_versions),
		cmocka_unit_test(the_log_keeps_the_last_of_each_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
