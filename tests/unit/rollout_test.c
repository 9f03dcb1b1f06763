/* SPDX-License-Identifier: MIT */
/* fetch/rollout.c: what a share may look like, and that boards spread evenly over it and keep their place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <yyjson.h>

#include "rollout.h"

static unsigned share(const char *json)
{
	yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
	unsigned n = rollout_read(yyjson_doc_get_root(doc));

	yyjson_doc_free(doc);
	return n;
}

static void shares_are_read(void **state)
{
	static const struct { const char *json; unsigned share; } list[] = {
		{ "\"5\"", 500 }, { "5", 500 }, { "\"0\"", 0 }, { "\"100\"", 10000 }, { "100", 10000 }, { "\"0.25\"", 25 }, { "\"12.5\"", 1250 },
		{ "\"99.99\"", 9999 },
		/* What is none reaches nobody. */
		{ "\"101\"", 0 }, { "101", 0 }, { "18446744073709551615", 0 }, { "\"100.01\"", 0 }, { "\"0.255\"", 0 }, { "\"5%\"", 0 }, { "\"\"", 0 },
		{ "\"-5\"", 0 }, { "\" 5\"", 0 }, { "5.5", 0 }, { "null", 0 }, { "[5]", 0 }, { "\"4294967297\"", 0 }, { "\"all\"", 0 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(list) / sizeof(*list); i++)
		if (share(list[i].json) != list[i].share)
			fail_msg("%s is %u", list[i].json, share(list[i].json));
	assert_int_equal(rollout_read(NULL), ROLLOUT_ALL);
}

static void boards_spread_evenly_and_keep_their_place(void **state)
{
	unsigned tenth[10] = { 0 }, both = 0;
	char device[32];

	(void)state;
	/* A constant: no release of ours may move a board. */
	assert_int_equal(rollout_place("serial-10000000c0ffee00", "registry.example/app"), 5011);
	for (unsigned i = 0; i < 100000; i++) {
		unsigned place;

		snprintf(device, sizeof(device), "mac-5254%08x", i);
		place = rollout_place(device, "registry.example/app");
		assert_true(place < ROLLOUT_ALL);
		tenth[place / 1000]++;
		both += place < 1000 && rollout_place(device, "registry.example/other") < 1000;
	}
	/* 10,000 each; the standard deviation is 95. */
	for (unsigned i = 0; i < 10; i++)
		assert_in_range(tenth[i], 9500, 10500);
	/* Not the same boards are the first for everything. */
	assert_in_range(both, 850, 1150);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(shares_are_read), cmocka_unit_test(boards_spread_evenly_and_keep_their_place) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
