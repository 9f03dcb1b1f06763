/* SPDX-License-Identifier: MIT */
/* bundle/layer_marks.c: a list out of a taken-over unpacker reaches nothing outside the staged layer; bundle/marks.c: the list that an honest one keeps. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <cmocka.h>

#include "file.h"
#include "layer_stage_inner.h"
#include "marks.h"

static char root_path[] = "/tmp/marks_test.XXXXXX";
static int root, layer;

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(root_path))
		return -1;
	root = open(root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mkdirat(root, "layer", 0755) < 0 || mkdirat(root, "outside", 0755) < 0 || mkdirat(root, "layer/d", 0755) < 0 ||
	    symlinkat("../outside", root, "layer/out") < 0 || symlinkat("d", root, "layer/in") < 0 || mknodat(root, "layer/file", S_IFREG | 0644, 0) < 0)
		return -1;
	layer = openat(root, "layer", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return layer < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct err e = { "" };

	(void)state;
	close(layer);
	close(root);
	return file_remove_tree(AT_FDCWD, root_path, &e);
}

/* What the launcher makes of a file of these bytes. */
static int apply_list(const void *list, size_t len, struct err *e)
{
	int fd = memfd_create("marks", MFD_CLOEXEC), r;

	assert_int_equal(write(fd, list, len), len);
	r = layer_marks_apply(layer, fd, e);
	close(fd);
	return r;
}

static int apply(char kind, const char *path, size_t len)
{
	uint8_t list[8192];
	uint16_t n = (uint16_t)len;
	struct err e = { "" };
	int r;

	memcpy(list, &n, 2);
	list[2] = (uint8_t)kind;
	memcpy(list + 3, path, len);
	r = apply_list(list, 3 + len, &e);
	assert_true((r < 0) == (e.text[0] != '\0'));
	return r;
}

