/* SPDX-License-Identifier: MIT */
/* fetch/gcm.c against the published test cases of GCM (McGrew and Viega, 3, 4 and 16) and against mbedTLS, at every length up to a few records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <mbedtls/aes.h>
#include <mbedtls/gcm.h>

#include "gcm.h"

static size_t unhex(const char *text, uint8_t *out)
{
	size_t n = strlen(text) / 2;

	for (size_t i = 0; i < n; i++) {
		unsigned v;

		assert_int_equal(sscanf(text + 2 * i, "%2x", &v), 1);
		out[i] = (uint8_t)v;
	}
	return n;
}

static bool open_with(const uint8_t *key, unsigned bits, const uint8_t *iv, const uint8_t *more, size_t more_len, const uint8_t *tag,
	const uint8_t *in, uint8_t *out, size_t len)
{
	mbedtls_aes_context aes;

	mbedtls_aes_init(&aes);
	assert_int_equal(mbedtls_aes_setkey_enc(&aes, key, bits), 0);
	return gcm_open((const uint8_t *)(aes.MBEDTLS_PRIVATE(buf) + aes.MBEDTLS_PRIVATE(rk_offset)), aes.MBEDTLS_PRIVATE(nr), iv, more, more_len, tag,
		in, out, len);
}

#define KEY "feffe9928665731c6d6a8f9467308308"
#define TEXT "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define MORE "feedfacedeadbeeffeedfacedeadbeefabaddad2"
#define IV "cafebabefacedbaddecaf888"

static const struct {
	const char *key, *iv, *more, *sealed, *text, *tag;
} known[] = {
	{ KEY, IV, "", "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985",
		TEXT "1aafd255", "4d5c2af327cd64a62cf35abd2ba6fab4" },
	{ KEY, IV, MORE, "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
		TEXT, "5bc94fbc3221a5db94fae95ae7121a47" },
	{ KEY KEY, IV, MORE, "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
		TEXT, "76fc6ece0f4e1768cddf8853bb2d551b" },
};

static void published_cases(void **state)
{
	(void)state;
	if (!gcm_is_there())
		skip();
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		uint8_t key[32], iv[12], more[64], tag[16], in[64], text[64], out[64];
		size_t key_len = unhex(known[i].key, key), more_len = unhex(known[i].more, more), len = unhex(known[i].sealed, in);

		unhex(known[i].iv, iv);
		unhex(known[i].tag, tag);
		unhex(known[i].text, text);
		assert_true(open_with(key, (unsigned)key_len * 8, iv, more, more_len, tag, in, out, len));
		assert_memory_equal(out, text, len);
		for (size_t bit = 0; bit < 8 * (16 + len + more_len); bit++) {	/* any bit of tag, content and what goes with it */
			uint8_t *at = bit < 128 ? tag + bit / 8 : bit < 128 + 8 * len ? in + bit / 8 - 16 : more + bit / 8 - 16 - len;

			*at ^= (uint8_t)(1 << bit % 8);
			assert_false(open_with(key, (unsigned)key_len * 8, iv, more, more_len, tag, in, out, len));
			for (size_t j = 0; j < len; j++)
				assert_int_equal(out[j], 0);
			*at ^= (uint8_t)(1 << bit % 8);
		}
	}
}

static void equals_mbedtls(void **state)
{
	static uint8_t plain[40000], sealed[40000], out[40000];
	uint8_t key[32], iv[12], more[16], tag[16];

	(void)state;
	if (!gcm_is_there())
		skip();
	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(i * 7919 >> 3);
	for (size_t n = 0; n < 700; n++) {
		size_t len = n < 600 ? n : (n - 599) * 397, more_len = n % 17;
		unsigned bits = n & 1 ? 256 : 128;
		mbedtls_gcm_context g;

		memcpy(key, plain + n, sizeof(key));
		memcpy(iv, plain + 3 * n, sizeof(iv));
		memcpy(more, plain + 5 * n, sizeof(more));
		mbedtls_gcm_init(&g);
		assert_int_equal(mbedtls_gcm_setkey(&g, MBEDTLS_CIPHER_ID_AES, key, bits), 0);
		assert_int_equal(mbedtls_gcm_crypt_and_tag(&g, MBEDTLS_GCM_ENCRYPT, len, iv, 12, more, more_len, plain, sealed, 16, tag), 0);
		mbedtls_gcm_free(&g);
		assert_true(open_with(key, bits, iv, more, more_len, tag, sealed, out, len));
		assert_memory_equal(out, plain, len);
		assert_true(open_with(key, bits, iv, more, more_len, tag, sealed, sealed, len));	/* in place, as TLS does */
		assert_memory_equal(sealed, plain, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(published_cases), cmocka_unit_test(equals_mbedtls) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
