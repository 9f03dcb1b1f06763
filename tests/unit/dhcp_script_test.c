/* SPDX-License-Identifier: MIT */
/* init/dhcp_script.c: what a DHCP server says is checked before it is used; init/text.c and data_uevent beside it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "data_mount.h"
#include "dhcp_script.h"
#include "text.h"

static struct dhcp_event d;
static const char *which;

static void a_lease_is_read(void **state)
{
	char *env[] = { "PATH=/", "reason=BOUND", "interface=eth0", "new_ip_address=10.0.2.15", "new_subnet_cidr=24",
		"new_routers=10.0.2.2 10.0.2.9", "new_domain_name_servers=10.0.2.3 1.1.1.1 2.2.2.2 3.3.3.3",
		"new_ntp_servers=10.0.2.2 9.9.9.9", NULL };
	static const uint8_t gateway[] = { 10, 0, 2, 2 };

	(void)state;
	assert_int_equal(dhcp_event_read(env, &d, &which), 1);
	assert_true(d.is_bound);
	assert_string_equal(d.iface, "eth0");
	assert_int_equal(d.prefix, 24);
	assert_memory_equal(d.gateway, gateway, 4);
	assert_int_equal(d.dns_len, BOARD_CONF_DNS);
	assert_int_equal(d.ntp_len, 2);
	assert_memory_equal(d.ntp[0], gateway, 4);
}

static void bad_values_are_named(void **state)
{
	static char *const bad[] = {
		"interface=../../etc/passwd", "interface=", "interface=averyverylongname0", "interface=.x",
		"new_ip_address=10.0.2.15; reboot", "new_ip_address=", "new_subnet_cidr=33", "new_subnet_cidr=-1",
		"new_routers=$(id)", "new_domain_name_servers=10.0.2.3\nnameserver 6.6.6.6",
		"new_ntp_servers=10.0.2.2\nserver 6.6.6.6", "new_ntp_servers=pool.example",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		/* The first of two wins, so the bad one stands before the good ones. */
		char *env[] = { bad[i], "reason=RENEW", "interface=eth0", "new_ip_address=10.0.2.15",
			"new_subnet_cidr=24", "new_routers=10.0.2.2", NULL };

		if (dhcp_event_read(env, &d, &which) != -EBADMSG)
			fail_msg("%s was taken", bad[i]);
		assert_memory_equal(bad[i], which, strlen(which));
	}
}

static void other_events(void **state)
{
	char *preinit[] = { "reason=PREINIT", "interface=eth0", NULL };
	char *expire[] = { "reason=EXPIRE", "interface=eth0", NULL };
	char *none[] = { NULL };

	(void)state;
	assert_int_equal(dhcp_event_read(preinit, &d, &which), 0);
	assert_int_equal(dhcp_event_read(none, &d, &which), 0);
	assert_int_equal(dhcp_event_read(expire, &d, &which), 1);
	assert_false(d.is_bound);
}

static void uevent_values(void **state)
{
	static const char text[] = "MAJOR=254\nDEVNAME=vda1\nPARTN=1\nPARTNAME=coracle-data\n";
	char out[16];

	(void)state;
	assert_true(data_uevent(text, "PARTNAME", out, sizeof(out)));
	assert_string_equal(out, "coracle-data");
	assert_true(data_uevent(text, "DEVNAME", out, sizeof(out)));
	assert_string_equal(out, "vda1");
	assert_false(data_uevent(text, "PART", out, sizeof(out)));
	assert_false(data_uevent(text, "PARTNAME", out, 12));
	assert_false(data_uevent("", "PARTNAME", out, sizeof(out)));
}

static void numbers_and_spans(void **state)
{
	uint64_t n;
	char out[32];

	(void)state;
	assert_true(text_u64("18446744073709551615", UINT64_MAX, &n));
	assert_true(n == UINT64_MAX);
	assert_false(text_u64("18446744073709551616", UINT64_MAX, &n));
	assert_true(text_u64("32", 32, &n));
	assert_false(text_u64("33", 32, &n));
	assert_false(text_u64("5", 3, &n));
	assert_false(text_u64("", 9, &n));
	assert_false(text_u64("1x", 99, &n));
	text_span(83000, out, sizeof(out));
	assert_string_equal(out, "00:01:23");
	text_span(3 * 86400000ULL + 3661000, out, sizeof(out));
	assert_string_equal(out, "3d 01:01:01");
	text_bytes(1258291, out, sizeof(out));
	assert_string_equal(out, "1.1M");
	text_bytes(16777216, out, sizeof(out));
	assert_string_equal(out, "16.0M");
	text_bytes(640 * 1024, out, sizeof(out));
	assert_string_equal(out, "640K");
	text_printable(out, 6, "a\033[31m");
	assert_string_equal(out, "a?[31");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lease_is_read),
		cmocka_unit_test(bad_values_are_named),
		cmocka_unit_test(other_events),
		cmocka_unit_test(uevent_values),
		cmocka_unit_test(numbers_and_spans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
