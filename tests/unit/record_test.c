/* SPDX-License-Identifier: MIT */
/* lib/record.c, lib/unit_table.c: nothing cut, flipped or of another build is ever used. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "record.h"
#include "unit_table.h"

/* The smallest legal record: one argument, a cwd, a root path. */
struct tiny {
	struct record_head head;
	struct record_str args[1];
	char text[16];
};

static uint32_t place(size_t field)
{
	return (uint32_t)(offsetof(struct tiny, text) + field);
}

static void seal(struct tiny *t)
{
	t->head.crc32 = 0;
	t->head.crc32 = record_crc32(0, t, sizeof(*t));
}

static struct tiny tiny_new(void)
{
	struct tiny t;

	memset(&t, 0, sizeof(t));
	memcpy(t.head.magic, RECORD_MAGIC, 8);
	t.head.format = RECORD_FORMAT;
	t.head.size = sizeof(t);
	memcpy(t.text, "/bin/a\0/\0/r", 12);
	t.args[0] = (struct record_str){ place(0), 6 };
	t.head.args = (struct record_list){ offsetof(struct tiny, args), 1 };
	t.head.cwd = (struct record_str){ place(7), 1 };
	t.head.rootfs = RECORD_ROOTFS_PATH;
	t.head.root_path = (struct record_str){ place(9), 2 };
	seal(&t);
	return t;
}

static void crc_is_the_ieee_one(void **state)
{
	(void)state;
	assert_int_equal(record_crc32(0, "123456789", 9), 0xcbf43926);
	assert_int_equal(record_crc32(record_crc32(0, "1234", 4), "56789", 5), 0xcbf43926);
}

static void good_record_passes(void **state)
{
	struct tiny t = tiny_new();
	struct err e = { "" };

	(void)state;
	assert_int_equal(record_check(&t, sizeof(t), &e), 0);
	assert_string_equal(record_text(&t.head, t.head.cwd), "/");
	assert_null(record_text(&t.head, t.head.hostname));
}

static void every_flipped_bit_is_refused(void **state)
{
	(void)state;
	for (size_t bit = 0; bit < sizeof(struct tiny) * 8; bit++) {
		struct tiny t = tiny_new();
		struct err e = { "" };

		((uint8_t *)&t)[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_true(record_check(&t, sizeof(t), &e) < 0);
		assert_true(e.text[0] != '\0');
	}
}

static void every_cut_is_refused(void **state)
{
	struct tiny t = tiny_new();

	(void)state;
	for (size_t len = 0; len < sizeof(t); len++)
		assert_true(record_check(&t, len, NULL) < 0);
}

static void other_format_asks_for_a_compile(void **state)
{
	struct tiny t = tiny_new();
	struct err e = { "" };

	(void)state;
	t.head.format++;
	seal(&t);
	assert_int_equal(record_check(&t, sizeof(t), &e), -ESTALE);
	assert_non_null(strstr(e.text, "compile the bundle again"));
}

/* A checksum proves no honesty: with a right one, every place is still checked. */
static void sealed_but_wild_offsets_are_refused(void **state)
{
	static const uint32_t wild[] = { 1, 8, sizeof(struct tiny) - 1, sizeof(struct tiny), 0x7fffffff, 0xffffffff };
	static const size_t fields[] = {
		offsetof(struct record_head, cwd), offsetof(struct record_head, root_path),
		offsetof(struct record_head, args), offsetof(struct record_head, env), offsetof(struct record_head, mounts),
		offsetof(struct record_head, seccomp), offsetof(struct record_head, layers), offsetof(struct record_head, id),
		offsetof(struct record_head, cgroup_files), offsetof(struct record_head, groups),
	};

	(void)state;
	for (size_t f = 0; f < sizeof(fields) / sizeof(*fields); f++)
		for (size_t w = 0; w < sizeof(wild) / sizeof(*wild); w++) {
			struct tiny t = tiny_new();
			struct record_str s = { wild[w], 0x7fffffff };

			memcpy((uint8_t *)&t + fields[f], &s, sizeof(s));
			seal(&t);
			assert_int_equal(record_check(&t, sizeof(t), NULL), -EBADMSG);
		}
}

static void string_without_its_nul_is_refused(void **state)
{
	struct tiny t = tiny_new();

	(void)state;
	t.head.root_path.len = 1;	/* "/r": no NUL after one byte */
	seal(&t);
	assert_int_equal(record_check(&t, sizeof(t), NULL), -EBADMSG);
}

static struct unit_table table;

static void unit_table_is_checked(void **state)
{
	struct err e = { "" };

	(void)state;
	memset(&table, 0, sizeof(table));
	table.count = 1;
	memset(table.unit[0].name, 'n', sizeof(table.unit[0].name));
	unit_table_seal(&table);
	assert_int_equal(unit_table_check(&table, sizeof(table) - 1, &e), -EBADMSG);
	unit_table_seal(&table);
	assert_int_equal(unit_table_check(&table, sizeof(table), &e), 0);
	assert_int_equal(strlen(table.unit[0].name), UNIT_NAME_MAX - 1);
	unit_table_seal(&table);
	table.unit[0].restart ^= 1;
	assert_int_equal(unit_table_check(&table, sizeof(table), &e), -EBADMSG);
	table.unit[0].dep[2] = (struct unit_dep){ (uint16_t)(2), UNIT_DEP_AFTER };
	unit_table_seal(&table);
	assert_int_equal(unit_table_check(&table, sizeof(table), &e), -EBADMSG);
	table.unit[0].dep[2] = (struct unit_dep){ (uint16_t)(0), UNIT_DEP_AFTER };
	table.count = CONFIG_UNITS_MAX + 1;
	unit_table_seal(&table);
	assert_int_equal(unit_table_check(&table, sizeof(table), &e), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc_is_the_ieee_one),
		cmocka_unit_test(good_record_passes),
		cmocka_unit_test(every_flipped_bit_is_refused),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(other_format_asks_for_a_compile),
		cmocka_unit_test(sealed_but_wild_offsets_are_refused),
		cmocka_unit_test(string_without_its_nul_is_refused),
		cmocka_unit_test(unit_table_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
