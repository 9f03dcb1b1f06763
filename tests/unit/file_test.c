/* SPDX-License-Identifier: MIT */
/* lib/file.c against a real file system in a scratch directory. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "file.h"

static char root_path[] = "/tmp/file_test.XXXXXX";
static int root = -1;

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(root_path))
		return -1;
	root = open(root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return root < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct err e = { "" };

	(void)state;
	close(root);
	return file_remove_tree(AT_FDCWD, root_path, &e);
}

static void replace_makes_whole_content(void **state)
{
	struct err e = { "" };
	struct stat st;
	char *text;
	size_t len;

	(void)state;
	assert_int_equal(file_make_dirs(root, "state/deep", 0755, &e), 0);
	assert_int_equal(file_replace(root, "state/deep/slots", span_str("one"), 0640, &e), 0);
	assert_int_equal(file_replace(root, "state/deep/slots", span_str("second"), 0600, &e), 0);
	assert_int_equal(file_read(root, "state/deep/slots", 100, &text, &len, &e), 0);
	assert_string_equal(text, "second");
	assert_int_equal(len, 6);
	free(text);
	assert_int_equal(fstatat(root, "state/deep/slots", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(file_remove_tree(root, "state/deep/slots", &e), 0);
	/* nothing but the file itself was left behind: the directory is empty again */
	assert_int_equal(unlinkat(root, "state/deep", AT_REMOVEDIR), 0);
}

static void failed_replace_keeps_the_old_and_names_the_file(void **state)
{
	struct err e = { "" };

	(void)state;
	assert_int_equal(mkdirat(root, "is-a-directory", 0755), 0);
	assert_true(file_replace(root, "is-a-directory", span_str("x"), 0644, &e) < 0);
	assert_non_null(strstr(e.text, "is-a-directory: cannot replace"));
	assert_int_equal(unlinkat(root, "is-a-directory", AT_REMOVEDIR), 0);
}

static void reading_refuses_large_and_special(void **state)
{
	struct err e = { "" };
	char *text;
	size_t len;

	(void)state;
	assert_int_equal(file_replace(root, "five", span_str("12345"), 0644, &e), 0);
	assert_int_equal(file_read(root, "five", 4, &text, &len, &e), -EFBIG);
	assert_null(text);
	assert_int_equal(file_read(root, "five", 5, &text, &len, &e), 0);
	free(text);
	e.text[0] = '\0';
	assert_int_equal(mkfifoat(root, "fifo", 0600), 0);
	assert_int_equal(file_read(root, "fifo", 5, &text, &len, &e), -EINVAL);
	e.text[0] = '\0';
	assert_int_equal(file_read(root, "absent", 5, &text, &len, &e), -ENOENT);
	assert_non_null(strstr(e.text, "absent"));
}

static void opens_stay_beneath(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(symlinkat("/etc/passwd", root, "abs"), 0);
	assert_int_equal(symlinkat("../../../etc/passwd", root, "up"), 0);
	assert_true(file_open_beneath(root, "../etc", O_RDONLY, 0) < 0);
	assert_true(file_open_beneath(root, "abs", O_RDONLY, 0) < 0);
	assert_true(file_open_beneath(root, "up", O_RDONLY, 0) < 0);
	/* as chroot: the link leads to <root>/etc/passwd, which does not exist */
	assert_int_equal(file_open_in_root(root, "abs", O_RDONLY, 0), -ENOENT);
	assert_int_equal(file_open_in_root(root, "up", O_RDONLY, 0), -ENOENT);
	fd = file_open_in_root(root, "/../../.", O_RDONLY | O_DIRECTORY, 0);
	assert_true(fd >= 0);
	close(fd);
}

static void removing_a_tree_follows_no_link(void **state)
{
	struct err e = { "" };

	(void)state;
	assert_int_equal(file_make_dirs(root, "keep", 0755, &e), 0);
	assert_int_equal(file_replace(root, "keep/me", span_str("x"), 0644, &e), 0);
	assert_int_equal(file_make_dirs(root, "tree/a/b", 0755, &e), 0);
	assert_int_equal(symlinkat("../keep", root, "tree/link"), 0);
	assert_int_equal(file_replace(root, "tree/a/b/c", span_str("x"), 0444, &e), 0);
	assert_int_equal(file_remove_tree(root, "tree", &e), 0);
	assert_int_equal(faccessat(root, "tree", F_OK, 0), -1);
	assert_int_equal(faccessat(root, "keep/me", F_OK, 0), 0);
	assert_int_equal(file_remove_tree(root, "not-there", &e), 0);
}

static void sweeping_takes_what_a_dead_writer_left(void **state)
{
	static const char *const stay[] = { ".a.new", ".a.x1.new", "a.4000000.new", ".a.4000000.old", ".4000000.new", ".a.4000000000000000000.new" };
	struct err e = { "" };
	char own[64];

	(void)state;
	snprintf(own, sizeof(own), ".slots.%d.new", (int)getpid());
	assert_int_equal(file_make_dirs(root, "sweep", 0755, &e), 0);
	int dir = openat(root, "sweep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < sizeof(stay) / sizeof(*stay); i++)
		close(openat(dir, stay[i], O_CREAT | O_WRONLY, 0600));
	close(openat(dir, own, O_CREAT | O_WRONLY, 0600));
	close(openat(dir, ".slots.4194999.new", O_CREAT | O_WRONLY, 0600));	/* above any pid_max */
	file_sweep_aside(dir);
	for (size_t i = 0; i < sizeof(stay) / sizeof(*stay); i++)
		assert_int_equal(faccessat(dir, stay[i], F_OK, 0), 0);
	assert_int_equal(faccessat(dir, own, F_OK, 0), 0);
	assert_int_equal(faccessat(dir, ".slots.4194999.new", F_OK, 0), -1);
	close(dir);
	assert_int_equal(file_remove_tree(root, "sweep", &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replace_makes_whole_content),
		cmocka_unit_test(failed_replace_keeps_the_old_and_names_the_file),
		cmocka_unit_test(reading_refuses_large_and_special),
		cmocka_unit_test(opens_stay_beneath),
		cmocka_unit_test(removing_a_tree_follows_no_link),
		cmocka_unit_test(sweeping_takes_what_a_dead_writer_left),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
