/* SPDX-License-Identifier: MIT */
/* init/format.c, included under other names, beside the C library's own: the same text and the same length for whatever PID 1 and its client print. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <limits.h>
#include <cmocka.h>

#define vfprintf own_vfprintf
#define vsnprintf own_vsnprintf
#include "../../init/format.c"
#undef vfprintf
#undef vsnprintf

static int own(char *out, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = own_vsnprintf(out, size, fmt, ap);
	va_end(ap);
	return n;
}

static void file(FILE *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	assert_int_equal(own_vfprintf(f, fmt, ap), 9);
	va_end(ap);
}

/* WANT is what the standard says (C11 7.21.6.1), written out. */
#define SAME(want, ...) do { \
		char a[256]; \
		int n = own(a, sizeof(a), __VA_ARGS__); \
		assert_string_equal(a, want); \
		assert_int_equal(n, strlen(want)); \
	} while (0)

static void numbers(void **state)
{
	(void)state;
	SAME("0 1 -1 2147483647 -2147483648", "%d %d %i %d %d", 0, 1, -1, INT_MAX, INT_MIN);
	SAME("0 4294967295 ffffffff 0", "%u %u %x %x", 0u, UINT_MAX, UINT_MAX, 0u);
	SAME("18446744073709551615 -9223372036854775808 ffffffffffffffff", "%llu %lld %llx", ULLONG_MAX, LLONG_MIN, ULLONG_MAX);
	SAME("-5 7 18446744073709551615", "%ld %lu %zu", -5L, 7ul, (size_t)UINT64_MAX);
	SAME("[   42][42   ][00042][-0042][   -7]", "[%5d][%-5d][%05d][%05d][%5d]", 42, 42, 42, -42, -7);
	SAME("[  007][007  ][ab][000012]", "[%5.3d][%-5.3d][%x][%06x]", 7, 7, 0xab, 0x12);
	SAME("[   9][9   ][9   ]", "[%*d][%-*d][%*d]", 4, 9, 4, 9, -4, 9);
	SAME("00:01:09 012345678", "%02u:%02u:%02u %09ld", 0u, 1u, 9u, 12345678L);
	SAME("12345", "%3d", 12345);
	SAME("755 0000644", "%o %07o", 0755u, 0644u);
}

static void texts(void **state)
{
	(void)state;
	SAME("plain", "plain");
	SAME("", "%s", "");
	SAME("[ab][   ab][ab   ][a][    a]", "[%s][%5s][%-5s][%.1s][%5.1s]", "ab", "ab", "ab", "ab", "ab");
	SAME("[abc][    ]", "[%.*s][%*s]", 3, "abcdef", 4, "");
	SAME("100% x", "100%% %c", 'x');
	SAME("a  b", "%c%3c", 'a', 'b');
	SAME("unended", "%.7s", "unended text");
}

static void cuts(void **state)
{
	char a[8];

	(void)state;
	memset(a, 'z', sizeof(a));
	assert_int_equal(own(a, 4, "%s", "abcdef"), 6);
	assert_string_equal(a, "abc");
	assert_int_equal(a[4], 'z');
	assert_int_equal(own(a, 0, "%d", 12345), 5);
	assert_int_equal(a[0], 'a');
	assert_int_equal(own(NULL, 0, "%s%s", "abc", "de"), 5);
	assert_int_equal(own(a, 1, "x"), 1);
	assert_string_equal(a, "");
}

static void files(void **state)
{
	char text[32] = "";
	FILE *f = fmemopen(text, sizeof(text), "w");

	(void)state;
	file(f, "%s=%03d\n", "unit", 7);
	fclose(f);
	assert_string_equal(text, "unit=007\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(texts),
		cmocka_unit_test(cuts),
		cmocka_unit_test(files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
