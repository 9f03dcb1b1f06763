/* SPDX-License-Identifier: MIT */
/*
 * Children of PID 1. All that a child must not inherit from a process with
 * blocked signals, OOM score -1000 and a large descriptor table is undone
 * here, once. Uses no memory but the stack.
 */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Descriptors are parked up here while 0, 1, 2, ... are laid out. */
enum { PARKED = 900 };

static void restore(void)
{
	sigset_t none;
	int fd;

	for (int sig = 1; sig < _NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Where this fails (a host that forbids it) the child keeps PID 1's score, which is that host's own. */
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "0", 1) != 1)
		errno = 0;
	if (fd >= 0)
		close(fd);
}

static int park(int fd)
{
	return fd < 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : fcntl(fd, F_DUPFD_CLOEXEC, PARKED);
}

static int lay_out(const struct spawn *s)
{
	int parked[3 + SPAWN_FDS_MAX], count = 3 + s->fds_len;

	for (int i = 0; i < count; i++) {
		parked[i] = park(i < 3 ? s->stdio[i] : s->fds[i - 3]);
		if (parked[i] >= 0 && parked[i] < PARKED) {	/* /dev/null came out low */
			int low = parked[i];

			parked[i] = fcntl(low, F_DUPFD_CLOEXEC, PARKED);
			close(low);
		}
	}
	for (int i = 0; i < count; i++)
		if (parked[i] >= 0 && dup2(parked[i], i) < 0)
			return -errno;
	if (!s->keeps_fds)
		syscall(SYS_close_range, count, ~0U, 0);
	return 0;
}

static _Noreturn void child(const struct spawn *s)
{
	setsid();
	if (s->name)
		prctl(PR_SET_NAME, s->name);
	if (!s->keeps_fds && lay_out(s) < 0)
		_exit(125);
	restore();
	_exit(s->run(s->arg));
}

pid_t spawn(const struct spawn *s)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0)
		child(s);
	return pid;
}

int spawn_exec(const char *path, char *const argv[])
{
	static char *const env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "TERM=vt100", NULL };
	int code;

	execve(path, argv, env);
	code = errno == ENOENT ? 127 : 126;
	dprintf(2, "%s: cannot be executed: %s\n", path, strerror(errno));
	return code;
}
