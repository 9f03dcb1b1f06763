/* SPDX-License-Identifier: MIT */
/* init/mounts_*.c: rootfs from layers in both ways, /dev, targets. As root, in a mount namespace of its own. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <cmocka.h>

#include "mounts.h"
#include "mount_sys.h"
#include "overlay.h"
#include "userns.h"

enum { LAYERS = 127 };

/* A record that is never checked: just the head and its texts. */
static struct {
	struct record_head head;
	struct record_str layers[LAYERS];
	struct record_device devices[2];
	struct record_mount mounts[3];
	struct record_idmap map;
	char text[8192];
} rec;
static const struct start_context context = { .record = &rec.head };
static uint32_t used;
static char scratch[] = "/tmp/mounts_test.XXXXXX";

static struct record_str text(const char *s)
{
	struct record_str r = { (uint32_t)(offsetof(__typeof__(rec), text) + used), (uint32_t)strlen(s) };

	memcpy(rec.text + used, s, r.len + 1);
	used += r.len + 1;
	return r;
}

static void clear_record(void)
{
	memset(&rec, 0, sizeof(rec));
	used = 1;
}

static void write_file(const char *path, const char *data)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, strlen(data)), strlen(data));
	close(fd);
}

static int exists(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* layers/lNNN, each with its own file and one called "which". */
static int setup(void **state)
{
	(void)state;
	if (unshare(CLONE_NEWNS) < 0 || sys_mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	if (!mkdtemp(scratch) || chdir(scratch) < 0 || sys_mount("t", ".", "tmpfs", 0, NULL) < 0 || chdir(scratch) < 0)
		return -1;
	mkdir("layers", 0755);
	for (int i = 0; i < LAYERS; i++) {
		char name[64], which[16];

		snprintf(name, sizeof(name), "layers/l%03d", i);
		mkdir(name, 0755);
		snprintf(name, sizeof(name), "layers/l%03d/own%03d", i, i);
		write_file(name, "x");
		snprintf(name, sizeof(name), "layers/l%03d/which", i);
		snprintf(which, sizeof(which), "%d", i);
		write_file(name, which);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return chdir("/") == 0 && sys_umount(scratch) == 0 ? rmdir(scratch) : -1;
}

static void use_layers(uint32_t count)
{
	clear_record();
	for (uint32_t i = 0; i < count; i++) {
		char name[8];

		snprintf(name, sizeof(name), "l%03u", (unsigned)i);
		rec.layers[i] = text(name);
	}
	rec.head.rootfs = RECORD_ROOTFS_LAYERS;
	rec.head.store = text(scratch);
	rec.head.layers = (struct record_list){ offsetof(__typeof__(rec), layers), count };
}

static const char *const *names_of(void)
{
	static const char *names[LAYERS];

	for (uint32_t i = 0; i < LAYERS; i++)
		names[i] = record_text(&rec.head, rec.layers[i]);
	return names;
}

static void check_merged(int fd, int count)
{
	char name[16], which[8] = "";
	int file;

	assert_true(fd >= 0);
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "own%03d", i);
		assert_true(exists(fd, name));
	}
	file = openat(fd, "which", O_RDONLY | O_CLOEXEC);
	assert_true(read(file, which, sizeof(which)) > 0);
	assert_string_equal(which, "0");
	close(file);
	assert_int_equal(openat(fd, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0644), -1);
	assert_int_equal(errno, EROFS);
	close(fd);
}

static void both_ways_give_the_same_root(void **state)
{
	static const uint32_t counts[] = { 2, 3, LAYERS };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		int fd;

		use_layers(counts[i]);
		assert_true(chdir(scratch) == 0 && chdir("layers") == 0);
		fd = overlay_by_fd(names_of(), counts[i], -1);
		if (fd == -EINVAL || fd == -EBADF)
			print_message("skip: this kernel has no lowerdir+ by descriptor\n");
		else
			check_merged(fd, (int)counts[i]);
		assert_true(chdir(scratch) == 0 && chdir("layers") == 0);
		check_merged(overlay_by_number(names_of(), counts[i], -1), (int)counts[i]);
	}
}

static void scratch_mount_is_taken_away(void **state)
{
	struct stat before, after;

	(void)state;
	use_layers(2);
	assert_int_equal(stat("/run", &before), 0);
	assert_true(chdir(scratch) == 0 && chdir("layers") == 0);
	close(overlay_by_number(names_of(), 2, -1));
	assert_int_equal(stat("/run", &after), 0);
	assert_true(before.st_dev == after.st_dev && before.st_ino == after.st_ino);
}

