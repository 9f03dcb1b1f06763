/* SPDX-License-Identifier: MIT */
/* lib/clock.c: what is kept, what is believed, and that the kept time only grows. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "clock.h"
#include "config.h"

static char folder[] = "/tmp/clock_test.XXXXXX";
static int dir;

static int begin(void **state)
{
	if (!mkdtemp(folder) || (dir = open(folder, O_RDONLY | O_DIRECTORY)) < 0)
		return -1;
	return mkdirat(dir, "state", 0755);
}

static int end(void **state)
{
	unlinkat(dir, CLOCK_FILE, 0);
	unlinkat(dir, "state", AT_REMOVEDIR);
	return rmdir(folder);
}

static void put(const char *text)
{
	int fd = openat(dir, CLOCK_FILE, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static void put_number(long long n)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld\n", n);
	put(text);
}

static void nothing_kept(void **state)
{
	unlinkat(dir, CLOCK_FILE, 0);
	assert_int_equal(clock_saved(dir), 0);
}

static void only_a_plausible_time_is_believed(void **state)
{
	static const char *const bad[] = { "", "\n", "soon\n", "-5\n", "0\n", "1\n", "99999999999999999999999\n", " 1900000000\n" };
	char text[64];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		put(bad[i]);
		assert_int_equal(clock_saved(dir), 0);
	}
	put_number(CONFIG_BUILD_STAMP - 1);
	assert_int_equal(clock_saved(dir), 0);
	put_number(CONFIG_BUILD_STAMP + CLOCK_LIFE_S);
	assert_int_equal(clock_saved(dir), 0);
	snprintf(text, sizeof(text), "%lld\nmore", (long long)CONFIG_BUILD_STAMP);
	put(text);
	assert_int_equal(clock_saved(dir), 0);
	put_number(CONFIG_BUILD_STAMP);
	assert_int_equal(clock_saved(dir), CONFIG_BUILD_STAMP);
}

static void it_only_grows(void **state)
{
	int64_t now = time(NULL), later = now + 86400;
	struct err e = { "" };

	unlinkat(dir, CLOCK_FILE, 0);
	assert_int_equal(clock_save(dir, &e), 0);
	assert_in_range(clock_saved(dir), now, now + 60);
	put_number(later);
	assert_int_equal(clock_save(dir, &e), 0);
	assert_int_equal(clock_saved(dir), later);
	put("garbage");
	assert_int_equal(clock_save(dir, &e), 0);
	assert_in_range(clock_saved(dir), now, now + 60);
}

static void what_cannot_be_kept_is_said(void **state)
{
	struct err e = { "" };

	unlinkat(dir, CLOCK_FILE, 0);
	unlinkat(dir, "state", AT_REMOVEDIR);
	assert_int_equal(clock_save(dir, &e), -ENOENT);
	assert_non_null(strstr(e.text, CLOCK_FILE));
	mkdirat(dir, "state", 0755);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_kept),
		cmocka_unit_test(only_a_plausible_time_is_believed),
		cmocka_unit_test(it_only_grows),
		cmocka_unit_test(what_cannot_be_kept_is_said),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
