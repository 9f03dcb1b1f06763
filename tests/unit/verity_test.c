/* SPDX-License-Identifier: MIT */
/* bundle/verity.c against what `fsverity digest` (fsverity-utils 1.5) prints for files of 'c'. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "verity.h"

static const struct {
	size_t size;
	const char *digest;
} known[] = {
	{ 0, "sha256:3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95" },
	{ 1, "sha256:2ec632a491ff8922ef846d127a5828ba345eb7ac5304d783e314d3d0ecf260e1" },
	{ 4095, "sha256:23f1e6b0e2dc7f54f64026798ca202a3b410999504647096294d21f86bc1888b" },
	{ 4096, "sha256:8f423acae757f33d0cde101d9dfd1a3bce4ca06f5fd6bc289a5ee92109686dfb" },
	{ 4097, "sha256:dc5521273b09afd1713da5940d1482e729f7fa1edd60ea9e3101bb9ec01eed13" },
	{ 524288, "sha256:fe69276b8ec8bb2f2a467a1d1c81deb6f04f37038fadc8073af7f2dedab767be" },	/* 128 blocks: one full level */
	{ 524289, "sha256:706a464a8b687f13e4cab393fd99978928f9746b95804641855bc5bc35e45304" },
	{ 67108864, "sha256:4acc9a2989a614b1af883e16bde29f909c86dc1293f82bcd0f39b8978ece4f0e" },	/* 128 * 128 blocks: two */
	{ 70000001, "sha256:1873a247dd6a2e6bffc587bb54932631795e9c8d9f023e984131c881d505e387" },
};

static void digest_in_pieces(size_t size, size_t piece, const char *want)
{
	static struct verity v;
	static uint8_t text[1 << 20];
	struct digest d;

	memset(text, 'c', sizeof(text));
	verity_begin(&v);
	for (size_t done = 0; done < size;) {
		size_t n = size - done < piece ? size - done : piece;

		verity_add(&v, text, n);
		done += n;
	}
	d = verity_end(&v);
	assert_string_equal(digest_text(&d).text, want);
}

static void known_digests(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		digest_in_pieces(known[i].size, 1 << 20, known[i].digest);
}

static void pieces_do_not_matter(void **state)
{
	static const size_t pieces[] = { 1, 7, 4095, 4096, 4097, 65536 };

	(void)state;
	for (size_t p = 0; p < sizeof(pieces) / sizeof(*pieces); p++)
		digest_in_pieces(524289, pieces[p], "sha256:706a464a8b687f13e4cab393fd99978928f9746b95804641855bc5bc35e45304");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(known_digests), cmocka_unit_test(pieces_do_not_matter) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
