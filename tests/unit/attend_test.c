/* SPDX-License-Identifier: MIT */
/* fetch/attend.c, sntp.c, stick.c: what is read of board.conf, what becomes of the servers' names, which files of a stick are looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "sntp.h"
#include "stick.h"

static struct attend a;
static char conf[2048], bad[64];

static void board_conf_is_read(void **state)
{
	(void)state;
	attend_read(&a, "");
	assert_string_equal(a.data_dir, "/data");
	assert_string_equal(a.data_label, "coracle-data");
	assert_true(a.has_sticks);
	assert_string_equal(a.ntp, "");
	attend_read(&a, "# ntp=no\nntp = one.example \r\n ntp=10.0.2.2:1123\nntpx=3\nsticks=no\ndata-label=mine\ndata-dir=/srv/data\nntp=");
	assert_string_equal(a.ntp, "one.example\n10.0.2.2:1123\n\n");
	assert_false(a.has_sticks);
	assert_string_equal(a.data_label, "mine");
	assert_string_equal(a.data_dir, "/srv/data");
}

static void servers_become_lines(void **state)
{
	(void)state;
	assert_int_equal(sntp_config("one.example\n10.0.2.2:1123\n", conf, sizeof(conf), bad, sizeof(bad)), 2);
	assert_non_null(strstr(conf, "\nserver one.example port 123 iburst\nserver 10.0.2.2 port 1123 iburst\n"));
	assert_string_equal(bad, "");
}

static void no_line_of_another_kind_gets_in(void **state)
{
	static const char *const list[] = { "a b", "-x", ".", "a\tallow", "ho$t", "a:0", "a:65536", "a:port", ":123", "a#", "[::1]" };

	(void)state;
	for (unsigned i = 0; i < sizeof(list) / sizeof(*list); i++) {
		if (sntp_config(list[i], conf, sizeof(conf), bad, sizeof(bad)) != 0 || strcmp(bad, list[i]) != 0)
			fail_msg("'%s' became a server: %s", list[i], conf);
		assert_null(strstr(conf, "server"));
	}
	assert_int_equal(sntp_config("good.example\n", conf, 64, bad, sizeof(bad)), 0);	/* what finds no room is left out whole */
	assert_null(strstr(conf, "server"));
}

static void archives_by_name(void **state)
{
	static const char *const good[] = { "app.tar", "App-1.2_3+4.tar", "a.tar" };
	static const char *const other[] = { "", ".tar", "-x.tar", ".x.tar", "a b.tar", "a.tar.gz", "a;reboot.tar", "\xc3\xa4.tar", "a:1.tar", "a.ta" };

	(void)state;
	for (unsigned i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_true(stick_is_archive(good[i]));
	for (unsigned i = 0; i < sizeof(other) / sizeof(*other); i++)
		assert_false(stick_is_archive(other[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(board_conf_is_read), cmocka_unit_test(servers_become_lines), cmocka_unit_test(no_line_of_another_kind_gets_in),
		cmocka_unit_test(archives_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
