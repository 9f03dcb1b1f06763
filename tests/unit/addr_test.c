/* SPDX-License-Identifier: MIT */
/* lib/addr.c: what unit files write of addresses and subnets, and the arithmetic of both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "addr.h"

static struct subnet net(const char *text)
{
	struct subnet s;

	assert_true(subnet_parse(text, &s));
	return s;
}

static struct addr at(const char *text)
{
	struct addr a;

	assert_true(addr_parse(text, &a));
	return a;
}

static void texts(void **state)
{
	static const char *const good[] = { "10.0.0.0/8", "10.1.2.3/32", "0.0.0.0/0", "fd00::/8", "2001:db8::/64", "::/0", "10.89.1.128/25" };
	static const char *const bad[] = { "10.0.0.1/8", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "/8", "x/8", "fd00::1/64", "::/129",
		"10.0.0/8", "10.0.0.0/ 8", "10.0.0.0/99999999999999999999",
		"00000000000000000000000000000000000000000000000000000000000000/1" };
	char text[SUBNET_TEXT_MAX];
	struct subnet s;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		s = net(good[i]);
		assert_string_equal(subnet_text(&s, text), good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (subnet_parse(bad[i], &s))
			fail_msg("taken: %s", bad[i]);
	memset(&s, 0, sizeof(s));
	assert_string_equal(subnet_text(&s, text), "-");
}

static void what_is_in_what(void **state)
{
	static const struct {
		const char *a, *b;
		bool overlaps;
	} pairs[] = {
		{ "10.0.0.0/8", "10.89.0.0/24", true }, { "10.89.0.0/24", "10.0.0.0/8", true }, { "10.89.0.0/24", "10.89.1.0/24", false },
		{ "10.89.0.0/25", "10.89.0.128/25", false }, { "0.0.0.0/0", "192.168.0.0/16", true }, { "fd00::/64", "fd00:0:0:1::/64", false },
		{ "fd00::/48", "fd00:0:0:1::/64", true }, { "0.0.0.0/0", "::/0", false },
	};
	struct subnet s = net("10.89.0.0/23"), none = { 0 };
	struct addr in = at("10.89.1.255"), out = at("10.89.2.0"), six = at("::ffff:10.89.1.1");

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		struct subnet a = net(pairs[i].a), b = net(pairs[i].b);

		assert_int_equal(subnet_overlaps(&a, &b), pairs[i].overlaps);
		assert_int_equal(subnet_overlaps(&b, &a), pairs[i].overlaps);
		assert_false(subnet_overlaps(&a, &none) || subnet_overlaps(&none, &a));
	}
	assert_true(subnet_has(&s, &in));
	assert_false(subnet_has(&s, &out) || subnet_has(&s, &six));
}

static void numbers(void **state)
{
	static const char *const nets[] = { "10.89.0.0/16", "192.168.7.0/30", "fd00::/64", "0.0.0.0/0" };
	struct subnet s = net("10.89.0.0/16");
	struct addr a = subnet_at(&s, 258);
	char text[ADDR_TEXT_MAX];

	(void)state;
	assert_string_equal(addr_text(&a, text), "10.89.1.2");
	for (size_t i = 0; i < sizeof(nets) / sizeof(*nets); i++) {
		s = net(nets[i]);
		for (uint32_t n = 0; n <= subnet_last(&s) && n < 70000; n += 3) {
			a = subnet_at(&s, n);
			assert_true(subnet_has(&s, &a));
			assert_int_equal(subnet_number(&s, &a), n);
		}
	}
	s = net("192.168.7.0/30");
	assert_int_equal(subnet_last(&s), 3);
	s = net("192.168.7.1/32");
	assert_int_equal(subnet_last(&s), 0);
	s = net("fd00::/64");
	assert_int_equal(subnet_last(&s), UINT32_MAX >> 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts), cmocka_unit_test(what_is_in_what), cmocka_unit_test(numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
