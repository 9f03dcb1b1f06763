/* SPDX-License-Identifier: MIT */
/*
 * peak FD PROGRAM ARG...: runs it and writes to FD the KiB that its largest process had resident, its waited-for children included. Small itself, as a child's
 * peak begins with what its parent had before the exec. Exit status as the program's, 128 + signal where it was killed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct rusage usage;
	int status;
	pid_t pid;

	if (argc < 3)
		return 2;
	pid = fork();
	if (pid == 0) {
		close(atoi(argv[1]));
		execv(argv[2], argv + 2);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &usage) < 0)
		return 126;
	dprintf(atoi(argv[1]), "%ld\n", usage.ru_maxrss);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
