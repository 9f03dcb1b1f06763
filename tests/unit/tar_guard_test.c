/* SPDX-License-Identifier: MIT */
/* bundle/tar_guard.c: headers made by hand, fed whole and in pieces. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "config.h"
#include "tar_guard.h"

static struct tar_guard guard;
static uint8_t tar[1 << 20];
static size_t tar_len;

static void start(void)
{
	memset(&guard, 0, sizeof(guard));
	tar_len = 0;
}

static void seal(uint8_t *h)
{
	unsigned sum = 0;

	memset(h + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += h[i];
	snprintf((char *)h + 148, 8, "%06o", sum);
	h[155] = ' ';
}

static uint8_t *header(const char *name, char type, unsigned long long size)
{
	uint8_t *h = tar + tar_len;

	memset(h, 0, 512);
	strcpy((char *)h, name);
	snprintf((char *)h + 100, 8, "%07o", 0644);
	snprintf((char *)h + 124, 12, "%011llo", size);
	h[156] = (uint8_t)type;
	memcpy(h + 257, "ustar\00000", 8);
	seal(h);
	tar_len += 512;
	return h;
}

static void content(const void *at, size_t len)
{
	memset(tar + tar_len, 0, (len + 511) / 512 * 512);
	memcpy(tar + tar_len, at, len);
	tar_len += (len + 511) / 512 * 512;
}

static void pax(const char *text, size_t len)
{
	header("pax", 'x', len);
	content(text, len);
}

/* One step from *AT on. */
static int step(size_t *at, struct err *e)
{
	size_t used = 0;
	int r = tar_guard_feed(&guard, tar + *at, tar_len - *at, &used, e);

	if (*at < tar_len)
		assert_true(used > 0 && used <= tar_len - *at);
	*at += used;
	return r;
}

static int feed_all(struct err *e)
{
	size_t at = 0;
	int r = 0;

	while (r == 0 && at < tar_len)
		r = step(&at, e);
	return r;
}

static void stops_behind_each_header_and_each_content(void **state)
{
	struct err e = { "" };
	size_t at = 0;

	(void)state;
	start();
	header("a", '0', 700);
	content("x", 700);
	header("b", '5', 0);
	header("c", '0', 3);
	content("abc", 3);
	memset(tar + tar_len, 0, 1024);
	tar_len += 1024;
	assert_int_equal(step(&at, &e), 0);
	assert_int_equal(at, 512);
	assert_true(guard.entries == 1 && guard.type == '0' && guard.size == 700);
	assert_int_equal(step(&at, &e), 0);
	assert_int_equal(at, 512 + 1024);
	assert_true(guard.entries == 1);
	assert_int_equal(step(&at, &e), 0);
	assert_true(at == 2048 && guard.entries == 2 && guard.type == '5' && guard.size == 0);
	assert_int_equal(step(&at, &e), 0);
	assert_true(at == 2560 && guard.entries == 3 && guard.size == 3);
	assert_int_equal(step(&at, &e), 0);
	assert_int_equal(at, 3072);
	assert_int_equal(step(&at, &e), 0);
	assert_true(at == tar_len && guard.is_end && guard.entries == 3);
}

static void pax_names_and_sizes_are_for_the_next_entry_alone(void **state)
{
	static const char text[] = "14 path=n\xff\xfe/x\n14 linkpath=t\n12 size=513\n";
	struct err e = { "" };
	size_t at = 0;

	(void)state;
	start();
	pax(text, sizeof(text) - 1);
	header("short", '0', 0);
	content("y", 513);
	header("plain", '0', 0);
	assert_int_equal(step(&at, &e), 0);
	assert_true(at == 512 && tar_guard_wants(&guard) == 512);
	assert_int_equal(step(&at, &e), 0);
	assert_string_equal(e.text, "");
	assert_true(at == 1536 && tar_guard_wants(&guard) == 0);
	assert_true(span_is(guard.pax.path, "n\xff\xfe/x") && span_is(guard.pax.linkpath, "t"));
	assert_true(guard.size == 513 && guard.pax.is_odd);
	assert_int_equal(step(&at, &e), 0);
	assert_int_equal(at, 1536 + 1024);
	assert_int_equal(step(&at, &e), 0);
	assert_null(guard.pax.path.at);
	assert_true(guard.entries == 2 && guard.size == 0 && !guard.pax.is_odd && at == tar_len);
}

