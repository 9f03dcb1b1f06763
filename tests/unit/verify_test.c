/* SPDX-License-Identifier: MIT */
/* fetch/key.c and fetch/verify.c against signatures that others published (tests/data/sigstore, tests/data/wycheproof), whole and with each byte flipped. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <mbedtls/base64.h>
#include <yyjson.h>

#include "file.h"
#include "key.h"
#include "sha256.h"
#include "verify.h"

#define SIGSTORE "tests/data/sigstore/"

static char *load(const char *name, size_t *len)
{
	char path[200], *text;
	size_t ignored;

	snprintf(path, sizeof(path), "%s", name);
	assert_int_equal(file_read(AT_FDCWD, path, 1 << 20, &text, len ? len : &ignored, NULL), 0);
	return text;
}

static size_t decode(const char *base64, unsigned char *out, size_t size)
{
	size_t len;

	assert_int_equal(mbedtls_base64_decode(out, size, &len, (const unsigned char *)base64, strlen(base64)), 0);
	return len;
}

static struct digest digest_of_file(const char *name)
{
	size_t len;
	char *text = load(name, &len);
	struct digest d = sha256_of(span_of(text, len));

	free(text);
	return d;
}

/* containers/image's form: "\0sigstore-json\n" and a JSON object */
static size_t load_signature(const char *name, unsigned char *payload, size_t size, char *sig, size_t sig_size)
{
	size_t len;
	char *text = load(name, &len), *json = memchr(text, '\n', len);
	yyjson_doc *doc = yyjson_read(json + 1, len - (size_t)(json + 1 - text), 0);
	yyjson_val *root = yyjson_doc_get_root(doc);

	snprintf(sig, sig_size, "%s", yyjson_get_str(yyjson_obj_get(yyjson_obj_get(root, "annotations"), "dev.cosignproject.cosign/signature")));
	len = decode(yyjson_get_str(yyjson_obj_get(root, "payload")), payload, size);
	yyjson_doc_free(doc);
	free(text);
	return len;
}

/* DSSE envelope, or the signature over a message, of a bundle. */
static size_t load_bundle(const char *name, unsigned char *payload, size_t size, char *sig, size_t sig_size)
{
	size_t len;
	char *text = load(name, &len);
	yyjson_doc *doc = yyjson_read(text, len, 0);
	yyjson_val *root = yyjson_doc_get_root(doc), *dsse = yyjson_obj_get(root, "dsseEnvelope");
	const char *s = dsse ? yyjson_get_str(yyjson_obj_get(yyjson_arr_get_first(yyjson_obj_get(dsse, "signatures")), "sig")) :
		yyjson_get_str(yyjson_obj_get(yyjson_obj_get(root, "messageSignature"), "signature"));

	snprintf(sig, sig_size, "%s", s);
	len = dsse ? decode(yyjson_get_str(yyjson_obj_get(dsse, "payload")), payload, size) : 0;
	yyjson_doc_free(doc);
	free(text);
	return len;
}

static void wycheproof_p256(void **state)
{
	FILE *f = fopen("tests/data/wycheproof/ecdsa_secp256r1_sha256.txt", "re");
	char line[8192], pem[1024] = "", id[200], result[20], message[4096], sig[6000];
	unsigned char bytes[4096];
	int good = 0, bad = 0;

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		size_t len;
		int r;

		if (line[0] == '#')
			continue;
		if (sscanf(line, "key %199s", id) == 1) {
			snprintf(pem, sizeof(pem), "-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n", id);
			continue;
		}
		assert_int_equal(sscanf(line, "%199s %19s %4095s %5999s", id, result, message, sig), 4);
		len = strcmp(message, "-") == 0 ? 0 : decode(message, bytes, sizeof(bytes));
		r = key_verify(pem, span_of(bytes, len), strcmp(sig, "-") == 0 ? "" : sig, NULL);
		if ((r == 0) != (strcmp(result, "valid") == 0))
			fail_msg("case %s is %s, we say %d", id, result, r);
		*(r == 0 ? &good : &bad) += 1;
	}
	fclose(f);
	assert_int_equal(good, 174);
	assert_int_equal(bad, 310);
}

