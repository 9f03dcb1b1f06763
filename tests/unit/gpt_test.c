/* SPDX-License-Identifier: MIT */
/* bundle/gpt.c on a made-up disk: the last partition grows, both copies are whole, and whatever is odd is left alone. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "gpt.h"
#include "record.h"

enum { SECTOR = 512, SMALL = 32 * 2048, LARGE = 96 * 2048, COUNT = 128, BYTES = COUNT * 128, LIST = BYTES / SECTOR };

static uint8_t entries[BYTES], header[SECTOR];
static int disk;

static void put(void *at, uint64_t v, size_t len)
{
	memcpy(at, &v, len);
}

static void entry(unsigned i, uint64_t first, uint64_t last)
{
	memset(entries + i * 128, 0x11 + (int)i, 32);
	put(entries + i * 128 + 32, first, 8);
	put(entries + i * 128 + 40, last, 8);
}

static void seal(void)
{
	memset(header, 0, sizeof(header));
	memcpy(header, "EFI PART\0\0\1", 12);
	put(header + 12, 92, 4);
	put(header + 24, 1, 8);
	put(header + 32, SMALL - 1, 8);
	put(header + 40, 34, 8);
	put(header + 48, SMALL - 2 - LIST, 8);
	put(header + 72, 2, 8);
	put(header + 80, COUNT, 4);
	put(header + 84, 128, 4);
	put(header + 88, record_crc32(0, entries, BYTES), 4);
	put(header + 16, record_crc32(0, header, 92), 4);
}

static void save(void)
{
	assert_int_equal(pwrite(disk, header, SECTOR, SECTOR), SECTOR);
	assert_int_equal(pwrite(disk, entries, BYTES, 2 * SECTOR), BYTES);
}

static int begin(void **state)
{
	char name[] = "/tmp/gpt_test.XXXXXX";

	disk = mkstemp(name);
	if (disk < 0 || unlink(name) < 0 || ftruncate(disk, (off_t)LARGE * SECTOR) < 0)
		return -1;
	memset(entries, 0, sizeof(entries));
	entry(0, 2048, 4095);
	entry(3, 4096, SMALL - 2048 - 1);
	seal();
	save();
	return 0;
}

static int end(void **state)
{
	return close(disk);
}

static uint64_t number(off_t at, size_t len)
{
	uint64_t v = 0;

	assert_int_equal(pread(disk, &v, len, at), (ssize_t)len);
	return v;
}

/* The copy whose header lies at sector AT. */
static void check_copy(uint64_t at, uint64_t other, uint64_t list, uint64_t last)
{
	uint8_t h[92], zero[4] = { 0 }, l[BYTES];
	off_t base = (off_t)at * SECTOR;
	uint32_t crc;

	assert_int_equal(number(base + 24, 8), at);
	assert_int_equal(number(base + 32, 8), other);
	assert_int_equal(number(base + 48, 8), LARGE - 2 - LIST);
	assert_int_equal(number(base + 72, 8), list);
	assert_int_equal(pread(disk, h, sizeof(h), base), sizeof(h));
	crc = (uint32_t)number(base + 16, 4);
	memcpy(h + 16, zero, 4);
	assert_int_equal(record_crc32(0, h, sizeof(h)), crc);
	assert_int_equal(pread(disk, l, BYTES, (off_t)list * SECTOR), BYTES);
	assert_int_equal(record_crc32(0, l, BYTES), number(base + 88, 4));
	assert_int_equal(number((off_t)list * SECTOR + 3 * 128 + 40, 8), last);
	assert_int_equal(number((off_t)list * SECTOR + 40, 8), 4095);
}

static void the_last_one_grows(void **state)
{
	struct gpt_part p = { .first = 4096 };
	struct err e = { "" };

	assert_int_equal(gpt_grow(disk, SECTOR, LARGE, &p, &e), 1);
	assert_int_equal(p.last, LARGE - 2048 - 1);
	check_copy(1, LARGE - 1, 2, p.last);
	check_copy(LARGE - 1, 1, LARGE - 1 - LIST, p.last);
	assert_int_equal(gpt_grow(disk, SECTOR, LARGE, &p, &e), 0);
	assert_int_equal(p.last, LARGE - 2048 - 1);
}

static void refuse(int code, uint64_t first, const char *word)
{
	uint8_t before[64 * SECTOR], after[64 * SECTOR];
	struct gpt_part p = { .first = first };
	struct err e = { "" };

	assert_int_equal(pread(disk, before, sizeof(before), 0), sizeof(before));
	assert_int_equal(gpt_grow(disk, SECTOR, LARGE, &p, &e), code);
	assert_non_null(strstr(e.text, word));
	assert_int_equal(pread(disk, after, sizeof(after), 0), sizeof(after));
	assert_memory_equal(before, after, sizeof(before));
	assert_int_equal(number((off_t)(LARGE - 1) * SECTOR, 8), 0);
}

static void another_behind_it(void **state)
{
	refuse(-EINVAL, 2048, "behind");
}

static void not_in_the_table(void **state)
{
	refuse(-EBADMSG, 5000, "not in it");
}

static void damaged_tables(void **state)
{
	static const struct { int at; uint32_t value; bool is_sealed; } bad[] = {
		{ 0, 0, true }, { 12, 0, true }, { 12, 4000000000u, true }, { 16, 1, false }, { 24, 7, true }, { 72, 1, true },
		{ 72, 4000000000u, true }, { 80, 0, true }, { 80, 4000000000u, true }, { 84, 64, true }, { 84, 4000000000u, true },
		{ 88, 1, true },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		seal();
		put(header + bad[i].at, bad[i].value, 4);
		if (bad[i].is_sealed) {
			put(header + 16, 0, 4);
			put(header + 16, record_crc32(0, header, 92), 4);
		}
		save();
		refuse(-EBADMSG, 4096, "partition table");
	}
}

/* A disk that takes no writes: said, nothing changed. */
static void a_disk_that_takes_no_writes(void **state)
{
	struct gpt_part p = { .first = 4096 };
	struct err e = { "" };
	int read_only;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", disk);
	read_only = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(read_only >= 0);
	assert_true(gpt_grow(read_only, SECTOR, LARGE, &p, &e) < 0);
	assert_non_null(strstr(e.text, "not written"));
	close(read_only);
	refuse(-EINVAL, 2048, "behind");	/* untouched, and whole */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_last_one_grows, begin, end),
		cmocka_unit_test_setup_teardown(another_behind_it, begin, end),
		cmocka_unit_test_setup_teardown(not_in_the_table, begin, end),
		cmocka_unit_test_setup_teardown(damaged_tables, begin, end),
		cmocka_unit_test_setup_teardown(a_disk_that_takes_no_writes, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
