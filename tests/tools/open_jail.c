/* SPDX-License-Identifier: MIT */
/*
 * lib/jail.c without the jail: the same descriptors, the same program, but ids, files and memory of the caller, no filter, and its environment. For the
 * address sanitizer, which needs more memory, system calls and libraries than a jail has. Never linked into what anybody installs.
 */
#include "jail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "err.h"

enum { HIGH_FD = 500 };

/* What the libraries, built for musl, call by other names than glibc has; nothing of a pull does. */
int sigsetjmp(void *env, int save)
{
	abort();
}

char *__crypt_sha256(const char *key, const char *setting, char *out)
{
	abort();
}

int jail_start(struct jail *j, const struct jail_spec *spec, int exe_fd, char *const argv[], const struct jail_fd *fds, size_t fds_len, struct err *e)
{
	*j = (struct jail){ fork(), -1 };
	if (j->pid == 0) {
		int null = open("/dev/null", O_RDWR);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		exe_fd = fcntl(exe_fd, F_DUPFD_CLOEXEC, HIGH_FD);
		for (size_t i = 0; i < fds_len; i++)
			dup3(fds[i].fd, HIGH_FD + 10 + (int)i, O_CLOEXEC);
		for (int fd = 0; fd < 2; fd++)
			dup2(null, fd);
		for (size_t i = 0; i < fds_len; i++)
			dup2(HIGH_FD + 10 + (int)i, fds[i].as);
		signal(SIGPIPE, SIG_DFL);
		syscall(SYS_execveat, exe_fd, "", argv, environ, 0x1000 /* AT_EMPTY_PATH */);
		_exit(127);
	}
	if (j->pid < 0)
		return err_sys(e, errno, "%s", spec->name);
	j->pidfd = (int)syscall(SYS_pidfd_open, j->pid, 0);
	return 0;
}

int jail_wait(struct jail *j, int timeout_ms)
{
	struct pollfd p = { .fd = j->pidfd, .events = POLLIN };
	int status = 0;

	if (j->pid <= 0)
		return -ECHILD;
	if (poll(&p, 1, timeout_ms) == 0)
		kill(j->pid, SIGKILL);
	waitpid(j->pid, &status, 0);
	close(j->pidfd);
	*j = (struct jail){ 0, -1 };
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void jail_kill(struct jail *j)
{
	if (j->pid <= 0)
		return;
	kill(j->pid, SIGKILL);
	jail_wait(j, -1);
}