static void pieces_of_any_size_give_the_same(void **state)
{
	static const char text[] = "10 path=n\n";
	struct err e = { "" };

	(void)state;
	for (size_t piece = 1; piece < 1600; piece += 97) {
		size_t at = 0;

		start();
		pax(text, sizeof(text) - 1);
		header("a", '0', 100);
		content("x", 100);
		header("long", 'L', 300);
		content("name", 300);
		header("b", '2', 0);
		memset(tar + tar_len, 0, 1024);
		tar_len += 1024;
		while (at < tar_len) {
			size_t used, n = tar_len - at < piece ? tar_len - at : piece;

			assert_int_equal(tar_guard_feed(&guard, tar + at, n, &used, &e), 0);
			at += used;
		}
		assert_true(guard.entries == 2 && guard.is_end);
	}
}

static void size_of_a_hard_link_is_taken_away(void **state)
{
	struct err e = { "" };
	size_t at = 0;
	uint8_t *h;

	(void)state;
	start();
	h = header("h", '1', 4096);
	header("next", '0', 0);
	assert_int_equal(step(&at, &e), 0);
	assert_memory_equal(h + 124, "00000000000", 12);
	assert_true(guard.type == '1' && guard.size == 0);
	assert_int_equal(step(&at, &e), 0);
	assert_int_equal(guard.entries, 2);
	/* The checksum was set right again: another reader of the same bytes agrees. */
	memset(&guard, 0, sizeof(guard));
	assert_int_equal(feed_all(&e), 0);
	/* In pieces it cannot be taken away, and is refused. */
	start();
	header("h", '1', 4096);
	at = 0;
	assert_int_equal(tar_guard_feed(&guard, tar, 100, &at, &e), 0);
	assert_int_equal(tar_guard_feed(&guard, tar + 100, 412, &at, &e), -EBADMSG);
}

static void refuse(int code, const char *word)
{
	struct err e = { "" };

	assert_int_equal(feed_all(&e), code);
	assert_non_null(strstr(e.text, word));
	start();
}

static void limits_and_rare_kinds_are_refused_by_name(void **state)
{
	static char big[TAR_PAX_MAX + 1];

	(void)state;
	start();
	pax(big, sizeof(big));
	refuse(-EFBIG, "pax header of 131073 bytes");
	header("g", 'g', TAR_PAX_MAX + 1);
	refuse(-EFBIG, "pax header");
	header("l", 'L', TAR_LONG_NAME_MAX + 1);
	refuse(-EFBIG, "name of 8193 bytes");
	header("k", 'K', 1ull << 32);
	refuse(-EFBIG, "name of");
	for (const char *t = "MVDNAZ8"; *t; t++) {
		header("t", *t, 0);
		refuse(-ENOTSUP, "tar type 0x");
	}
	pax("22 GNU.sparse.major=2\n", 22);
	refuse(-ENOTSUP, "later than 1.0");
	pax("19 SUN.holesdata=0\n", 19);
	refuse(-ENOTSUP, "sparse");
	pax("10 size=1\n", 10);
	header("dir", '5', 0);
	refuse(-EBADMSG, "content for something that has none");
	pax("10 path=a\n", 10);
	pax("10 path=b\n", 10);
	refuse(-EBADMSG, "two pax headers");
}

static void broken_pax_records_are_refused(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} bad[] = {
		{ "x", 1 }, { "10", 2 }, { "10 path=ab", 10 }, { "11 path=a\n", 10 }, { "9 path=a\n\n", 10 }, { "5 ab\n", 5 }, { "4 =\n", 4 },
		{ "0 path=a\n", 9 }, { "99999999999999999999 path=a\n", 28 }, { "3 \n", 3 }, { "11 size=1x\n", 11 }, { "11 path=a\0\n", 11 }, { " 10 path=a\n", 11 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct err e = { "" };

		start();
		pax(bad[i].text, bad[i].len);
		header("a", '0', 0);
		assert_int_equal(feed_all(&e), -EBADMSG);
		assert_true(e.text[0] != '\0');
	}
}

static void headers_that_are_none(void **state)
{
	uint8_t *h;

	(void)state;
	start();
	h = header("a", '0', 0);
	h[0] ^= 1;
	refuse(-EBADMSG, "not a tar header");
	h = header("a", '0', 0);
	memcpy(h + 124, "0000000009x", 11);
	seal(h);
	refuse(-EBADMSG, "not a tar header");
	h = header("a", '0', 0);
	memset(h + 124, 0xff, 12);	/* base-256, negative */
	seal(h);
	refuse(-EBADMSG, "not a tar header");
	h = header("a", '0', 0);
	memset(h + 124, 0, 12);		/* base-256, 2^62 */
	h[124] = 0x80;
	h[128] = 0x40;
	seal(h);
	refuse(-EBADMSG, "not a tar header");
}

static void number_of_entries_is_bounded(void **state)
{
	struct err e = { "" };
	size_t used;
	int r = 0;

	(void)state;
	start();
	header("a", '0', 0);
	for (long i = 0; r == 0 && i <= CONFIG_ENTRIES_MAX; i++)
		r = tar_guard_feed(&guard, tar, 512, &used, &e);
	assert_int_equal(r, -EFBIG);
	assert_int_equal(guard.entries, CONFIG_ENTRIES_MAX + 1);
}

