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

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7919 >> 3);
	for (size_t len = 0; len + 100 < sizeof(data); len += len < 200 ? 1 : 61)
		for (size_t before = 0; before < 7; before++) {
			uint32_t crc = (uint32_t)crc32(0, data, (uInt)before * 11);

			assert_int_equal(crc_add(crc, data + before, len), crc32(crc, data + before, (uInt)len));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(equals_zlib) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
