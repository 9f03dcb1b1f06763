/* SPDX-License-Identifier: MIT */
/* init/boot_move.c and init/netcfg.c, in namespaces of their own: a made-up initramfs is moved, lo gets an address. Needs root. */
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
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "board_conf.h"
#include "boot.h"
#include "client.h"
#include "job_child.h"
#include "netcfg.h"

#define CHECK(what) do { if (!(what)) { fprintf(stderr, "%d: %s: %s\n", __LINE__, #what, strerror(errno)); _exit(1); } } while (0)

/* Runs BODY in a child with its own mount and net namespaces; its exit status. */
static int apart(void (*body)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		CHECK(unshare(CLONE_NEWNS | CLONE_NEWNET) == 0);
		CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
		body();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void put(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fchmod(fd, mode) == 0);
	close(fd);
}

static void make_initramfs(void)
{
	char name[64];

	CHECK(mount("old", "/mnt", "tmpfs", 0, "mode=755") == 0 && chdir("/mnt") == 0 && chroot(".") == 0);
	CHECK(mkdir("/usr", 0755) == 0 && mkdir("/usr/bin", 0755) == 0 && mkdir("/tmp", 0755) == 0);
	CHECK(chmod("/tmp", 01777) == 0 && mkdir("/dev", 0755) == 0 && mkdir("/proc", 0755) == 0);
	put("/usr/bin/program", "#!", 04755);
	put("/secret", "s", 0600);
	CHECK(chown("/secret", 12, 34) == 0);
	CHECK(symlink("usr/bin/program", "/init") == 0 && symlink("/nowhere", "/usr/dangling") == 0);
	CHECK(mknod("/dev/null", S_IFCHR | 0666, makedev(1, 3)) == 0 && chmod("/dev/null", 0666) == 0);
	/* More names than one getdents buffer holds. */
	CHECK(mkdir("/many", 0700) == 0);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "/many/file-%d", i);
		put(name, name, 0644);
	}
	/* Another file system inside stays out. */
	CHECK(mount("other", "/proc", "tmpfs", 0, NULL) == 0);
	put("/proc/other", "x", 0644);
}

static void move(void)
{
	struct stat st, old;
	char text[64], name[64];
	int before, fd, n;

	make_initramfs();
	before = open("/", O_RDONLY | O_DIRECTORY);
	CHECK(before >= 0 && fstat(before, &old) == 0);
	CHECK(boot_move() == 0);

	CHECK(stat("/", &st) == 0 && st.st_dev != old.st_dev);
	CHECK(stat("/usr/bin/program", &st) == 0 && st.st_mode == (S_IFREG | 04755) && st.st_size == 2);
	CHECK(stat("/secret", &st) == 0 && st.st_uid == 12 && st.st_gid == 34 && (st.st_mode & 07777) == 0600);
	CHECK(stat("/tmp", &st) == 0 && (st.st_mode & 07777) == 01777);
	CHECK(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
	n = (int)readlink("/init", text, sizeof(text));
	CHECK(n == 15 && !memcmp(text, "usr/bin/program", 15));
	CHECK(lstat("/usr/dangling", &st) == 0 && S_ISLNK(st.st_mode));
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "/many/file-%d", i);
		fd = open(name, O_RDONLY);
		n = (int)read(fd, text, sizeof(text));
		CHECK(n == (int)strlen(name) && !memcmp(text, name, (size_t)n));
		close(fd);
	}
	/* What was copied is gone from the old one; the foreign file system is not here. */
	CHECK(fstatat(before, "usr", &st, 0) < 0 && fstatat(before, "secret", &st, 0) < 0);
	CHECK(access("/proc/other", F_OK) < 0);
	/* The point of it all: pivot_root's precondition, a root that is a mount with a parent. */
	CHECK(mkdir("/new", 0755) == 0 && mount("new", "/new", "tmpfs", 0, NULL) == 0);
}

static void initramfs_moves_whole(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("skip: namespaces and mounts need root\n");
		skip();
	}
	assert_int_equal(apart(move), 0);
}

static int result[2];

/* Runs netcfg as the job does, the result pipe at its descriptor. */
static int configure(const char *text, struct job_result *r)
{
	struct board_conf c;
	int ret;

	board_conf_parse(&c, text);
	CHECK(pipe(result) == 0);
	if (result[1] != JOB_RESULT_FD)
		CHECK(dup2(result[1], JOB_RESULT_FD) == JOB_RESULT_FD);
	ret = netcfg(&c);
	CHECK(read(result[0], r, sizeof(*r)) == sizeof(*r));
	return ret;
}

static void network(void)
{
	struct job_result r;
	char line[160], text[64];
	int fd, n;

	/* Keep 3 free for the result. */
	CHECK(dup2(open("/dev/null", O_RDONLY), JOB_RESULT_FD) == JOB_RESULT_FD);
	CHECK(mount("run", "/run", "tmpfs", 0, NULL) == 0 && mkdir("/run/coracle", 0755) == 0);
	CHECK(configure("network=none", &r) == 0 && r.code == JOB_DONE);
	CHECK(configure("network=static lo 10.9.8.7/24 10.9.8.1\ndns=10.9.8.3\ndns=10.9.8.4", &r) == 0);
	CHECK(r.code == JOB_DONE);
	/* A second time, as after a killed job, is no error. */
	CHECK(configure("network=static lo 10.9.8.7/24 10.9.8.1", &r) == 0 && r.code == JOB_DONE);
	CHECK(configure("network=static eth7 10.9.8.7/24 10.9.8.1", &r) == 1 && r.code == JOB_RETRY);
	CHECK(strstr(r.text, "no interface eth7"));
	fd = open("/run/coracle/resolv.conf", O_RDONLY);
	n = (int)read(fd, text, sizeof(text));
	CHECK(n > 0 && !memcmp(text, "nameserver 10.9.8.3\nnameserver 10.9.8.4\n", (size_t)n));
	/* The client leaves lo out of its line: there is no other address here. */
	CHECK(!client_net_line(line, sizeof(line)));
	fd = open("/proc/self/net/route", O_RDONLY);
	n = (int)read(fd, line, sizeof(line) - 1);
	line[n > 0 ? n : 0] = '\0';
	CHECK(strstr(line, "lo\t00000000\t0108090A"));
}

static void network_is_set_by_netlink(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("skip: namespaces and mounts need root\n");
		skip();
	}
	assert_int_equal(apart(network), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(initramfs_moves_whole),
		cmocka_unit_test(network_is_set_by_netlink),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
