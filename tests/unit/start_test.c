/* SPDX-License-Identifier: MIT */
/* init/start*.c, init/enter.c: what the caller of a start sees, with hostile records and with stages that die early. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "start.h"
#include "start_inner.h"

/* A record whose root_path does not exist: the start gets as far as the rootfs. */
struct tiny {
	struct record_head head;
	struct record_str args[1];
	char text[32];
};

static uint32_t place(size_t at)
{
	return (uint32_t)(offsetof(struct tiny, text) + at);
}

static struct tiny tiny_new(void)
{
	struct tiny t;

	memset(&t, 0, sizeof(t));
	memcpy(t.head.magic, RECORD_MAGIC, 8);
	t.head.format = RECORD_FORMAT;
	t.head.size = sizeof(t);
	memcpy(t.text, "/bin/a\0/\0/no/such/root", 23);
	t.args[0] = (struct record_str){ place(0), 6 };
	t.head.args = (struct record_list){ offsetof(struct tiny, args), 1 };
	t.head.cwd = (struct record_str){ place(7), 1 };
	t.head.rootfs = RECORD_ROOTFS_PATH;
	t.head.root_path = (struct record_str){ place(9), 13 };
	return t;
}

static void seal(struct tiny *t)
{
	t->head.crc32 = 0;
	t->head.crc32 = record_crc32(0, t, sizeof(*t));
}

static int memfd_of(const void *at, size_t len)
{
	int fd = memfd_create("record", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, at, len), len);
	return fd;
}

/* Starts what is in FD, which must fail; returns the FAILED report after the starter was reaped. */
static struct start_report fail_start(int fd)
{
	struct start_request q = { .record_fd = fd, .stdio = { -1, -1, -1 } };
	struct start_report r, failed = { 0 };
	struct start s;
	int pidfd, n, status;

	assert_int_equal(start_fork(&q, &s), 0);
	assert_true(fcntl(s.report_fd, F_GETFD) & FD_CLOEXEC);
	for (;;) {
		struct pollfd p = { .fd = s.report_fd, .events = POLLIN };

		assert_int_equal(poll(&p, 1, 5000), 1);
		n = start_read(s.report_fd, &r, &pidfd);
		if (n == 0)
			break;
		assert_int_equal(n, 1);
		assert_int_equal(pidfd, -1);
		assert_int_not_equal(r.kind, START_CREATED);
		if (r.kind == START_FAILED)
			failed = r;
	}
	assert_int_equal(waitpid(s.starter, &status, 0), s.starter);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), START_EXIT_OURS);
	close(s.report_fd);
	close(fd);
	return failed;
}

static void hostile_records(void **state)
{
	struct tiny t = tiny_new();
	struct start_report r;

	(void)state;
	r = fail_start(memfd_of("", 0));
	assert_int_equal(r.kind, START_FAILED);
	assert_string_equal(r.step, "record");
	r = fail_start(memfd_of("garbage", 7));
	assert_non_null(strstr(r.object, "not a run record"));
	/* The checksum is not made. */
	r = fail_start(memfd_of(&t, sizeof(t)));
	assert_non_null(strstr(r.object, "checksum"));
	t.head.mounts = (struct record_list){ 0xfffffff8u, 1000 };
	seal(&t);
	r = fail_start(memfd_of(&t, sizeof(t)));
	assert_non_null(strstr(r.object, "outside"));
}

static void failure_names_step_and_object(void **state)
{
	struct tiny t = tiny_new();
	struct start_report r;
	char text[512];

	(void)state;
	seal(&t);
	r = fail_start(memfd_of(&t, sizeof(t)));
	assert_string_equal(r.step, "rootfs");
	assert_string_equal(r.object, "/no/such/root");
	assert_int_equal(r.error, ENOENT);
	assert_int_equal(r.exit_status, START_EXIT_OURS);
	start_text(&r, text, sizeof(text));
	assert_string_equal(text, "rootfs /no/such/root: No such file or directory");
	start_text(&r, text, 8);
	assert_string_equal(text, "rootfs ");
}

/* Maps that the kernel does not take: no layer is mapped by less than what the record says. */
static void user_namespace_that_cannot_be(void **state)
{
	struct tiny t = tiny_new();

	(void)state;
	t.head.clone_flags = 0x10000000;
	t.head.flags = RECORD_IDMAP_LAYERS;
	seal(&t);
	assert_string_equal(fail_start(memfd_of(&t, sizeof(t))).step, "user namespace");
}

static void reading_never_blocks_and_trusts_no_length(void **state)
{
	struct start_report r;
	int pair[2], pidfd;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(start_read(pair[0], &r, &pidfd), -EAGAIN);
	assert_int_equal(write(pair[1], "short", 5), 5);
	assert_int_equal(start_read(pair[0], &r, &pidfd), -EPROTO);
	memset(&r, 'x', sizeof(r));
	assert_int_equal(write(pair[1], &r, sizeof(r)), sizeof(r));
	assert_int_equal(start_read(pair[0], &r, &pidfd), 1);
	assert_int_equal(strlen(r.step), sizeof(r.step) - 1);
	assert_int_equal(strlen(r.object), sizeof(r.object) - 1);
	close(pair[1]);
	assert_int_equal(start_read(pair[0], &r, &pidfd), 0);
	close(pair[0]);
}

/* Stage 2 whose starter died before "go" says so, once, and ends by itself. */
static void program_does_not_outlive_its_starter(void **state)
{
	int go[2], report[2], status;
	struct start_report r;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(report), 0);
	pid = fork();
	if (pid == 0) {
		static struct start_context c;

		close(go[1]);
		close(report[0]);
		c.go_fd = go[0];
		c.report_fd = report[1];
		enter_program(&c);
	}
	close(go[0]);
	close(report[1]);
	close(go[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), START_EXIT_OURS);
	assert_int_equal(read(report[0], &r, sizeof(r)), sizeof(r));
	assert_int_equal(r.kind, START_FAILED);
	assert_int_equal(r.exit_status, START_EXIT_OURS);
	assert_string_equal(r.step, "starter");
	assert_int_equal(read(report[0], &r, sizeof(r)), 0);
	close(report[0]);
}

/* Killed before it could say anything: the end without CREATED, and a status that says so. */
static void killed_starter_is_the_end(void **state)
{
	struct tiny t = tiny_new();
	struct start_request q = { .stdio = { -1, -1, -1 } };
	struct start_report r;
	struct start s;
	struct pollfd p;
	int pidfd, status, n;

	(void)state;
	seal(&t);
	q.record_fd = memfd_of(&t, sizeof(t));
	assert_int_equal(start_fork(&q, &s), 0);
	assert_int_equal(kill(s.starter, SIGKILL), 0);
	assert_int_equal(waitpid(s.starter, &status, 0), s.starter);
	p = (struct pollfd){ .fd = s.report_fd, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 5000), 1);
	while ((n = start_read(s.report_fd, &r, &pidfd)) == 1)
		assert_int_not_equal(r.kind, START_CREATED);
	assert_int_equal(n, 0);
	close(s.report_fd);
	close(q.record_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_records),
		cmocka_unit_test(failure_names_step_and_object),
		cmocka_unit_test(user_namespace_that_cannot_be),
		cmocka_unit_test(reading_never_blocks_and_trusts_no_length),
		cmocka_unit_test(program_does_not_outlive_its_starter),
		cmocka_unit_test(killed_starter_is_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
