/* SPDX-License-Identifier: MIT */
/* probe.c's looks at other processes: what can be had of them, what they run, what is left of them. Included once, by it. */
static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/*
 * One that has become a program of the container is no secret. Nor is one that ends (ENOENT): it has no memory any more that could forbid a
 * look, but still has its directories for a moment. One that must not be looked into says EACCES.
 */
static bool is_probe(int pid)
{
	char path[64], to[256] = "";

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	if (readlink(path, to, sizeof(to) - 1) < 0)
		return errno == ENOENT || errno == ESRCH;
	return !strcmp(to, "/probe");
}

/* What can be had of other processes, for MS or until the last of them has been gone for half a second. */
static void spy(int ms)
{
	static unsigned char seen[32769];
	const long long latest = now_ms() + ms;
	long long end = latest;

	printf("spying\n");
	fflush(stdout);
	do {
		DIR *d = opendir("/proc");
		struct dirent *e;

		while (d && (e = readdir(d))) {
			static const struct { const char *name; int flags; } file[] = { { "exe", O_RDONLY }, { "exe", O_WRONLY }, { "mem", O_RDWR }, { "environ", O_RDONLY },
				{ "fd/0", O_RDONLY }, { "fd/3", O_RDONLY }, { "cwd", O_RDONLY }, { "root", O_RDONLY } };
			int pid = atoi(e->d_name);
			char path[64], to[256] = "";

			if (pid <= 0 || pid == getpid() || pid > 32768)
				continue;
			if (is_probe(pid))
				continue;
			if (!seen[pid])
				printf("spy saw %d\n", pid);
			seen[pid] = 1;
			end = now_ms() + 500 < latest ? now_ms() + 500 : latest;
			for (size_t i = 0; i < sizeof(file) / sizeof(*file); i++) {
				int fd;

				snprintf(path, sizeof(path), "/proc/%d/%s", pid, file[i].name);
				fd = open(path, file[i].flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
				if (fd < 0)
					continue;
				/* It may have become one since. */
				if (!is_probe(pid) && (readlink(path, to, sizeof(to) - 1) < 0 || strcmp(to, "/probe") != 0))
					printf("spy got %s %d of %s\n", file[i].name, file[i].flags, to);
				if (file[i].flags == O_WRONLY && write(fd, "x", 1) == 1)
					printf("spy wrote %s\n", path);
				close(fd);
			}
			if (ptrace(PTRACE_ATTACH, pid, 0, 0) == 0) {
				if (!is_probe(pid))
					printf("spy traced %d %s\n", pid, to);
				waitpid(pid, NULL, __WALL);
				ptrace(PTRACE_DETACH, pid, 0, 0);
			}
		}
		closedir(d);
		fflush(stdout);
	} while (now_ms() < end);
	printf("spied\n");
}

/* What the other processes run, each file once, for MS; tries to write to it. */
static void watch_files(int ms)
{
	static char seen[16][256];
	const long long end = now_ms() + ms;
	int count = 0;

	while (now_ms() < end) {
		DIR *d = opendir("/proc");
		struct dirent *e;

		while (d && (e = readdir(d))) {
			char path[64], to[256] = "";
			int pid = atoi(e->d_name), fd, at = 0;

			snprintf(path, sizeof(path), "/proc/%d/exe", pid);
			if (pid <= 0 || pid == getpid())
				continue;
			fd = open(path, O_WRONLY | O_CLOEXEC);
			if (fd >= 0 && write(fd, "x", 1) == 1)
				printf("wrote to what %d runs\n", pid);
			if (fd >= 0)
				close(fd);
			if (readlink(path, to, sizeof(to) - 1) < 0)
				continue;
			while (at < count && strcmp(seen[at], to) != 0)
				at++;
			if (at == count && count < 16) {
				memcpy(seen[count++], to, sizeof(to));
				printf("another runs %s\n", to);
			}
		}
		if (d)
			closedir(d);
		fflush(stdout);
	}
	printf("watched\n");
}

/* Leaves a process behind whose parent is gone, which lives for MS. */
static void orphan(int ms)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (fork() == 0)
			nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L }, NULL);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

/* Pid, state and name of every process there is. */
static void processes(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[300], line[512] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
		f = atoi(e->d_name) ? fopen(path, "r") : NULL;
		if (f && fgets(line, sizeof(line), f)) {
			char *end = strrchr(line, ')');

			printf("process %.*s\n", end ? (int)(end - line) + 3 : 0, line);
		}
		if (f)
			fclose(f);
	}
	closedir(d);
}