static void sparse_files_look_ordinary_to_others(void **state)
{
	static const char text[] = "26 GNU.sparse.map=0,5,9,2\n22 GNU.sparse.size=20\n";
	struct err e = { "" };
	uint8_t *h;

	(void)state;
	start();
	pax(text, sizeof(text) - 1);
	header("f", '0', 7);
	content("x", 7);
	header("plain", '0', 0);
	for (size_t at = 0; guard.entries == 0;)
		assert_int_equal(step(&at, &e), 0);
	assert_true(guard.sparse.is_there && guard.sparse.count == 2 && guard.sparse.size == 20 && guard.sparse.stored == 7);
	assert_true(guard.sparse.part[1].at == 9 && guard.sparse.part[1].len == 2);
	assert_memory_equal(tar + 512, "26 _NU.sparse.map", 17);
	memset(&guard, 0, sizeof(guard));
	assert_int_equal(feed_all(&e), 0);
	assert_false(guard.sparse.is_there);
	/* GNU's old form, with one block more of parts that libarchive is not shown. */
	start();
	h = header("f", 'S', 30);
	memcpy(h + 386, "00000000000\00000000000012", 23);
	h[482] = 1;
	memcpy(h + 483, "00000000400", 11);
	seal(h);
	memset(tar + tar_len, 0, 512);
	memcpy(tar + tar_len, "00000000100\00000000000024", 23);
	tar_len += 512;
	content("y", 30);
	for (size_t at = 0, n = 0; at < tar_len; n++) {
		assert_int_equal(step(&at, &e), 0);
		assert_int_equal(guard.is_withheld, n == 1);
	}
	assert_true(guard.sparse.count == 2 && guard.sparse.part[1].at == 64 && guard.sparse.size == 256 && guard.sparse.stored == 30);
	assert_int_equal(h[156], '0');
	memset(&guard, 0, sizeof(guard));
	tar_len = 512;
	assert_int_equal(feed_all(&e), 0);
}

static void broken_sparse_maps_are_refused(void **state)
{
	static const char *const wrong[] = { "map=5,1,3,1", "map=1", "map=x,1", "map=0,99", "map=4611686018427387904,1", "numbytes=1" };

	(void)state;
	start();
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		char text[100];
		int len = snprintf(text, sizeof(text), "22 GNU.sparse.size=50\n%d GNU.sparse.%s\n", (int)strlen(wrong[i]) + 15, wrong[i]);

		pax(text, (size_t)len);
		refuse(-EBADMSG, "map of a sparse file is broken");
	}
	pax("22 GNU.sparse.size=50\n", 22);
	header("d", '5', 0);
	refuse(-EBADMSG, "or no file");
	pax("22 GNU.sparse.map=0,1\n", 22);
	header("f", '0', 1);
	refuse(-EBADMSG, "without a size");
}

static void the_map_of_1_0_is_read_from_the_content(void **state)
{
	static struct tar_sparse s;
	uint8_t block[1024] = "2\n0\n10\n100\n20\n";
	struct err e = { "" };
	size_t used, at = 0;

	(void)state;
	s.is_inside = true;
	while (!s.is_map_done) {
		assert_int_equal(tar_sparse_map(&s, block + at, 7, &used, &e), 0);
		at += used;
	}
	assert_true(at == 512 && s.count == 2 && s.part[1].at == 100 && s.part[1].len == 20 && s.stored == 30);
	memset(&s, 0, sizeof(s));
	strcpy((char *)block, "999999\n");
	assert_int_equal(tar_sparse_map(&s, block, 512, &used, &e), -EFBIG);
	memset(&s, 0, sizeof(s));
	strcpy((char *)block, "2\n-1\n");
	assert_int_equal(tar_sparse_map(&s, block, 512, &used, &e), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stops_behind_each_header_and_each_content),
		cmocka_unit_test(pax_names_and_sizes_are_for_the_next_entry_alone),
		cmocka_unit_test(pieces_of_any_size_give_the_same),
		cmocka_unit_test(size_of_a_hard_link_is_taken_away),
		cmocka_unit_test(limits_and_rare_kinds_are_refused_by_name),
		cmocka_unit_test(broken_pax_records_are_refused),
		cmocka_unit_test(headers_that_are_none),
		cmocka_unit_test(number_of_entries_is_bounded),
		cmocka_unit_test(sparse_files_look_ordinary_to_others),
		cmocka_unit_test(broken_sparse_maps_are_refused),
		cmocka_unit_test(the_map_of_1_0_is_read_from_the_content),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
