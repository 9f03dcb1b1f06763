/* SPDX-License-Identifier: MIT */
/* In the place of coracle-fetch on a board: the real one, /usr/bin/real/coracle-fetch, in a cgroup of LIMITED_MIB MiB. Says at the end what it took. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define GROUP "/sys/fs/cgroup/limited/"
#define REAL "/usr/bin/real/coracle-fetch"

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), r;

	r = fd < 0 || write(fd, text, strlen(text)) < 0 ? -1 : 0;
	if (r < 0)
		perror(path);
	if (fd >= 0)
		close(fd);
	return r;
}

/* The number behind KEY in FILE, or the whole of it. */
static long get(const char *file, const char *key)
{
	char text[500] = "";
	int fd = open(file, O_RDONLY);
	const char *at;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return -1;
	close(fd);
	at = key ? strstr(text, key) : text;
	return at ? atol(at + (key ? strlen(key) : 0)) : -1;
}

int main(int argc, char **argv)
{
	char max[40];
	int status;
	pid_t pid;

	snprintf(max, sizeof(max), "%ld", (long)LIMITED_MIB << 20);
	put("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	mkdir(GROUP, 0755);
	if (put(GROUP "memory.max", max) < 0)
		return 99;
	pid = fork();
	if (pid == 0) {
		if (put(GROUP "cgroup.procs", "0") == 0)
			execv(REAL, argv);
		_exit(98);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return 97;
	fprintf(stderr, "limited: %s ended with %d; peak %ld KiB of %d, killed %ld, largest file pages %ld KiB\n", argc > 1 ? argv[1] : "", status,
		get(GROUP "memory.peak", NULL) >> 10, LIMITED_MIB << 10, get(GROUP "memory.events", "oom_kill "), get(GROUP "memory.stat", "file ") >> 10);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 96;
}
