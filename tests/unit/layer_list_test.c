/* SPDX-License-Identifier: MIT */
/* bundle/layer_tree.c, layer_line.c, layer_list.c, layer_verify.c: order, escapes, tables of digests that do not fit. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "file.h"
#include "layer_line.h"
#include "layer_list.h"
#include "unpack.h"
#include "verity.h"

static char root_path[] = "/tmp/list_test.XXXXXX";
static int root, layer;

static void put(const char *path, const char *text)
{
	int fd = openat(layer, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(root_path))
		return -1;
	root = open(root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mkdirat(root, "layer", 0755) < 0)
		return -1;
	layer = openat(root, "layer", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put("a-b", "1");
	put("a\nb c\\=\xff", "two");
	if (mkdirat(layer, "a", 0755) < 0 || symlinkat("-", layer, "link") < 0 || linkat(layer, "a-b", layer, "z", 0) < 0)
		return -1;
	put("a/x", "");
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

/* What the unpacker would have written down for that file. */
static struct unpack_digest record_of(const char *path, uint64_t serial, const char *text)
{
	static struct verity v;
	struct unpack_digest d = { .serial = serial, .at = 99 };
	struct stat st;

	assert_int_equal(fstatat(layer, path, &st, 0), 0);
	d.inode = st.st_ino;
	verity_begin(&v);
	verity_add(&v, text, strlen(text));
	d.verity = verity_end(&v);
	return d;
}

static int open_table(const struct unpack_digest *d, size_t size)
{
	int fd = openat(root, "table", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0 && write(fd, d, size) == (ssize_t)size);
	return fd;
}

static int write_list(const struct unpack_digest *d, size_t size, struct err *e)
{
	int table = open_table(d, size), list = openat(root, "list", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), r;
	uint64_t bytes = 0;

	r = layer_list_write(layer, table, list, &bytes, e);
	if (r == 0)
		assert_int_equal(bytes, 4);
	close(table);
	close(list);
	return r;
}

static long verify(char **said, struct err *e)
{
	int list = openat(root, "list", O_RDONLY | O_CLOEXEC);
	size_t size;
	FILE *out = open_memstream(said, &size);
	long wrong = layer_list_verify(layer, list, out, "", e);

	fclose(out);
	close(list);
	return wrong;
}

static void written_lists_verify(void **state)
{
	struct unpack_digest d[] = {
		record_of("z", 7, "1"), record_of("a-b", 3, "an earlier file with this inode"), record_of("a\nb c\\=\xff", 1, "two"), record_of("a/x", 0, ""),
		{ .inode = 1, .serial = 5 },
	};
	struct err e = { "" };
	char *said, *text;
	size_t len;

	(void)state;
	assert_int_equal(write_list(d, sizeof(d), &e), 0);
	assert_int_equal(file_read(root, "list", 65536, &text, &len, &e), 0);
	/* In the order of the walk: a, what is in it, then what only begins like it; a second name is a reference. */
	assert_true(strstr(text, "/a 0 40755") < strstr(text, "/a/x 0 100644") && strstr(text, "/a/x ") < strstr(text, "/a\\x0ab\\x20c\\x5c=\\xff 3 "));
	assert_true(strstr(text, "/a\\x0ab") < strstr(text, "/a-b 1 100644 2 "));
	assert_non_null(strstr(text, "/z 0 @100644 1 0 0 0 0.0 /a-b - -\n"));
	assert_non_null(strstr(text, " \\x2d - -\n"));	/* the link to "-" */
	free(text);
	assert_int_equal(verify(&said, &e), 0);
	assert_string_equal(said, "");
	free(said);
	put("a/x", "grown");
	assert_int_equal(verify(&said, &e), 3);		/* size, time, content */
	assert_non_null(strstr(said, "/a/x: size is 5, was 0"));
	assert_non_null(strstr(said, "/a/x: content is "));
	free(said);
	put("a/x", "");
}

static void tables_that_do_not_fit_are_refused(void **state)
{
	struct unpack_digest d[] = { record_of("a-b", 0, "1"), record_of("a/x", 1, "") };
	struct err e = { "" };

	(void)state;
	assert_int_equal(write_list(d, sizeof(d), &e), -EPROTO);
	assert_non_null(strstr(e.text, "named no digest"));
	e.text[0] = '\0';
	assert_int_equal(write_list(d, sizeof(d) - 1, &e), -EPROTO);
	e.text[0] = '\0';
	assert_int_equal(write_list(d, 0, &e), -EPROTO);
}

static void broken_lists_are_damaged(void **state)
{
	static const char *const texts[] = { "/\n", "nonsense", "/ 0 40755 1 0 0 0 1.0 - -\n", "/\\x0 0 40755 1 0 0 0 1.0 - - -\n", "\n" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct err e = { "" };
		char *said;

		assert_int_equal(file_replace(root, "list", span_str(texts[i]), 0644, &e), 0);
		assert_int_equal(verify(&said, &e), -EUCLEAN);
		assert_non_null(strstr(e.text, "damaged"));
		free(said);
	}
}

static void order_of_paths(void **state)
{
	static const char *const sorted[] = { "/", "/a", "/a/b", "/a/b/c", "/a/b-c", "/a\n", "/a!", "/a-b", "/a.", "/aa", "/b", "/\xff" };
	size_t n = sizeof(sorted) / sizeof(*sorted);

	(void)state;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++) {
			int r = layer_tree_compare(sorted[i], sorted[j]);

			assert_true(i < j ? r < 0 : i > j ? r > 0 : r == 0);
		}
}

static void any_text_survives_its_escape(void **state)
{
	uint8_t all[255];
	char back[300], *text;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	(void)state;
	for (int i = 0; i < 255; i++)
		all[i] = (uint8_t)(i + 1);
	layer_line_text(to, span_of(all, sizeof(all)), "=");
	fclose(to);
	assert_null(strpbrk(text, " \n\t="));
	assert_int_equal(layer_line_plain(span_of(text, size), back, sizeof(back)), 0);
	assert_memory_equal(back, all, sizeof(all));
	assert_int_equal(layer_line_plain(span_of(text, size), back, 100), -EBADMSG);
	free(text);
	assert_int_equal(layer_line_plain(span_str("-"), back, sizeof(back)), 0);
	assert_string_equal(back, "");
	assert_int_equal(layer_line_plain(span_str("a\\x00b"), back, sizeof(back)), -EBADMSG);
	assert_int_equal(layer_line_plain(span_str("a\\x4"), back, sizeof(back)), -EBADMSG);
	assert_int_equal(layer_line_plain(span_str("a\\n"), back, sizeof(back)), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(written_lists_verify),
		cmocka_unit_test(tables_that_do_not_fit_are_refused),
		cmocka_unit_test(broken_lists_are_damaged),
		cmocka_unit_test(order_of_paths),
		cmocka_unit_test(any_text_survives_its_escape),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
