/* SPDX-License-Identifier: MIT */
/* bundle/image_user.c against real files in a scratch root, hostile ones too. */
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
#include "image_user.h"

static char dir[] = "/tmp/image_user_test.XXXXXX";
static int root = -1;

static void put(const char *path, const char *text)
{
	struct err e = { "" };

	assert_int_equal(file_replace(root, path, span_str(text), 0644, &e), 0);
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return root < 0 || mkdirat(root, "etc", 0755);
}

static int teardown(void **state)
{
	struct err e = { "" };

	(void)state;
	close(root);
	return file_remove_tree(AT_FDCWD, dir, &e);
}

static void plain_files(void)
{
	put("etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:a b:/home/app:/bin/sh\nbad:x:x:y::/:\n123abc:x:77:78::/n:\nlast:x:5:6::rel:");
	put("etc/group", "root:x:0:\napps:x:1001:\nextra:x:2000:app,foo\nmore:x:2001:foo,app\nnot:x:2002:apple,xapp\nbig:x:4294967296:app\n");
}

static void users(void **state)
{
	static const struct {
		const char *user, *group;
		int code;
		uint32_t uid, gid, groups;
		const char *home;
	} table[] = {
		{ "", NULL, 0, 0, 0, 0, "/root" },
		{ "root", NULL, 0, 0, 0, 0, "/root" },
		{ "app", NULL, 0, 1000, 1001, 2, "/home/app" },
		{ "app:", NULL, 0, 1000, 1001, 2, "/home/app" },
		{ "1000", NULL, 0, 1000, 1001, 2, "/home/app" },
		{ "app:extra", NULL, 0, 1000, 2000, 0, "/home/app" },
		{ "app:7", NULL, 0, 1000, 7, 0, "/home/app" },
		{ "app", "more", 0, 1000, 2001, 0, "/home/app" },
		{ "app:extra", "more", 0, 1000, 2001, 0, "/home/app" },
		{ "4242", NULL, 0, 4242, 0, 0, "/" },
		{ "4242:33", NULL, 0, 4242, 33, 0, "/" },
		{ "4294967294", NULL, 0, 4294967294u, 0, 0, "/" },
		{ "last", NULL, 0, 5, 6, 0, "/" },
		{ "123abc", NULL, 0, 77, 78, 0, "/n" },
		/* CVE-2024-40635: an id too large is neither wrapped nor a name */
		{ "4294967295", NULL, -EINVAL, 0, 0, 0, NULL },
		{ "4294967296", NULL, -EINVAL, 0, 0, 0, NULL },
		{ "18446744073709551616", NULL, -EINVAL, 0, 0, 0, NULL },
		{ "1:4294967296", NULL, -EINVAL, 0, 0, 0, NULL },
		{ "-1", NULL, -EINVAL, 0, 0, 0, NULL },
		{ "nobody", NULL, -EINVAL, 0, 0, 0, NULL },
		{ "app:nogroup", NULL, -EINVAL, 0, 0, 0, NULL },
		{ "bad", NULL, -EINVAL, 0, 0, 0, NULL },
		{ "app\nroot", NULL, -EINVAL, 0, 0, 0, NULL },
	};

	(void)state;
	plain_files();
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct image_user u;
		struct err e = { "" };
		int r = image_user_find(root, table[i].user, table[i].group, NULL, &u, &e);

		if (r != table[i].code)
			fail_msg("%s: %d %s", table[i].user, r, e.text);
		if (r < 0)
			continue;
		assert_int_equal(u.uid, table[i].uid);
		assert_int_equal(u.gid, table[i].gid);
		assert_int_equal(u.groups_len, table[i].groups);
		assert_string_equal(u.home, table[i].home);
	}
}

static void added_groups(void **state)
{
	struct unit_list add = { 3, { "apps", "9", "extra" } };
	struct image_user u;
	struct err e = { "" };

	(void)state;
	plain_files();
	assert_int_equal(image_user_find(root, "app", NULL, &add, &u, &e), 0);
	assert_int_equal(u.groups_len, 4);	/* extra, more, apps, 9: extra not twice */
	add.at[0] = "missing";
	assert_int_equal(image_user_find(root, "app", NULL, &add, &u, &e), -EINVAL);
}

static void images_without_files(void **state)
{
	struct image_user u;
	struct err e = { "" };

	(void)state;
	unlinkat(root, "etc/passwd", 0);
	unlinkat(root, "etc/group", 0);
	assert_int_equal(image_user_find(root, "", NULL, NULL, &u, &e), 0);
	assert_int_equal(image_user_find(root, "65534:65534", NULL, NULL, &u, &e), 0);
	assert_int_equal(u.gid, 65534);
	assert_int_equal(image_user_find(root, "root", NULL, NULL, &u, &e), -EINVAL);
}

/* The image's author chose these files: outside links, pipes, endless ones. */
static void hostile_files(void **state)
{
	struct image_user u;
	struct err e = { "" };
	int fd;

	(void)state;
	plain_files();
	/* a link to the host's file is a link inside the root */
	unlinkat(root, "etc/passwd", 0);
	assert_int_equal(symlinkat("/etc/hostpasswd", root, "etc/passwd"), 0);
	assert_int_equal(image_user_find(root, "daemon", NULL, NULL, &u, &e), -EINVAL);
	unlinkat(root, "etc/passwd", 0);
	assert_int_equal(symlinkat("../../../../../../etc/passwd", root, "etc/passwd"), 0);
	assert_int_equal(image_user_find(root, "app", NULL, NULL, &u, &e), -ELOOP);
	unlinkat(root, "etc/passwd", 0);
	assert_int_equal(mkfifoat(root, "etc/passwd", 0644), 0);
	assert_int_equal(image_user_find(root, "app", NULL, NULL, &u, &e), -EINVAL);
	unlinkat(root, "etc/passwd", 0);
	fd = openat(root, "etc/passwd", O_WRONLY | O_CREAT, 0644);
	assert_true(fd >= 0 && ftruncate(fd, IMAGE_USER_FILE_MAX + 1) == 0);
	close(fd);
	assert_int_equal(image_user_find(root, "app", NULL, NULL, &u, &e), -EFBIG);
}

static void long_lists_of_members(void **state)
{
	static char text[600000];
	struct image_user u;
	struct err e = { "" };
	size_t at = 0;

	(void)state;
	plain_files();
	at += (size_t)snprintf(text, sizeof(text), "huge:x:3000:");
	while (at < 500000)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "user%zu,", at);
	at += (size_t)snprintf(text + at, sizeof(text) - at, "app\n");
	put("etc/group", text);
	assert_int_equal(image_user_find(root, "app", NULL, NULL, &u, &e), 0);
	assert_int_equal(u.groups_len, 1);
	assert_int_equal(u.groups[0], 3000);
	at = 0;
	for (int i = 0; i <= IMAGE_USER_GROUPS_MAX; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "g%d:x:%d:app\n", i, 100 + i);
	put("etc/group", text);
	assert_int_equal(image_user_find(root, "app", NULL, NULL, &u, &e), -EFBIG);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(users),
		cmocka_unit_test(added_groups),
		cmocka_unit_test(images_without_files),
		cmocka_unit_test(long_lists_of_members),
		cmocka_unit_test(hostile_files),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
