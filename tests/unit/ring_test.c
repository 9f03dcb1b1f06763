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
#include <stdlib.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "logger.h"
#include "ring.h"
#include "saver.h"

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

static struct logger_rate no_rate;
static struct logger_stream stream;

static size_t take(const char *at, size_t len)
{
	stream.ring = ring;
	stream.name = "stdout";
	if (!stream.rate)
		stream.rate = &no_rate;
	return logger_take(&stream, at, len, &now, 5000);
}

static void lines_are_cri(void **state)
{
	(void)state;
	assert_int_equal(take("hel", 3), 0);	/* stays in the pipe */
	assert_int_equal(copy_all(), 0);
	assert_int_equal(take("hello\n\nnext\nrest", 16), 12);
	copy_all();
	assert_string_equal(out, "2026-11-24T10:00:00.123456789Z stdout F hello\n"
		"2026-11-24T10:00:00.123456789Z stdout F \n2026-11-24T10:00:00.123456789Z stdout F next\n");
}

static void a_line_without_end_comes_in_parts(void **state)
{
	static char big[LOGGER_LINE_MAX + 3];

	(void)state;
	memset(big, 'y', sizeof(big));
	assert_int_equal(take(big, sizeof(big)), LOGGER_LINE_MAX);
	copy_all();
	assert_non_null(strstr(out, " stdout P yyy"));
	assert_int_equal(take("yyy\n", 4), 4);
	copy_all();
	assert_non_null(strstr(out, " stdout F yyy\n"));
}

static void a_line_of_exactly_the_limit_is_whole(void **state)
{
	static char big[LOGGER_LINE_MAX + 1];

	(void)state;
	memset(big, 'z', sizeof(big));
	big[LOGGER_LINE_MAX] = '\n';
	assert_int_equal(take(big, LOGGER_LINE_MAX), 0);
	assert_int_equal(take(big, sizeof(big)), sizeof(big));
	copy_all();
	assert_null(strstr(out, " stdout P "));
	assert_non_null(strstr(out, " stdout F zzz"));
}

static void over_the_rate_is_counted_and_said(void **state)
{
	struct logger_rate rate = { .burst = 2, .interval_ms = 1000 };

	(void)state;
	stream.rate = &rate;
	assert_int_equal(take("1\n2\n3\n4\n5\n", 10), 10);
	copy_all();
	assert_non_null(strstr(out, " F 2\n"));
	assert_null(strstr(out, " F 3\n"));
	assert_int_equal(ring->dropped, 3);
	logger_take(&stream, "6\n", 2, &now, 6000);
	copy_all();
	assert_non_null(strstr(out, " stderr F coracle: 3 lines dropped, over the rate"));
	assert_non_null(strstr(out, " stdout F 6\n"));
	assert_int_equal(ring->dropped, 0);
	stream.rate = NULL;
}

static void saved_in_batches_and_turned_over(void **state)
{
	char path[] = "/tmp/coracle-saver-XXXXXX", buf[8192], text[8192];
	int dir, file;
	struct stat st;
	ssize_t n;

	(void)state;
	assert_non_null(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY);
	take("one\n", 4);
	assert_int_equal(saver_save(ring, dir, 1000, buf, sizeof(buf)), 0);
	assert_int_equal(ring->saved, ring->head);
	assert_int_equal(saver_save(ring, dir, 1000, buf, sizeof(buf)), 0);
	file = openat(dir, "0.log", O_RDONLY);
	n = read(file, text, sizeof(text) - 1);
	text[n] = '\0';
	close(file);
	assert_string_equal(text, "2026-11-24T10:00:00.123456789Z stdout F one\n");
	/* More than the ring holds came meanwhile: said. And more than the file may hold: turned over. */
	for (int i = 0; i < 200; i++)
		take("a line of some length, again and again\n", 39);
	assert_int_equal(saver_save(ring, dir, 5000, buf, sizeof(buf)), 0);
	file = openat(dir, "0.log", O_RDONLY);
	n = read(file, text, sizeof(text) - 1);
	text[n] = '\0';
	assert_non_null(strstr(text, "bytes of log lost before they were saved"));
	close(file);
	take("two\n", 4);
	assert_int_equal(saver_save(ring, dir, 100, buf, sizeof(buf)), 0);
	assert_int_equal(fstatat(dir, "1.log", &st, 0), 0);
	assert_int_equal(fstatat(dir, "0.log", &st, 0), 0);
	assert_true(st.st_size < 100);
	unlinkat(dir, "0.log", 0);
	unlinkat(dir, "1.log", 0);
	/* Nowhere to write: tried again. */
	take("three\n", 6);
	assert_true(saver_save(ring, -1, 100, buf, sizeof(buf)) < 0);
	assert_true(ring->saved < ring->head);
	close(dir);
	rmdir(path);
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
		TEST(over_the_rate_is_counted_and_said),
		TEST(saved_in_batches_and_turned_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