static void marks_are_made_and_times_stay(void **state)
{
	struct timespec times[2] = { { 5, 0 }, { 6, 7 } };
	struct stat st;
	char value[4];

	(void)state;
	assert_int_equal(utimensat(layer, "d", times, 0), 0);
	assert_int_equal(apply('w', "d/gone", 6), 0);
	assert_int_equal(apply('o', "d", 1), 0);
	assert_int_equal(apply('w', "top", 3), 0);
	assert_int_equal(fstatat(layer, "d/gone", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISCHR(st.st_mode) && st.st_rdev == 0 && st.st_mtim.tv_sec == 0);
	assert_int_equal(fstatat(layer, "d", &st, 0), 0);
	assert_true(st.st_mtim.tv_sec == 6 && st.st_mtim.tv_nsec == 7);
	assert_int_equal(fchdir(layer), 0);
	assert_int_equal(getxattr("d", "trusted.overlay.opaque", value, sizeof(value)), 1);
	assert_int_equal(value[0], 'y');
}

static void nothing_outside_can_be_named(void **state)
{
	static const char *const paths[] = { "../outside/x", "out/x", "in/x", "..", ".", "", "d/..", "d/../../outside/x", "/etc/x", "file/x", "none/x", "d/." };
	struct stat st;

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		assert_true(apply('w', paths[i], strlen(paths[i])) < 0);
	assert_true(apply('o', "out", 3) < 0 && apply('o', "..", 2) < 0 && apply('o', "file", 4) < 0 && apply('o', "/tmp", 4) < 0);
	assert_true(apply('x', "d/y", 3) < 0);
	assert_int_equal(apply(0, "d/y", 3), 0);		/* not needed */
	assert_int_equal(fstatat(layer, "d/y", &st, 0), -1);
	assert_true(apply('w', "d/a\0b", 5) < 0);
	assert_true(apply('w', "file", 4) < 0);		/* never over something */
	assert_int_equal(fstatat(root, "outside/x", &st, 0), -1);
	assert_int_equal(fgetxattr(root, "trusted.overlay.opaque", NULL, 0), -1);
}

static void broken_lists_are_refused(void **state)
{
	static const uint8_t one[] = { 1 }, short_head[] = { 1, 0 }, too_long[] = { 5, 0, 'w', 'a', 'b' }, huge[3 + 5000] = { 0x88, 0x13, 'w' };
	struct err e = { "" };

	(void)state;
	assert_int_equal(apply_list(one, sizeof(one), &e), -EPROTO);
	assert_int_equal(apply_list(short_head, sizeof(short_head), &e), -EPROTO);
	assert_int_equal(apply_list(too_long, sizeof(too_long), &e), -EPROTO);
	assert_int_equal(apply_list(huge, sizeof(huge), &e), -EPROTO);
	e.text[0] = '\0';
	assert_int_equal(apply_list(one, 0, &e), 0);
}

static struct marks m;

static int fresh_marks(void **state)
{
	(void)state;
	if (m.fd > 0)
		close(m.fd);
	memset(&m, 0, sizeof(m));
	m.fd = memfd_create("marks", MFD_CLOEXEC);
	return m.fd < 0 ? -1 : 0;
}

static void the_set_is_bounded_and_holds_each_once(void **state)
{
	char path[UNPACK_PATH_MAX + 10];
	struct err e = { "" };
	struct mark one;
	int r = 0, n;

	(void)state;
	assert_false(marks_has(&m, MARK_WHITEOUT, "a"));
	assert_int_equal(marks_add(&m, MARK_WHITEOUT, "a", &e), 0);
	assert_int_equal(marks_add(&m, MARK_WHITEOUT, "a", &e), 0);
	assert_int_equal(marks_add(&m, MARK_OPAQUE, "a", &e), 0);
	assert_int_equal(marks_add(&m, MARK_OPAQUE, "", &e), 0);
	assert_true(m.count == 3 && m.bytes == 2 + 3 * UNPACK_MARK_HEAD);
	assert_true(marks_has(&m, MARK_OPAQUE, "a") && !marks_has(&m, MARK_OPAQUE, "b") && marks_has(&m, MARK_OPAQUE, ""));
	memset(path, 'x', sizeof(path));
	path[UNPACK_PATH_MAX] = '\0';
	assert_int_equal(marks_add(&m, MARK_WHITEOUT, path, &e), -ENAMETOOLONG);
	path[UNPACK_PATH_MAX - 1] = '\0';
	assert_int_equal(marks_add(&m, MARK_WHITEOUT, path, &e), 0);
	assert_true(marks_has(&m, MARK_WHITEOUT, path));
	for (int i = 0; r == 0; i++) {
		snprintf(path, sizeof(path), "dir/%d", i);
		r = marks_add(&m, MARK_WHITEOUT, path, &e);
	}
	assert_int_equal(r, -EFBIG);
	assert_true(m.count == UNPACK_MARKS_MAX && m.bytes <= UNPACK_MARK_BYTES_MAX);
	for (int i = 0; i < UNPACK_MARKS_MAX - 4; i++) {
		snprintf(path, sizeof(path), "dir/%d", i);
		assert_true(marks_has(&m, MARK_WHITEOUT, path) && !marks_has(&m, MARK_OPAQUE, path));
	}
	assert_false(marks_has(&m, MARK_WHITEOUT, "dir/65532"));
	for (n = 0, one.at = 0; (r = marks_read(&m, &one)) > 0; n++)
		one.at += marks_size(&one);
	assert_true(r == 0 && n == UNPACK_MARKS_MAX && one.at == m.bytes && m.code == 0);
}

static void names_are_bounded(void **state)
{
	char path[UNPACK_PATH_MAX];
	struct err e = { "" };
	int r = 0;

	(void)state;
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	for (int i = 0; r == 0; i++) {
		snprintf(path, 7, "%06d", i);
		path[6] = 'x';
		r = marks_add(&m, MARK_WHITEOUT, path, &e);
	}
	assert_int_equal(r, -EFBIG);
	assert_true(m.count < UNPACK_MARKS_MAX && m.bytes <= UNPACK_MARK_BYTES_MAX && m.bytes > UNPACK_MARK_BYTES_MAX - 4100);
	assert_true(m.code == 0);
}

static void a_file_that_cannot_be_read_or_written_is_told(void **state)
{
	struct err e = { "" };

	(void)state;
	assert_int_equal(marks_add(&m, MARK_WHITEOUT, "a", &e), 0);
	assert_int_equal(ftruncate(m.fd, 1), 0);
	assert_false(marks_has(&m, MARK_WHITEOUT, "a"));
	assert_int_equal(m.code, -EIO);
	close(m.fd);
	m.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(marks_add(&m, MARK_WHITEOUT, "b", &e), -EBADF);
}

static void devices_are_those_of_the_list(void **state)
{
	struct err e = { "" };
	unsigned major, minor;
	int kind;

	(void)state;
	for (unsigned a = 0; a < 300; a++)
		for (unsigned b = 0; b < 300; b++) {
			kind = mark_device(a, b);
			assert_true(!kind || (mark_device_number((char)kind, &major, &minor) && major == a && minor == b));
		}
	assert_int_equal(mark_device(1, 1), 0);	/* mem */
	assert_int_equal(mark_device(0, 0), 0);
	assert_false(mark_device_number('A' + 8, &major, &minor) || mark_device_number('w', &major, &minor) || mark_device_number('@', &major, &minor));
	kind = mark_device(1, 3);
	assert_int_equal(marks_add(&m, (enum mark_kind)kind, "dev/null", &e), 0);
	assert_true(marks_has_device(&m, "dev/null") && !marks_has_device(&m, "dev"));
	for (int i = 0; i < UNPACK_MARKS_MAX + 10; i++) {	/* the same again takes the same room */
		assert_int_equal(marks_drop_device(&m, "dev/null"), 0);
		assert_int_equal(marks_drop_device(&m, "dev/null"), 0);
		assert_false(marks_has_device(&m, "dev/null"));
		assert_int_equal(marks_add(&m, (enum mark_kind)kind, "dev/null", &e), 0);
	}
	assert_true(m.count == 1 && m.bytes == UNPACK_MARK_HEAD + 8 && m.code == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(marks_are_made_and_times_stay),
		cmocka_unit_test(nothing_outside_can_be_named),
		cmocka_unit_test(broken_lists_are_refused),
		cmocka_unit_test_setup(the_set_is_bounded_and_holds_each_once, fresh_marks),
		cmocka_unit_test_setup(names_are_bounded, fresh_marks),
		cmocka_unit_test_setup(a_file_that_cannot_be_read_or_written_is_told, fresh_marks),
		cmocka_unit_test_setup(devices_are_those_of_the_list, fresh_marks),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
