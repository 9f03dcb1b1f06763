/* SPDX-License-Identifier: MIT */
/* init/lock.c: hashes as `openssl passwd -5` makes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lock.h"

/* The first of the vectors of the specification of sha256crypt; one by `openssl passwd -5`. */
static const struct { const char *hash, *secret; } known[] = {
	{ "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!" },
	{ "$5$abcdefgh$ruMep1ijHnJPZbETDNiumskxcX3kN4lzZd5VlsqE7eB", "correct horse" },
};

static void the_right_one_opens(void **state)
{
	(void)state;
	assert_true(lock_opens(known[0].hash, known[0].secret));
	assert_false(lock_opens(known[0].hash, "Hello world"));
	assert_false(lock_opens(known[0].hash, "hello world!"));
	assert_false(lock_opens(known[0].hash, ""));
	assert_true(lock_opens(known[1].hash, known[1].secret));
	assert_false(lock_opens(known[1].hash, known[0].secret));
}

static void only_whole_hashes(void **state)
{
	static const char *const bad[] = { "", "secret", "$5$", "$5$salt$", "$5$salt$short", "$1$salt$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8",
		"$5$sa lt$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8", "$6$salt$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8",
		"$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8x" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_false(lock_is_hash(bad[i]));
		assert_false(lock_opens(bad[i], "secret"));
	}
	assert_true(lock_is_hash(known[0].hash));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_right_one_opens),
		cmocka_unit_test(only_whole_hashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