static void published_cosign_signatures(void **state)
{
	unsigned char payload[1024];
	char sig[400], name[600], *pub = load(SIGSTORE "cosign.pub", NULL), *other = load(SIGSTORE "cosign2.pub", NULL);
	struct digest d = digest_of_file(SIGSTORE "cosign-valid.manifest.json"), twisted = digest_of_file(SIGSTORE "cosign-modified-manifest.manifest.json");
	struct err e = { "" };
	size_t len = load_signature(SIGSTORE "cosign-valid.signature-1", payload, sizeof(payload), sig, sizeof(sig));

	(void)state;
	assert_int_equal(verify_payload(pub, span_of(payload, len), sig, &d, name, &e), 0);
	assert_string_equal(name, "192.168.64.2:5000/cosign-signed-single-sample");
	assert_int_equal(verify_payload(pub, span_of(payload, len), sig, &twisted, name, &e), -EKEYREJECTED);
	assert_non_null(strstr(e.text, "another image"));
	e.text[0] = '\0';
	assert_int_equal(verify_payload(other, span_of(payload, len), sig, &d, name, &e), -EKEYREJECTED);
	assert_string_equal(e.text, "made by another key");
	len = load_signature(SIGSTORE "cosign-valid-with-tag.signature-1", payload, sizeof(payload), sig, sizeof(sig));
	assert_int_equal(verify_payload(pub, span_of(payload, len), sig, &d, name, NULL), 0);
	assert_string_equal(name, "192.168.64.2:5000/skopeo-signed:tag");
	free(pub);
	free(other);
}

static void published_bundles(void **state)
{
	unsigned char payload[1024];
	char sig[400], *message = load(SIGSTORE "a.txt", NULL), *pub = load(SIGSTORE "managed-key.pub", NULL);
	char *wrong = load(SIGSTORE "managed-key-wrong.pub", NULL);
	struct digest d = digest_of_file(SIGSTORE "a.txt");
	struct err e = { "" };
	size_t len;

	(void)state;
	load_bundle(SIGSTORE "managed-key-happy-path.json", payload, sizeof(payload), sig, sizeof(sig));
	assert_int_equal(key_verify(pub, span_str(message), sig, NULL), 0);
	assert_int_equal(key_verify(wrong, span_str(message), sig, NULL), -EKEYREJECTED);
	load_bundle(SIGSTORE "managed-key-and-trusted-root.json", payload, sizeof(payload), sig, sizeof(sig));
	assert_int_equal(key_verify(pub, span_str(message), sig, NULL), 0);
	free(pub);
	/* A good signature under an attestation: it must not count as one of an image. */
	pub = load(SIGSTORE "dsse-attestation.pub", NULL);
	len = load_bundle(SIGSTORE "dsse-attestation.json", payload, sizeof(payload), sig, sizeof(sig));
	assert_int_equal(verify_statement(pub, span_of(payload, len), sig, &d, &e), -EKEYREJECTED);
	assert_non_null(strstr(e.text, "attestation (https://example.com/test)"));
	free(pub);
	pub = load(SIGSTORE "cosign3.pub", NULL);
	len = load_bundle(SIGSTORE "cosign3.json", payload, sizeof(payload), sig, sizeof(sig));
	e.text[0] = '\0';
	assert_int_equal(verify_statement(pub, span_of(payload, len), sig, &d, &e), -EKEYREJECTED);
	assert_string_equal(e.text, "the signature is for another image");
	assert_int_equal(digest_parse(span_str("sha256:ac5bf89cbf948cc8fca19b238e30daefefc71e85b457f479831bd46be2435bc9"), &d), 0);
	assert_int_equal(verify_statement(pub, span_of(payload, len), sig, &d, NULL), 0);
	/* The same bytes without the envelope are no signature. */
	assert_int_equal(key_verify(pub, span_of(payload, len), sig, NULL), -EKEYREJECTED);
	free(pub);
	free(message);
	free(wrong);
}

