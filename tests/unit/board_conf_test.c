/* SPDX-License-Identifier: MIT */
/* init/board_conf.c: every key, and mistakes that are named and skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "board_conf.h"

static struct board_conf c;

static void nothing_means_defaults(void **state)
{
	(void)state;
	board_conf_parse(&c, "");
	assert_string_equal(c.hostname, "coracle");
	assert_string_equal(c.data_label, "coracle-data");
	assert_string_equal(c.units, "/etc/coracle/units");
	assert_int_equal(c.net, BOARD_NET_NONE);
	assert_false(c.is_host);
	assert_int_equal(c.errors, 0);
}

static void every_key(void **state)
{
	static const uint8_t addr[] = { 10, 0, 2, 15 }, gateway[] = { 10, 0, 2, 2 }, dns[] = { 9, 9, 9, 9 };

	(void)state;
	board_conf_parse(&c, "# a board\n\nhostname=pump-3\n data-label = data \r\nunits=/u\nhost=yes\n"
		"network=static eth0 10.0.2.15/24 10.0.2.2\ndns=10.0.2.3\ndns=9.9.9.9\n"
		"console=ttyS0\nconsole=/dev/ttyAMA0\nverify=boot\ndata-dir=/x\nread-group=30\nmetrics-port=9100");
	assert_int_equal(c.errors, 0);
	assert_int_equal(c.read_group, 30);
	assert_int_equal(c.metrics_port, 9100);
	assert_string_equal(c.hostname, "pump-3");
	assert_string_equal(c.data_label, "data");
	assert_string_equal(c.data_dir, "/x");
	assert_string_equal(c.units, "/u");
	assert_true(c.is_host);
	assert_true(c.is_verified);
	assert_int_equal(c.net, BOARD_NET_STATIC);
	assert_string_equal(c.net_iface, "eth0");
	assert_memory_equal(c.net_addr, addr, 4);
	assert_memory_equal(c.net_gateway, gateway, 4);
	assert_int_equal(c.net_prefix, 24);
	assert_true(c.has_gateway);
	assert_int_equal(c.dns_len, 2);
	assert_memory_equal(c.dns[1], dns, 4);
	assert_int_equal(c.console_len, 2);
	assert_string_equal(c.console[0], "/dev/ttyS0");
	assert_false(c.is_plain[0]);
	assert_string_equal(c.console[1], "/dev/ttyAMA0");
}

static void networks(void **state)
{
	(void)state;
	board_conf_parse(&c, "network=dhcp");
	assert_int_equal(c.net, BOARD_NET_DHCP);
	assert_string_equal(c.net_iface, "");
	board_conf_parse(&c, "network=dhcp wlan0");
	assert_string_equal(c.net_iface, "wlan0");
	board_conf_parse(&c, "network=static eth0 10.0.0.1/8");
	assert_int_equal(c.net, BOARD_NET_STATIC);
	assert_false(c.has_gateway);
	board_conf_parse(&c, "console=ttyS1 plain\nconsole=- plain\nconsole=ttyS2");
	assert_int_equal(c.errors, 0);
	assert_int_equal(c.console_len, 3);
	assert_string_equal(c.console[0], "/dev/ttyS1");
	assert_string_equal(c.console[1], "-");
	assert_true(c.is_plain[0] && c.is_plain[1] && !c.is_plain[2]);
	board_conf_parse(&c, "console=ttyS1 coloured\nconsole=ttyS0");
	assert_int_equal(c.errors, 1);
	assert_int_equal(c.console_len, 1);
	board_conf_parse(&c, "console=none");
	assert_true(c.is_console_set);
	assert_int_equal(c.console_len, 0);
}

static void mistakes_are_named_and_skipped(void **state)
{
	static const char *const bad[] = {
		"hostnam=x", "novalue", "network=static eth0 10.0.2.15 10.0.2.2", "network=static eth0 10.0.2.256/24",
		"network=static eth0 10.0.2.15/33", "network=wifi", "host=maybe", "units=relative", "dns=ns.example",
		"hostname=", "network=static averyverylongname0 10.0.0.1/8", "data-label=0123456789012345678901234567890123456789",
	};
	char text[256];

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "\n%s\nhostname=still\n", bad[i]);
		board_conf_parse(&c, text);
		if (c.errors != 1 || strncmp(c.error[0], "board.conf:2: ", 14) != 0)
			fail_msg("%s: %u errors, %s", bad[i], c.errors, c.error[0]);
		assert_string_equal(c.hostname, "still");
	}
}

static void a_flood_of_mistakes_is_counted(void **state)
{
	static char text[6000];

	(void)state;
	for (size_t i = 0; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "x\n", 2);
	board_conf_parse(&c, text);
	assert_int_equal(c.errors, 2999);
	memset(text, 'y', sizeof(text) - 1);
	board_conf_parse(&c, text);
	assert_int_equal(c.errors, 1);
}

static void an_absent_file_is_an_error_line(void **state)
{
	(void)state;
	board_conf_read(&c, "/nonexistent/board.conf");
	assert_int_equal(c.errors, 1);
	assert_non_null(strstr(c.error[0], "/nonexistent/board.conf"));
	assert_string_equal(c.hostname, "coracle");
}

static void addresses(void **state)
{
	static const char *const bad[] = { "", "1.2.3", "1.2.3.4.", "1.2.3.4.5", "1..2.3", "a.b.c.d", "1.2.3.4 ",
		"0001.2.3.4", "-1.2.3.4", "1.2.3.999" };
	uint8_t out[4];

	(void)state;
	assert_true(board_conf_ipv4("0.0.0.0", out));
	assert_true(board_conf_ipv4("255.255.255.255", out));
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (board_conf_ipv4(bad[i], out))
			fail_msg("'%s' was taken for an address", bad[i]);
}

static void test_own_settings_over_the_images(void **state)
{
	struct board_conf c;

	(void)state;
	board_conf_parse(&c, "hostname=image\nnetwork=dhcp\ndns=1.1.1.1\ndata-label=x\nwatchdog=7\n");
	board_conf_own(&c, "hostname=mine\nnetwork=static eth0 10.0.0.5/24 10.0.0.1\n");
	assert_string_equal(c.hostname, "mine");
	assert_int_equal(c.net, BOARD_NET_STATIC);
	assert_int_equal(c.dns_len, 1);
	assert_int_equal(c.watchdog_s, 7);
	assert_string_equal(c.data_label, "x");
	board_conf_own(&c, "dns=2.2.2.2\ndns=3.3.3.3\n");
	assert_int_equal(c.dns_len, 2);
	assert_int_equal(c.dns[0][0], 2);
	assert_int_equal(c.errors, 0);
	board_conf_own(&c, "watchdog=none\nhost=yes\n");
	assert_int_equal(c.errors, 2);
	assert_string_equal(c.error[0], "board.conf:1: watchdog: not a setting of one device, which are hostname, network and dns");
	assert_int_equal(c.watchdog_s, 7);
	assert_false(c.is_host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_settings_over_the_images),
		cmocka_unit_test(nothing_means_defaults),
		cmocka_unit_test(every_key),
		cmocka_unit_test(networks),
		cmocka_unit_test(mistakes_are_named_and_skipped),
		cmocka_unit_test(a_flood_of_mistakes_is_counted),
		cmocka_unit_test(an_absent_file_is_an_error_line),
		cmocka_unit_test(addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
