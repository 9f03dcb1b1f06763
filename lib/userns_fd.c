/* SPDX-License-Identifier: MIT */
/* Makes user namespaces by a child that does nothing. Maps are our own text. */
#include "userns_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* sched.h and linux/sched.h don't go together. */
int clone(int (*main)(void *), void *stack, int flags, void *arg, ...);

enum { STACK_SIZE = 4096, WAIT_ALL = 0x40000000 };

static int open_in(int pid, const char *name, int flags)
{
	char path[48];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int userns_fd_map(int pid, const char *name, const char *text)
{
	size_t len = strlen(text);
	int fd = open_in(pid, name, O_WRONLY), r = 0;

	if (fd < 0)
		return fd;
	/* The kernel takes one write. */
	errno = EINVAL;
	if (write(fd, text, len) != (ssize_t)len || len == 0)
		r = -errno;
	close(fd);
	return r;
}

/* Holds the namespace until its descriptor is open. Shares our memory and touches none of it. */
static _Noreturn int hold(void *unused)
{
	(void)unused;
	for (;;)
		pause();
}

int userns_fd_new(const char *uid_map, const char *gid_map)
{
	static _Alignas(16) char stack[STACK_SIZE];
	int pid = clone(hold, stack + sizeof(stack), CLONE_VM | CLONE_NEWUSER, NULL);
	int r;

	if (pid < 0)
		return -errno;
	r = userns_fd_map(pid, "uid_map", uid_map);
	if (r == 0)
		r = userns_fd_map(pid, "gid_map", gid_map);
	if (r == 0)
		r = open_in(pid, "ns/user", O_RDONLY);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, WAIT_ALL) < 0 && errno == EINTR)
		;
	return r;
}
