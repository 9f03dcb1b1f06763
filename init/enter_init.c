/* SPDX-License-Identifier: MIT */
/*
 * RunInit=: the first process of the container is a reaper, the program its child. It has the program's rights and filter and no descriptor, hands
 * on every signal, reaps what is left to it, and ends as the program did; the kernel then ends the rest of the pid namespace. It is a fork
 * of PID 1 that never executes, so it stays not dumpable: /proc/1/exe, mem and environ are closed to the container.
 */
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "enter.h"

/* What an exec does to a user other than root: it never has one. Root keeps what the unit has, to signal a program that changes its user. */
static void drop_powers(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	if (getuid() != 0)
		syscall(SYS_capset, &head, none);
}

static _Noreturn void reap(pid_t program, const sigset_t *all)
{
	for (;;) {
		int sig = sigwaitinfo(all, NULL), status;
		pid_t pid;

		if (sig > 0 && sig != SIGCHLD)
			kill(program, sig);
		/* Where a filter denies the wait for signals, at least this is done. */
		while ((pid = waitpid(-1, &status, sig < 0 && errno != EINTR ? 0 : WNOHANG)) > 0)
			if (pid == program)
				_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
	}
}

int enter_init(struct start_context *c)
{
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	pid = fork();
	if (pid < 0)
		return start_fail(c, "init", "fork", errno);
	if (pid > 0) {
		drop_powers();
		close(c->report_fd);
		syscall(SYS_close_range, 0, ~0u, 0);
		reap(pid, &all);
	}
	/* A group of its own, so that what a terminal sends comes once. */
	setpgid(0, 0);
	tcsetpgrp(0, getpid());
	sigprocmask(SIG_SETMASK, &before, NULL);
	return 0;
}
