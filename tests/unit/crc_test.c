/* SPDX-License-Identifier: MIT */
/* bundle/crc.c against zlib, at every length and with what came before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <zlib.h>

#include "crc.h"

static void equals_zlib(void **state)
{
	static uint8_t data[5000];
	uint8_t rest[16];

	(void)state;
	if (!crc_is_there())
		skip();
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7919 >> 3);
	for (size_t len = CRC_MIN; len + 7 < sizeof(data); len += 16)
		for (size_t before = 0; before < 7; before++) {
			uint32_t crc = (uint32_t)crc32(0, data, (uInt)before * 11);

			crc_fold(crc, data + before, len, rest);
			assert_int_equal(crc32(0xffffffff, rest, sizeof(rest)), crc32(crc, data + before, (uInt)len));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(equals_zlib) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
