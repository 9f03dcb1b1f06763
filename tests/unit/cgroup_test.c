/* SPDX-License-Identifier: MIT */
/* init/cgroup.c against the kernel's own cgroup2, mounted in a mount namespace of this test. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "cgroup.h"

static char base[] = "/tmp/cgroup_test.XXXXXX";
static char group[128], deep[160];

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(base) || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", base, "cgroup2", 0, NULL) < 0)
		return -1;
	snprintf(group, sizeof(group), "%s/coracle-test-%d/unit", base, (int)getpid());
	snprintf(deep, sizeof(deep), "%s/a/b/c", group);
	return 0;
}

static int teardown(void **state)
{
	char parent[128];

	(void)state;
	snprintf(parent, sizeof(parent), "%s/coracle-test-%d", base, (int)getpid());
	return cgroup_remove(parent) == 0 && umount2(base, MNT_DETACH) == 0 ? rmdir(base) : -1;
}

static void made_with_parents(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(cgroup_make(group), 0);
	assert_int_equal(stat(group, &st), 0);
	assert_int_equal(cgroup_make(group), 0);
	assert_int_equal(cgroup_remove(group), 0);
}

static void nothing_is_made_elsewhere(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(cgroup_make("/tmp"), -ENOTSUP);
	assert_int_equal(cgroup_make("/tmp/coracle-no-cgroup/x"), -ENOTSUP);
	assert_int_equal(stat("/tmp/coracle-no-cgroup", &st), -1);
	assert_int_equal(cgroup_write("/tmp/coracle-no-cgroup", "pids.max", "1"), -ENOENT);
}

static void values(void **state)
{
	char text[16], tiny[3];

	(void)state;
	assert_int_equal(cgroup_make(group), 0);
	assert_int_equal(cgroup_write(group, "cgroup.max.depth", "5"), 0);
	assert_int_equal(cgroup_read(group, "cgroup.max.depth", text, sizeof(text)), 0);
	assert_string_equal(text, "5");
	assert_int_equal(cgroup_write(group, "cgroup.max.depth", "nonsense"), -EINVAL);
	assert_int_equal(cgroup_write(group, "no.such.file", "1"), -ENOENT);
	assert_int_equal(cgroup_read(group, "cgroup.type", tiny, sizeof(tiny)), 0);
	assert_string_equal(tiny, "do");
	assert_int_equal(cgroup_remove(group), 0);
}

static void killed_and_removed_with_what_is_below(void **state)
{
	char pid_text[16];
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(cgroup_make(deep), 0);
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	snprintf(pid_text, sizeof(pid_text), "%d", (int)pid);
	assert_int_equal(cgroup_write(deep, "cgroup.procs", pid_text), 0);
	assert_int_equal(cgroup_remove(group), -EBUSY);
	assert_int_equal(cgroup_kill(group), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(cgroup_remove(group), 0);
}

static void gone_is_not_an_error(void **state)
{
	(void)state;
	assert_int_equal(cgroup_kill(group), 0);
	assert_int_equal(cgroup_remove(group), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(made_with_parents),
		cmocka_unit_test(nothing_is_made_elsewhere),
		cmocka_unit_test(values),
		cmocka_unit_test(killed_and_removed_with_what_is_below),
		cmocka_unit_test(gone_is_not_an_error),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