/* A bundle that was made in /run because the disk is full has its `base` just there. */
static void layer_below_the_scratch_place(void **state)
{
	const char *names[2] = { "l000", "/run/base" };

	(void)state;
	assert_int_equal(sys_mount("t", "/run", "tmpfs", 0, NULL), 0);
	assert_true(mkdir(names[1], 0755) == 0 && mkdir("/run/base/own001", 0755) == 0);
	assert_true(chdir(scratch) == 0 && chdir("layers") == 0);
	check_merged(overlay_by_number(names, 2, -1), 2);
	assert_int_equal(sys_umount("/run"), 0);
}

/* A name does not become an option or a second layer: it is opened as what it is. */
static void layer_names_cannot_inject_options(void **state)
{
	static const char *const odd[] = { "a:b", "a,upperdir=tmp", "a\\" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		use_layers(2);
		rec.layers[1] = text(odd[i]);
		assert_true(chdir(scratch) == 0 && chdir("layers") == 0);
		assert_int_equal(overlay_by_number(names_of(), 2, -1), -ENOENT);
		assert_true(chdir(scratch) == 0 && chdir("layers") == 0);
		assert_int_equal(overlay_by_fd(names_of(), 2, -1), -ENOENT);
		assert_true(chdir(scratch) == 0 && chdir("layers") == 0);
		assert_int_equal(mkdir(odd[i], 0755), 0);
		check_merged(overlay_by_number(names_of(), 2, -1), 1);
		assert_true(chdir(scratch) == 0 && chdir("layers") == 0);
		assert_int_equal(rmdir(odd[i]), 0);
	}
}

static void single_layer_is_a_read_only_bind(void **state)
{
	const char *object;

	(void)state;
	use_layers(1);
	check_merged(mounts_root(&rec.head, -1, &object), 1);
}

/* A namespace whose id 0 is FIRST outside. */
static int namespace_from(uint32_t first)
{
	rec.map = (struct record_idmap){ .outside = first, .count = 1000 };
	rec.head.uid_map = rec.head.gid_map = (struct record_list){ offsetof(__typeof__(rec), map), 1 };
	return userns_open(&rec.head);
}

static void check_owner(int fd, const char *name, uint32_t uid, uint32_t gid)
{
	struct stat st;

	assert_int_equal(fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_uid, uid);
	assert_int_equal(st.st_gid, gid);
}

/* The same layers at the same time under two ranges, on each way that this kernel has. */
static void mapped_layers_are_shared(void **state)
{
	static const uint32_t counts[] = { 2, LAYERS };
	int one, two, fd;

	(void)state;
	assert_int_equal(chdir(scratch), 0);
	assert_int_equal(chown("layers/l001/own001", 7, 8), 0);
	for (size_t i = 0; i < 2; i++) {
		use_layers(counts[i]);
		assert_true(chdir(scratch) == 0 && chdir("layers") == 0);
		one = namespace_from(100000);
		two = namespace_from(200000);
		assert_true(one >= 0 && two >= 0);
		fd = overlay_by_fd(names_of(), counts[i], one);
		if (fd == -EINVAL || fd == -EBADF) {
			print_message("skip: this kernel has no lowerdir+ by descriptor\n");
		} else {
			check_owner(fd, "own001", 100007, 100008);
			check_owner(fd, ".", 100000, 100000);
			check_merged(fd, (int)counts[i]);
		}
		assert_true(chdir(scratch) == 0 && chdir("layers") == 0);
		fd = overlay_by_number(names_of(), counts[i], two);
		assert_true(fd >= 0);
		check_owner(fd, "own001", 200007, 200008);
		check_merged(fd, (int)counts[i]);
		close(one);
		close(two);
	}
	assert_int_equal(chdir(scratch), 0);
	check_owner(AT_FDCWD, "layers/l001/own001", 7, 8);
}

static void single_layer_is_mapped(void **state)
{
	const char *object;
	int ns, fd;

	(void)state;
	use_layers(1);
	ns = namespace_from(300000);
	fd = mounts_root(&rec.head, ns, &object);
	check_owner(fd, "own000", 300000, 300000);
	check_merged(fd, 1);
	close(ns);
}

static void what_cannot_be_mapped_is_said(void **state)
{
	struct mounts_bind how = { .userns_fd = namespace_from(300000) };

	(void)state;
	assert_int_equal(mounts_bind("/proc", &how), -ENOTSUP);
	close(how.userns_fd);
}

static void ids_outside(void **state)
{
	(void)state;
	clear_record();
	assert_int_equal(userns_outside(&rec.head, rec.head.uid_map, 5), 5);
	close(namespace_from(100000));
	assert_int_equal(userns_outside(&rec.head, rec.head.uid_map, 0), 100000);
	assert_int_equal(userns_outside(&rec.head, rec.head.uid_map, 999), 100999);
	assert_int_equal(userns_outside(&rec.head, rec.head.uid_map, 1000), UINT32_MAX);
}

static void use_device(const char *path)
{
	clear_record();
	rec.devices[0] = (struct record_device){ .path = text(path), .mode = S_IFCHR | 0640, .major = 1, .minor = 7,
		.uid = 3, .gid = 4 };
	rec.head.devices = (struct record_list){ offsetof(__typeof__(rec), devices), 1 };
}

