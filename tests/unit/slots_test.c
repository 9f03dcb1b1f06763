/* SPDX-License-Identifier: MIT */
/* bundle/slots.c: what is written is read back; what is not whole is never believed. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "file.h"
#include "slots.h"

static char dir[] = "/tmp/slots_test.XXXXXX";
static struct store *store;
static struct slots one, two;

#define D "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"

static int setup(void **state)
{
	struct err e = { "" };

	(void)state;
	return mkdtemp(dir) && store_open(&store, dir, STORE_WRITE, &e) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	struct err e = { "" };

	(void)state;
	store_close(store);
	return file_remove_tree(AT_FDCWD, dir, &e);
}

static void absent_is_empty(void **state)
{
	struct err e = { "" };

	(void)state;
	one.count = 7;
	assert_int_equal(slots_read(store, &one, &e), 0);
	assert_int_equal(one.count, 0);
}

static void comes_back(void **state)
{
	struct err e = { "" };
	struct slot *s;

	(void)state;
	memset(&one, 0, sizeof(one));
	s = slots_get(&one, "app");
	snprintf(s->ref, sizeof(s->ref), "r.test:5000/a:1");
	snprintf(s->current, sizeof(s->current), D "0");
	snprintf(s->previous, sizeof(s->previous), D "1");
	s->tries = 3;
	s->floor = 12;
	s = slots_get(&one, "other");
	snprintf(s->refused[0], sizeof(s->refused[0]), D "2");
	snprintf(s->refused[1], sizeof(s->refused[1]), D "3");
	assert_ptr_equal(slots_get(&one, "app"), &one.slot[0]);
	assert_int_equal(slots_write(store, &one, &e), 0);
	memset(&two, 0xff, sizeof(two));
	assert_int_equal(slots_read(store, &two, &e), 0);
	assert_memory_equal(&one, &two, sizeof(one));
	assert_null(slots_find(&two, "third"));
}

static void full_is_full(void **state)
{
	struct err e = { "" };
	char name[16];

	(void)state;
	memset(&one, 0, sizeof(one));
	for (int i = 0; i < CONFIG_UNITS_MAX; i++) {
		struct slot *s;

		snprintf(name, sizeof(name), "u%d", i);
		s = slots_get(&one, name);
		assert_non_null(s);
		memset(s->ref, 'r', sizeof(s->ref) - 1);
		snprintf(s->current, sizeof(s->current), D "0");
		snprintf(s->previous, sizeof(s->previous), D "0");
		snprintf(s->next, sizeof(s->next), D "0");
		for (int k = 0; k < UNIT_REFUSED_MAX; k++)
			snprintf(s->refused[k], sizeof(s->refused[k]), D "0");
		s->tries = UINT32_MAX;
		s->floor = UINT64_MAX;
	}
	assert_null(slots_get(&one, "more"));
	assert_int_equal(slots_write(store, &one, &e), 0);
	assert_int_equal(slots_read(store, &two, &e), 0);
	assert_memory_equal(&one, &two, sizeof(one));
}

/* Every byte changed and every cut: damage, or (for no byte at all) what was written. */
static void damage_is_seen(void **state)
{
	struct err e = { "" };
	char *text;
	size_t len;

	comes_back(state);
	assert_int_equal(file_read(store_fd(store), "state/slots", 65536, &text, &len, &e), 0);
	for (size_t i = 0; i < len; i++) {
		text[i] ^= 1;
		assert_int_equal(file_replace(store_fd(store), "state/slots", span_of(text, len), 0644, &e), 0);
		assert_int_equal(slots_read(store, &two, &e), -EUCLEAN);
		assert_int_equal(two.count, 0);
		text[i] ^= 1;
		assert_int_equal(file_replace(store_fd(store), "state/slots", span_of(text, i), 0644, &e), 0);
		assert_int_equal(slots_read(store, &two, &e), -EUCLEAN);
	}
	assert_int_equal(file_replace(store_fd(store), "state/slots", span_of(text, len), 0644, &e), 0);
	assert_int_equal(slots_read(store, &two, &e), 0);
	free(text);
}

static void a_name_with_a_blank_is_not_written(void **state)
{
	struct err e = { "" };
	struct slot *s;

	(void)state;
	memset(&one, 0, sizeof(one));
	s = slots_get(&one, "app");
	snprintf(s->ref, sizeof(s->ref), "x current=" D "0");
	assert_int_equal(slots_write(store, &one, &e), -EINVAL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(absent_is_empty),
		cmocka_unit_test(comes_back),
		cmocka_unit_test(full_is_full),
		cmocka_unit_test(damage_is_seen),
		cmocka_unit_test(a_name_with_a_blank_is_not_written),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
