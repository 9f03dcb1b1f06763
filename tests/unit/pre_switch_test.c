/* SPDX-License-Identifier: MIT */
/* bundle/pre_switch.c: how the command before a switch ended is known, or it is no success. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../bundle/pre_switch.c"

static pid_t child(int code)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(code);
	assert_true(pid > 0);
	return pid;
}

static void its_end_is_told(void **state)
{
	struct err e = { "" };

	(void)state;
	assert_int_equal(attend(child(0), 60000, &e), 0);
	assert_int_equal(attend(child(3), 60000, &e), -EINVAL);
	assert_string_equal(e.text, "PreSwitch=: ended with code 3");
}

static void an_end_that_cannot_be_known_is_no_success(void **state)
{
	void (*old)(int) = signal(SIGCHLD, SIG_IGN);	/* as whoever started us may have it: the kernel keeps no status */
	struct err e = { "" };

	(void)state;
	assert_int_equal(attend(child(0), 60000, &e), -ECHILD);
	assert_non_null(strstr(e.text, "PreSwitch=: its end"));
	signal(SIGCHLD, old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_end_is_told),
		cmocka_unit_test(an_end_that_cannot_be_known_is_no_success),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