static void dev_has_nodes(void **state)
{
	struct mounts_why why;
	const char *object;
	struct stat st;
	int fd;

	(void)state;
	umask(077);
	use_device("/dev/a/b/c");
	fd = mounts_dev(&context, &object, &why);
	assert_true(fd >= 0);
	assert_int_equal(umask(022), 077);
	assert_int_equal(fstatat(fd, "a/b/c", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFCHR | 0640);
	assert_true(st.st_rdev == makedev(1, 7) && st.st_uid == 3 && st.st_gid == 4);
	assert_int_equal(fstatat(fd, "null", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFCHR | 0666);
	close(fd);
}

static void dev_refuses_what_leads_out(void **state)
{
	static const char *const bad[] = { "/etc/x", "/dev", "/dev/", "/dev/../x", "/dev/a/../../x", "/device/x" };
	struct mounts_why why;
	const char *object;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		use_device(bad[i]);
		assert_true(mounts_dev(&context, &object, &why) < 0);
		assert_string_equal(object, bad[i]);
	}
}

static void dev_has_places_for_mounts(void **state)
{
	struct mounts_why why;
	const char *object;
	struct stat st;
	int fd;

	(void)state;
	clear_record();
	rec.mounts[0] = (struct record_mount){ .target = text("/dev/pts"), .fstype = text("devpts") };
	rec.mounts[1] = (struct record_mount){ .target = text("/dev//x/file"), .source = text("/f"), .bind = 1, .is_file = 1 };
	rec.mounts[2] = (struct record_mount){ .target = text("/elsewhere"), .fstype = text("tmpfs") };
	rec.head.mounts = (struct record_list){ offsetof(__typeof__(rec), mounts), 3 };
	fd = mounts_dev(&context, &object, &why);
	assert_true(fd >= 0);
	assert_int_equal(fstatat(fd, "pts", &st, 0), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(fstatat(fd, "x/file", &st, 0), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_false(exists(fd, "elsewhere"));
	close(fd);
}

static void below(void **state)
{
	(void)state;
	assert_true(mounts_path_below("/dev/x", "/dev"));
	assert_true(mounts_path_below("//dev//", "/dev"));
	assert_true(mounts_path_below("/dev", "/dev"));
	assert_false(mounts_path_below("/device", "/dev"));
	assert_false(mounts_path_below("/", "/dev"));
	assert_false(mounts_path_below("/etc/dev", "/dev"));
}

static void targets_stay_in_the_root(void **state)
{
	int root, fd;

	(void)state;
	assert_int_equal(chdir(scratch), 0);
	mkdir("root", 0755);
	mkdir("outside", 0755);
	root = open("root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(symlinkat("../outside", root, "link"), 0);
	assert_int_equal(symlinkat("/proc/self/fd/0", root, "magic"), 0);
	/* "../outside" is /outside of this root, and missing: a dangling link is not followed to make something. */
	assert_true(mounts_target(root, "/link/new", false) < 0);
	assert_false(exists(AT_FDCWD, "outside/new"));
	fd = mounts_target(root, "/a/b/c", false);
	assert_true(fd >= 0);
	close(fd);
	fd = mounts_target(root, "../../../x/file", true);
	assert_true(fd >= 0);
	close(fd);
	assert_true(exists(root, "a/b/c"));
	assert_true(exists(root, "x/file"));
	assert_false(exists(AT_FDCWD, "x"));
	close(root);
}

static void kernel_explains_a_bad_option(void **state)
{
	struct mounts_why why = { "" };

	(void)state;
	assert_int_equal(mounts_fs("tmpfs", "t", "size=1m,nonsense=1", 0, 0, &why), -EINVAL);
	assert_non_null(strstr(why.text, "nonsense"));
	assert_int_equal(mounts_fs("nosuchfs", "t", NULL, 0, 0, &why), -ENODEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways_give_the_same_root),
		cmocka_unit_test(scratch_mount_is_taken_away),
		cmocka_unit_test(layer_below_the_scratch_place),
		cmocka_unit_test(layer_names_cannot_inject_options),
		cmocka_unit_test(single_layer_is_a_read_only_bind),
		cmocka_unit_test(mapped_layers_are_shared),
		cmocka_unit_test(single_layer_is_mapped),
		cmocka_unit_test(what_cannot_be_mapped_is_said),
		cmocka_unit_test(ids_outside),
		cmocka_unit_test(dev_has_nodes),
		cmocka_unit_test(dev_refuses_what_leads_out),
		cmocka_unit_test(dev_has_places_for_mounts),
		cmocka_unit_test(below),
		cmocka_unit_test(targets_stay_in_the_root),
		cmocka_unit_test(kernel_explains_a_bad_option),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
