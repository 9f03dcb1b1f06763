/* SPDX-License-Identifier: MIT */
/* Runs a program and prints the peak resident KiB of the largest process of it and its descendants. Small itself: what forks counts until the exec. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct rusage u;
	int status;
	pid_t pid = argc > 1 ? vfork() : -1;

	if (pid == 0) {
		execv(argv[1], argv + 1);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &u) < 0)
		return 125;
	printf("%ld\n", u.ru_maxrss);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}
