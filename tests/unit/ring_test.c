/* SPDX-License-Identifier: MIT */
/* init/ring.c and init/logger.c: lines in, lines out, also when the ring turns over and when lines have no end. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <string.h>
#include <cmocka.h>

#include "logger.h"
#include "ring.h"

static int fd = -1, read_fd = -1;
static struct ring *ring;
static size_t map_len;
static char out[65536];

static int make(void **state)
{
	(void)state;
	assert_int_equal(ring_make("test", 4, &fd, &read_fd), 0);
	ring = ring_map(fd, 1, &map_len);
	assert_non_null(ring);
	return 0;
}

static int unmake(void **state)
{
	(void)state;
	ring_unmap(ring, map_len);
	close(fd);
	close(read_fd);
	return 0;
}

static size_t copy_all(void)
{
	uint64_t from = 0;
	size_t len = ring_copy(ring, &from, out, sizeof(out) - 1);

	out[len] = '\0';
	return len;
}

static void what_goes_in_comes_out(void **state)
{
	uint64_t from = 0;
	size_t len;

	(void)state;
	assert_int_equal(copy_all(), 0);
	ring_add(ring, "one\ntwo\n", 8);
	assert_int_equal(copy_all(), 8);
	assert_string_equal(out, "one\ntwo\n");
	ring_copy(ring, &from, out, sizeof(out));
	ring_add(ring, "three\n", 6);
	len = ring_copy(ring, &from, out, sizeof(out));
	assert_int_equal(len, 6);
	assert_memory_equal(out, "three\n", 6);
	assert_int_equal(ring_copy(ring, &from, out, sizeof(out)), 0);
}

static void old_lines_go_whole(void **state)
{
	char line[32];
	unsigned number;

	(void)state;
	for (unsigned i = 0; i < 10000; i++)
		ring_add(ring, line, (size_t)snprintf(line, sizeof(line), "line %u\n", i));
	assert_true(copy_all() > 3000);
	assert_int_equal(sscanf(out, "line %u\n", &number), 1);
	for (char *at = out; *at; at = strchr(at, '\n') + 1) {
		snprintf(line, sizeof(line), "line %u\n", number++);
		assert_memory_equal(at, line, strlen(line));
	}
	assert_int_equal(number, 10000);
}

static void more_than_the_ring_holds_keeps_its_end(void **state)
{
	static char big[20000];

	(void)state;
	memset(big, 'x', sizeof(big));
	memcpy(big + sizeof(big) - 5, "\nend\n", 5);
	ring_add(ring, big, sizeof(big));
	copy_all();
	assert_string_equal(out, "end\n");
}

static void a_reader_cannot_write(void **state)
{
	(void)state;
	assert_ptr_equal(mmap(NULL, map_len, PROT_READ | PROT_WRITE, MAP_SHARED, read_fd, 0), MAP_FAILED);
	assert_int_equal(write(read_fd, "x", 1), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
}

static void a_head_that_lies_is_no_ring(void **state)
{
	size_t len;

	(void)state;
	ring->size = 1 << 30;
	assert_null(ring_map(read_fd, 0, &len));
	ring->size = 4096 - RING_HEAD_SIZE;
	ring->magic = 0;
	assert_null(ring_map(read_fd, 0, &len));
	assert_null(ring_map(-1, 0, &len));
}

static const struct timespec now = { .tv_sec = 1795514400, .tv_nsec = 123456789 };

static void lines_are_cri(void **state)
{
	static struct logger_line l;

	(void)state;
	l.len = 0;
	logger_take(&l, ring, "stdout", "hel", 3, &now);
	assert_int_equal(copy_all(), 0);
	logger_take(&l, ring, "stdout", "lo\n\nnext\nrest", 13, &now);
	copy_all();
	assert_string_equal(out, "2026-11-24T10:00:00.123456789Z stdout F hello\n"
		"2026-11-24T10:00:00.123456789Z stdout F \n2026-11-24T10:00:00.123456789Z stdout F next\n");
	assert_int_equal(l.len, 4);
}

static void a_line_without_end_comes_in_parts(void **state)
{
	static struct logger_line l;
	static char big[LOGGER_LINE_MAX + 3];

	(void)state;
	l.len = 0;
	memset(big, 'y', sizeof(big));
	logger_take(&l, ring, "stderr", big, sizeof(big), &now);
	copy_all();
	assert_non_null(strstr(out, " stderr P yyy"));
	assert_int_equal(l.len, 3);
	logger_take(&l, ring, "stderr", "\n", 1, &now);
	copy_all();
	assert_non_null(strstr(out, " stderr F yyy\n"));
}

static void a_line_of_exactly_the_limit_is_whole(void **state)
{
	static struct logger_line l;
	static char big[LOGGER_LINE_MAX + 1];

	(void)state;
	l.len = 0;
	memset(big, 'z', sizeof(big));
	big[LOGGER_LINE_MAX] = '\n';
	logger_take(&l, ring, "stdout", big, sizeof(big), &now);
	copy_all();
	assert_null(strstr(out, " stdout P "));
	assert_non_null(strstr(out, " stdout F zzz"));
	assert_int_equal(l.len, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, unmake)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_goes_in_comes_out),
		TEST(old_lines_go_whole),
		TEST(more_than_the_ring_holds_keeps_its_end),
		TEST(a_reader_cannot_write),
		TEST(a_head_that_lies_is_no_ring),
		TEST(lines_are_cri),
		TEST(a_line_without_end_comes_in_parts),
		TEST(a_line_of_exactly_the_limit_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
