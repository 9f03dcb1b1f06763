/* SPDX-License-Identifier: MIT */
/* lib/span.c, lib/err.c, lib/digest.c: the small text helpers that everything leans on. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "digest.h"
#include "err.h"

static void copy_fits_or_is_refused(void **state)
{
	char out[5];

	(void)state;
	assert_true(span_copy(span_str("four"), out, sizeof(out)));
	assert_string_equal(out, "four");
	assert_false(span_copy(span_str("fives"), out, sizeof(out)));
	assert_string_equal(out, "");
	assert_false(span_copy(span_of("a\0b", 3), out, sizeof(out)));
	assert_true(span_copy(span_of(NULL, 0), out, sizeof(out)));
}

static void a_word_is_found_whole(void **state)
{
	struct span list = span_str("cpuset cpu io\n");

	(void)state;
	assert_true(span_has_word(list, "cpu") && span_has_word(list, "cpuset") && span_has_word(list, "io"));
	assert_false(span_has_word(list, "set") || span_has_word(list, "cp") || span_has_word(list, "pids") || span_has_word(list, ""));
	assert_false(span_has_word(span_of(NULL, 0), "cpu"));
}

static void escape_shows_control_bytes(void **state)
{
	char out[16];

	(void)state;
	span_escape(span_of("a\x1b[2J\\", 6), out, sizeof(out));
	assert_string_equal(out, "a\\x1b[2J\\x5c");
	span_escape(span_of("\xff\xff\xff\xff\xff", 5), out, sizeof(out));
	assert_string_equal(out, "\\xff\\xff\\xff");
}

static void first_error_text_stays(void **state)
{
	struct err e = { "" };

	(void)state;
	assert_int_equal(err_set(&e, -EFBIG, "layer %d", 3), -EFBIG);
	assert_int_equal(err_set(&e, -EPROTO, "other"), -EPROTO);
	assert_string_equal(e.text, "layer 3");
	assert_int_equal(err_prefix(&e, -EFBIG, "pull"), -EFBIG);
	assert_string_equal(e.text, "pull: layer 3");
	assert_int_equal(err_set(NULL, -1, "x"), -1);
}

static void error_text_is_cut_not_overrun(void **state)
{
	struct { struct err e; char guard[8]; } s = { .guard = "guard" };
	char big[2 * ERR_TEXT_MAX];

	(void)state;
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	err_sys(&s.e, ENOENT, "%s", big);
	assert_int_equal(strlen(s.e.text), ERR_TEXT_MAX - 1);
	err_prefix(&s.e, 0, "%s", big);
	assert_int_equal(strlen(s.e.text), ERR_TEXT_MAX - 1);
	assert_string_equal(s.guard, "guard");
}

#define HEX "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

static void digest_takes_the_canonical_form_only(void **state)
{
	static const char *const bad[] = {
		"", "sha256:", "sha256:" HEX "0", HEX, "sha512:" HEX, "SHA256:" HEX,
		"sha256:44136FA355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
		"sha256:../../../../../../../../../../../../../../../../../etc/passwd0000",
		"sha256:4413 fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
	};
	struct digest d, same;

	(void)state;
	assert_int_equal(digest_parse(span_str("sha256:" HEX), &d), 0);
	assert_string_equal(digest_text(&d).text, "sha256:" HEX);
	same = d;
	assert_true(digest_equal(&d, &same));
	same.sha256[31] ^= 1;
	assert_false(digest_equal(&d, &same));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(digest_parse(span_str(bad[i]), &d), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copy_fits_or_is_refused),
		cmocka_unit_test(a_word_is_found_whole),
		cmocka_unit_test(escape_shows_control_bytes),
		cmocka_unit_test(first_error_text_stays),
		cmocka_unit_test(error_text_is_cut_not_overrun),
		cmocka_unit_test(digest_takes_the_canonical_form_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
