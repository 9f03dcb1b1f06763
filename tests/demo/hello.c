/* SPDX-License-Identifier: MIT */
/*
 * The program of the demo image. Without arguments it tells what it sees of the world it was put into, then prints a line
 * every five seconds until it is told to stop. With an argument it misbehaves on purpose, for the tests of containment:
 *
 *   exit N     says so and exits with N          fork   forks without end
 *   eat        touches memory without end        deaf   ignores SIGTERM
 *   seen       the report only, then exit 0
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t is_told;

static void on_term(int sig)
{
	(void)sig;
	is_told = 1;
}

static void show_status(const char *key)
{
	char line[256];
	size_t len = strlen(key);
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, len) && line[len] == ':')
			printf("hello: %s", line);
	if (f)
		fclose(f);
}

static void show_write(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	printf("hello: writing %s: %s\n", path, fd < 0 ? strerror(errno) : "works");
	if (fd >= 0) {
		close(fd);
		unlink(path);
	}
}

static void show_file(const char *path)
{
	char text[80] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd < 0)
		printf("hello: %s: %s\n", path, strerror(errno));
	else
		printf("hello: %s: %.*s\n", path, n > 0 ? (int)strcspn(text, "\n") : 0, text);
	if (fd >= 0)
		close(fd);
}

static void show_processes(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	int count = 0;

	while (d && (e = readdir(d)))
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
			count++;
	if (d)
		closedir(d);
	printf("hello: processes I can see: %d\n", count);
}

static void report(void)
{
	char host[65] = "?";

	gethostname(host, sizeof(host) - 1);
	printf("hello: started on %s as pid %d, uid %u, gid %u\n", host, (int)getpid(), getuid(), getgid());
	show_write("/probe");
	show_write("/usr/share/hello/probe");
	show_file("/usr/share/hello/greeting");
	show_file("/usr/share/hello/removed");	/* layer 1 brings it, layer 3 takes it away */
	show_processes();
	show_status("CapEff");
	show_status("CapBnd");
	show_status("NoNewPrivs");
	show_status("Seccomp");
}

static void fork_for_ever(void)
{
	unsigned count = 0;
	int is_said = 0;

	for (;;) {
		pid_t pid = fork();

		if (pid == 0) {
			pause();
			_exit(0);
		}
		if (pid > 0) {
			count++;
		} else {
			if (!is_said)
				printf("hello: fork %u: %s\n", count + 1, strerror(errno));
			is_said = 1;
			usleep(100000);
		}
	}
}

static void eat_for_ever(void)
{
	size_t mib = 0;

	for (;;) {
		char *p = malloc(1 << 20);

		if (!p) {
			printf("hello: no more after %zu MiB: %s\n", mib, strerror(errno));
			exit(5);
		}
		memset(p, 1, 1 << 20);
		if (++mib % 8 == 0)
			printf("hello: ate %zu MiB\n", mib);
	}
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	struct sigaction sa = { .sa_handler = strcmp(mode, "deaf") ? on_term : SIG_IGN };
	unsigned long ticks = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGTERM, &sa, NULL);
	report();
	fprintf(stderr, "hello: this line went to stderr\n");
	if (!strcmp(mode, "seen"))
		return 0;
	if (!strcmp(mode, "exit")) {
		int code = argc > 2 ? atoi(argv[2]) : 1;

		printf("hello: exiting with %d\n", code);
		return code;
	}
	if (!strcmp(mode, "fork"))
		fork_for_ever();
	if (!strcmp(mode, "eat"))
		eat_for_ever();
	while (!is_told) {
		struct timespec rest = { .tv_sec = 5 };

		printf("hello: alive, %lu s\n", ticks++ * 5);
		while (!is_told && nanosleep(&rest, &rest) && errno == EINTR)
			;
	}
	printf("hello: told to stop, bye\n");
	return 0;
}
