/* SPDX-License-Identifier: MIT */
/* bundle/calendar.c and the minutes that init/unit.c finds in its masks: against times written out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "calendar.h"
#include "unit.h"

/* Does SPEC have the minute "2026-11-24 03:15"? */
static int has(const char *spec, const char *minute)
{
	struct unit_calendar c;
	struct tm tm = { 0 };
	time_t t;

	if (!calendar_parse(spec, &c))
		fail_msg("%s: not understood", spec);
	assert_non_null(strptime(minute, "%Y-%m-%d %H:%M", &tm));
	t = timegm(&tm);
	gmtime_r(&t, &tm);
	return unit_calendar_has(&c, &tm);
}

static void minutes(void **state)
{
	static const struct { const char *spec, *yes, *no; } cases[] = {
		{ "daily", "2026-11-24 00:00", "2026-11-24 00:01" },
		{ "hourly", "2026-11-24 17:00", "2026-11-24 17:30" },
		{ "weekly", "2026-11-23 00:00", "2026-11-24 00:00" },		/* a Monday */
		{ "monthly", "2026-11-01 00:00", "2026-11-02 00:00" },
		{ "minutely", "2026-11-24 17:33", "2026-11-24 17:33" },
		{ "03:15", "2026-11-24 03:15", "2026-11-24 15:03" },
		{ "*-*-* 03:15:00", "2026-02-28 03:15", "2026-02-28 03:16" },
		{ "*:0/15", "2026-11-24 09:45", "2026-11-24 09:46" },
		{ "8..18/2:05", "2026-11-24 10:05", "2026-11-24 11:05" },
		{ "Mon..Fri 22:30", "2026-11-24 22:30", "2026-11-28 22:30" },	/* a Tuesday, a Saturday */
		{ "Sat,Sun 22:30", "2026-11-29 22:30", "2026-11-27 22:30" },
		{ "fri..mon 01:00", "2026-11-29 01:00", "2026-11-25 01:00" },
		{ "*-12-24 18:00", "2026-12-24 18:00", "2026-11-24 18:00" },
		{ "*-*-1,15 06:00", "2026-11-15 06:00", "2026-11-14 06:00" },
		{ "12-31 23:59", "2026-12-31 23:59", "2026-12-30 23:59" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (!has(cases[i].spec, cases[i].yes))
			fail_msg("%s has not %s", cases[i].spec, cases[i].yes);
		if (strcmp(cases[i].yes, cases[i].no) != 0 && has(cases[i].spec, cases[i].no))
			fail_msg("%s has %s", cases[i].spec, cases[i].no);
	}
}

static void not_understood(void **state)
{
	static const char *const bad[] = { "never", "25:00", "12:60", "12:00:30", "12", "12:", ":30", "2026-01-01 12:00", "Mon..Foo 12:00", "Mon, 12",
		"*-13-01 00:00", "*-01-32 00:00", "*-01-00 00:00", "5..3:00", "*:0/0", "12:00 UTC+1", "12:00 *-01-01", "*-02~1 00:00", "1,,2:00" };
	struct unit_calendar c;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (calendar_parse(bad[i], &c))
			fail_msg("%s is taken", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(minutes),
		cmocka_unit_test(not_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