/* Each byte of payload, then of the signature's text, in every one of its bits in turn. */
static void flip_all(const char *pub, unsigned char *payload, size_t len, char *sig, const struct digest *d, bool is_statement)
{
	char name[600];

	for (size_t i = 0; i < len + strlen(sig); i++)
		for (int bit = i < len ? (int)(i % 8) : 0; bit < (i < len ? (int)(i % 8) + 1 : 8); bit++) {
			char *at = i < len ? (char *)payload + i : sig + (i - len);
			int r;

			if (i >= len && (*at ^ 1 << bit) == 0)
				continue;
			*at = (char)(*at ^ 1 << bit);
			r = is_statement ? verify_statement(pub, span_of(payload, len), sig, d, NULL) :
				verify_payload(pub, span_of(payload, len), sig, d, name, NULL);
			if (r != -EKEYREJECTED)
				fail_msg("byte %zu, bit %d: %d", i, bit, r);
			*at = (char)(*at ^ 1 << bit);
		}
}

static void no_flipped_byte_passes(void **state)
{
	unsigned char payload[1024];
	char sig[400], *pub = load(SIGSTORE "cosign.pub", NULL), *pub3 = load(SIGSTORE "cosign3.pub", NULL);
	struct digest d = digest_of_file(SIGSTORE "cosign-valid.manifest.json");
	size_t len = load_signature(SIGSTORE "cosign-valid.signature-1", payload, sizeof(payload), sig, sizeof(sig));

	(void)state;
	flip_all(pub, payload, len, sig, &d, false);
	len = load_bundle(SIGSTORE "cosign3.json", payload, sizeof(payload), sig, sizeof(sig));
	digest_parse(span_str("sha256:ac5bf89cbf948cc8fca19b238e30daefefc71e85b457f479831bd46be2435bc9"), &d);
	flip_all(pub3, payload, len, sig, &d, true);
	free(pub);
	free(pub3);
}

static void keys_that_do_not_count(void **state)
{
	static const struct { const char *pem, *word; } keys[] = {
		{ "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n", "Ed25519" },
		{ "-----BEGIN EC PRIVATE KEY-----\n", "private key" },
		{ "-----BEGIN PUBLIC KEY-----\n"
			"MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEpgho/w2qZbvdsfyvkGgk4P403k+oN6rn\n"
			"vjV71aylMkH296nR9MdCp5eREW5KZ8Hs/gmWidItOwfhuK8R2lWYvA==\n"
			"-----END PUBLIC KEY-----\n", "supported kind" },
		{ "-----BEGIN PUBLIC KEY-----\n"
			"MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQADy/EHiZZnRCtuEinCxbqZz9X0SDM\n"
			"WNPEEeHTHh5OU0hPEeATdmQiZbdqePbn+NPHhLp1LujDwuTN3P5G6g4KBhMBtPm1\n"
			"4RQkJepR9yH9W7z8xlBH5SCSlTmHoTFs6gKJUWawYsHe7V7BOHHyZ9hjg1F+FoSM\n"
			"VcpZa+IM8GMiDVW8Cdg=\n"
			"-----END PUBLIC KEY-----\n", "supported kind" },
		{ "-----BEGIN PUBLIC KEY-----\n"
			"MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDIF1YJx+DXDdpqqq6A7qznKGPc\n"
			"znHoS9291FTn6chu59IYAGj0eWKk3qB76Ikq/nozZVzD71EZ2JkC2EFlQz93fWg7\n"
			"4d2DvpPTZro8j5xEHT+DMWrzR7TH7S96ZK8xoQbWnq6CJi6sEGQQ+xqETCLgWuju\n"
			"xyGYromfo/ToHJptGwIDAQAB\n"
			"-----END PUBLIC KEY-----\n", "1024 bits" },
		{ "not a key", "supported kind" }, { "", "supported kind" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		struct err e = { "" };

		assert_int_equal(key_check(keys[i].pem, &e), -EKEYREJECTED);
		if (!strstr(e.text, keys[i].word))
			fail_msg("key %zu: %s", i, e.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wycheproof_p256), cmocka_unit_test(published_cosign_signatures), cmocka_unit_test(published_bundles),
		cmocka_unit_test(no_flipped_byte_passes), cmocka_unit_test(keys_that_do_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
