/* SPDX-License-Identifier: MIT */
/* init/small.c, included under other names, beside what the standards say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>

#define strstr own_strstr
#define gmtime_r own_gmtime_r
#define clock_gettime own_clock_gettime
#define fork own_fork
#define setresuid own_setresuid
#define setresgid own_setresgid
#define setuid own_setuid
#define setgid own_setgid
#define setgroups own_setgroups
#include "../../init/small.c"

static void places(void **state)
{
	const char *text = "one two three two";

	(void)state;
	assert_ptr_equal(own_strstr(text, "two"), text + 4);
	assert_ptr_equal(own_strstr(text, ""), text);
	assert_ptr_equal(own_strstr(text, "two "), text + 4);
	assert_ptr_equal(own_strstr(text, "three two"), text + 8);
	assert_null(own_strstr(text, "three two "));
	assert_null(own_strstr("", "x"));
	assert_string_equal(own_strstr("", ""), "");
	assert_string_equal(own_strstr("aaab", "aab"), "aab");
}

/* Every day of four centuries against a calendar counted by hand. */
static void days(void **state)
{
	int year = 1970, month = 0, day = 1, wday = 4;
	struct tm tm;

	(void)state;
	for (time_t t = 0; year < 2400; t += 86400) {
		static const int length[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
		int is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
		time_t inside = t + 86399;

		own_gmtime_r(&inside, &tm);
		if (tm.tm_year != year - 1900 || tm.tm_mon != month || tm.tm_mday != day || tm.tm_wday != wday)
			fail_msg("%d-%d-%d is %d-%d-%d", year, month, day, tm.tm_year, tm.tm_mon, tm.tm_mday);
		assert_true(tm.tm_hour == 23 && tm.tm_min == 59 && tm.tm_sec == 59);
		wday = (wday + 1) % 7;
		if (++day > length[month] + (month == 1 && is_leap)) {
			day = 1;
			if (++month == 12) {
				month = 0;
				year++;
			}
		}
	}
}

static void the_clock_goes_and_a_fork_returns_twice(void **state)
{
	struct timespec a, b;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(own_clock_gettime(CLOCK_BOOTTIME, &a), 0);
	pid = own_fork();
	if (pid == 0)
		_exit(7);
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7);
	assert_int_equal(own_clock_gettime(CLOCK_BOOTTIME, &b), 0);
	assert_true(a.tv_sec > 0 && (b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec > a.tv_nsec)));
	assert_int_equal(own_clock_gettime(9999, &a), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places),
		cmocka_unit_test(days),
		cmocka_unit_test(the_clock_goes_and_a_fork_returns_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
