/* SPDX-License-Identifier: MIT */
/* lib/sha256.c against published vectors and against mbedTLS, in pieces of all sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "sha256.h"

static void published_vectors(void **state)
{
	static char million[1000000];
	struct digest d = sha256_of(span_str(""));

	(void)state;
	assert_string_equal(digest_text(&d).text, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	d = sha256_of(span_str("abc"));
	assert_string_equal(digest_text(&d).text, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	d = sha256_of(span_str("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"));
	assert_string_equal(digest_text(&d).text, "sha256:248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	memset(million, 'a', sizeof(million));
	d = sha256_of(span_of(million, sizeof(million)));
	assert_string_equal(digest_text(&d).text, "sha256:cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void equals_mbedtls_in_any_pieces(void **state)
{
	static uint8_t data[1000];
	struct digest want, have;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7919 >> 3);
	for (size_t len = 0; len < 300; len++)
		for (size_t piece = 1; piece < 200; piece += 13) {
			struct sha256 h;

			mbedtls_sha256(data + len % 5, len, want.sha256, 0);
			sha256_begin(&h);
			for (size_t at = 0; at < len; at += piece)
				sha256_add(&h, data + len % 5 + at, len - at < piece ? len - at : piece);
			have = sha256_end(&h);
			assert_true(digest_equal(&want, &have));
		}
}

static void two_at_a_time(void **state)
{
	static uint8_t data[2][4096];
	struct digest want, have[2];

	(void)state;
	for (size_t i = 0; i < sizeof(data[0]); i++) {
		data[0][i] = (uint8_t)(i * 7919 >> 3);
		data[1][i] = (uint8_t)(i * 104729 >> 5);
	}
	for (size_t len = 0; len <= 4096; len += 64) {
		sha256_two((const uint8_t *const[]){ data[0], data[1] }, len, have);
		for (int i = 0; i < 2; i++) {
			mbedtls_sha256(data[i], len, want.sha256, 0);
			assert_true(digest_equal(&want, &have[i]));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors),
		cmocka_unit_test(equals_mbedtls_in_any_pieces),
		cmocka_unit_test(two_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
