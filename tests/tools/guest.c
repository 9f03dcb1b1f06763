/* SPDX-License-Identifier: MIT */
/*
 * A program for units in the tests of supervision: static, does one thing.
 *
 *   say TEXT      prints it and waits for a signal          exit N
 *   flood         prints for ever                           signal N      dies of it
 *   gush N        writes N times 64 KiB of lines of 64 bytes as fast as its output takes them, then ends; N 0: for ever, and not one line's end
 *   deaf TEXT     ignores SIGTERM                           forks N       leaves N processes behind that wait
 *   quiet         waits                                     later MS N    exits with N after MS
 *   leak          takes memory until it is killed           bomb          forks without end
 *   watch PROC    prints, every second, what PROC/1/status and its page tables say of PID 1's memory, how many zombies there are, PID 1's oom_score_adj and kernel.panic
 *   count N US    prints "number I" N times, US microseconds apart, each in two writes
 *   half A MS B   prints A, and MS later B and the end of the line
 *   stall PROC    stops PID 1's loop for good: writes a jump to itself where PROC/1 will come back from its system call
 *   check FILE    a health command: prints what FILE (below /dev/shm) holds and ends with the number it begins with; "who": its rights
 *   echo PORT     says the address of whoever connects      ask NAME PORT  asks one until it answers, prints what it said, and waits
 *   both PORT NAME PORT   the one and, beside it, the other
 *   put FILE TEXT ...  appends TEXT as a line to FILE, then is what the rest says
 *   link NAME up|down ...  the network interface, then is what the rest says
 *   serve PORT N  answers N HTTP requests with 200, all others with 503
 *   notify STEP...  sends each STEP to NOTIFY_SOCKET as one datagram ("\n" is a line end), then waits; "sleep=MS" waits meanwhile,
 *                 "exit=N" ends it, "flood=N" sends N messages without waiting, "term=MS" ends MS after SIGTERM, having said STOPPING=1
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int notify_fd = -1;

static void notify(const char *text, size_t len, int flags)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");

	if (notify_fd < 0)
		notify_fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path ? path : "");
	if (sendto(notify_fd, text, len, flags, (struct sockaddr *)&a, sizeof(a)) < 0 && !flags)
		perror(a.sun_path);
}

static int term_ms;

static void on_term(int sig)
{
	(void)sig;
	notify("STOPPING=1", 10, 0);
	usleep((useconds_t)term_ms * 1000);
	_exit(0);
}

static void step(char *s)
{
	static char big[4096];
	char *to = s;

	if (!strncmp(s, "sleep=", 6)) {
		usleep((useconds_t)atoi(s + 6) * 1000);
	} else if (!strncmp(s, "exit=", 5)) {
		exit(atoi(s + 5));
	} else if (!strncmp(s, "term=", 5)) {
		term_ms = atoi(s + 5);
		signal(SIGTERM, on_term);
	} else if (!strncmp(s, "flood=", 6)) {
		memset(big, 'x', sizeof(big));
		memcpy(big, "STATUS=", 7);
		for (long n = atol(s + 6); n > 0; n--)
			notify(big, n % 3 ? 900 : sizeof(big), MSG_DONTWAIT);
	} else {
		for (char *from = s; *from; from++)
			*to++ = from[0] == '\\' && from[1] == 'n' ? (from++, '\n') : *from;
		notify(s, (size_t)(to - s), 0);
	}
}

static int check(const char *name)
{
	char text[128] = "1 no such file", path[64];
	FILE *f;

	if (!strcmp(name, "who")) {
		char line[256], rights[3][64] = { "" };

		f = fopen("/proc/self/status", "r");
		while (f && fgets(line, sizeof(line), f)) {
			sscanf(line, "CapEff: %60s", rights[0]);
			sscanf(line, "Seccomp: %60s", rights[1]);
			sscanf(line, "NoNewPrivs: %60s", rights[2]);
		}
		printf("pid %s uid %d caps %s seccomp %s nnp %s\n", getpid() > 1 && kill(1, 0) == 0 ? "inside" : "outside", getuid(), rights[0],
			rights[1], rights[2]);
		return 0;
	}
	snprintf(path, sizeof(path), "/dev/shm/%s", name);
	f = fopen(path, "r");
	if (f && !fgets(text, sizeof(text), f))
		return 9;
	printf("first line\n%s", text);
	if (!strncmp(text, "hang", 4))
		for (;;)
			pause();
	return atoi(text);
}

/* One instruction that jumps to itself. */
#if defined(__aarch64__)
static const char loop[] = "\x00\x00\x00\x14";
#elif defined(__arm__)
static const char loop[] = "\xfe\xe7";		/* Thumb, as PID 1 is compiled; stall() looks */
#else
static const char loop[] = "\xeb\xfe";
#endif

static int stall(const char *proc)
{
	char path[128], text[256];
	unsigned long long pc;
	int fd;
	FILE *f;

	snprintf(path, sizeof(path), "%s/1/syscall", proc);
	f = fopen(path, "r");
	if (!f || !fgets(text, sizeof(text), f) || !strrchr(text, ' '))
		return perror(path), 1;
	pc = strtoull(strrchr(text, ' '), NULL, 16);
	snprintf(path, sizeof(path), "%s/1/mem", proc);
	fd = open(path, O_RDWR);
#ifdef __arm__
	if (fd < 0 || pread(fd, text, 2, (off_t)pc - 2) != 2 || memcmp(text, "\x00\xdf", 2) != 0)
		return fprintf(stderr, "no Thumb system call before %llx\n", pc), 1;
#endif
	if (fd < 0 || pwrite(fd, loop, sizeof(loop) - 1, (off_t)pc) != (ssize_t)sizeof(loop) - 1)
		return perror(path), 1;
	printf("stalled at %llx\n", pc);
	return 0;
}

/* The number behind KEY in PROC/PID/FILE; for "State:" the letter. */
static long number(const char *proc, const char *pid, const char *file, const char *key)
{
	char path[300], line[256];
	long n = -1;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/%s", proc, pid, file);
	f = fopen(path, "r");
	while (f && n < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			n = !strcmp(key, "State:") ? line[7] : atol(line + strlen(key));
	if (f)
		fclose(f);
	return n;
}

static long field(const char *proc, const char *pid, const char *key)
{
	return number(proc, pid, "status", key);
}

static void watch(const char *proc)
{
	for (;; sleep(1)) {
		DIR *d = opendir(proc);
		long zombies = 0;

		for (struct dirent *e; d && (e = readdir(d));)
			if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && field(proc, e->d_name, "State:") == 'Z' &&
			    field(proc, e->d_name, "PPid:") == 1)
				zombies++;
		if (d)
			closedir(d);
		printf("rss %ld data %ld exact %ld zombies %ld oom %ld panic %ld\n", field(proc, "1", "VmRSS:"), field(proc, "1", "VmData:"),
		       number(proc, "1", "smaps_rollup", "Rss:"), zombies, number(proc, "1", "oom_score_adj", ""),
		       number(proc, "sys/kernel", "panic", ""));
	}
}

static void serve(int port, int good)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 8) < 0) {
		perror("serve");
		exit(1);
	}
	for (;;) {
		int c = accept(fd, NULL, NULL);
		char buf[512];

		if (read(c, buf, sizeof(buf)) > 0)
			dprintf(c, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", good-- > 0 ? "200 OK" : "503 Not Now");
		close(c);
	}
}

/* Says the address of whoever comes. */
static void echo(int port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons((unsigned short)port) };
	int fd = socket(AF_INET6, SOCK_STREAM, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 8) < 0) {
		perror("echo");
		exit(1);
	}
	printf("listens\n");
	for (;;) {
		socklen_t len = sizeof(a);
		char text[INET6_ADDRSTRLEN];
		int c = accept(fd, (struct sockaddr *)&a, &len);

		dprintf(c, "%s", inet_ntop(AF_INET6, &a.sin6_addr, text, sizeof(text)));
		close(c);
	}
}

/* Asks an echo by name until it answers. */
static void ask(const char *name, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *a;
	char text[128];

	for (;; usleep(100000)) {
		int r = getaddrinfo(name, port, &hints, &a), fd;
		ssize_t n = 0;

		if (r) {
			printf("ask %s: %s\n", name, gai_strerror(r));
			return;
		}
		fd = socket(a->ai_family, SOCK_STREAM, 0);
		if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
			n = read(fd, text, sizeof(text) - 1);
		close(fd);
		freeaddrinfo(a);
		if (n > 0) {
			text[n] = '\0';
			printf("ask %s: %s\n", name, text);
			return;
		}
	}
}

static void gush(long blocks)
{
	static char block[65536];

	memset(block, 'x', sizeof(block));
	for (size_t at = 63; blocks && at < sizeof(block); at += 64)
		block[at] = '\n';
	for (long i = 0; !blocks || i < blocks; i++)
		for (size_t at = 0; at < sizeof(block);) {
			ssize_t n = write(1, block + at, sizeof(block) - at);

			if (n <= 0)
				exit(1);
			at += (size_t)n;
		}
	exit(0);
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "a");

	if (!f || fprintf(f, "%s\n", text) < 0 || fflush(f) != 0 || fsync(fileno(f)) < 0 || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
}

static void set_link(const char *name, int is_up)
{
	struct ifreq r = { .ifr_flags = 0 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFFLAGS, &r) == 0) {
		r.ifr_flags = (short)(is_up ? r.ifr_flags | IFF_UP : r.ifr_flags & ~IFF_UP);
		if (ioctl(fd, SIOCSIFFLAGS, &r) == 0)
			return;
	}
	perror(name);
	exit(1);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *arg = argc > 2 ? argv[2] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(what, "put") && argc > 4) {
		put(arg, argv[3]);
		argv[3] = argv[0];
		return main(argc - 3, argv + 3);
	}
	if (!strcmp(what, "link") && argc > 4) {
		set_link(arg, !strcmp(argv[3], "up"));
		argv[3] = argv[0];
		return main(argc - 3, argv + 3);
	}
	if (!strcmp(what, "say")) {
		signal(SIGTERM, SIG_DFL);
		printf("%s\n", arg);
		fprintf(stderr, "warning: %s\n", arg);
	} else if (!strcmp(what, "flood")) {
		for (unsigned long i = 0;; i++)
			printf("flood %lu xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n", i);
	} else if (!strcmp(what, "gush")) {
		gush(atol(arg));
	} else if (!strcmp(what, "deaf")) {
		signal(SIGTERM, SIG_IGN);
		printf("%s\n", arg);
	} else if (!strcmp(what, "exit")) {
		return atoi(arg);
	} else if (!strcmp(what, "signal")) {
		signal(atoi(arg), SIG_DFL);
		kill(getpid(), atoi(arg));	/* as process 1 of a pid namespace this does nothing: then by exit */
		return 128 + atoi(arg);
	} else if (!strcmp(what, "forks")) {
		for (int i = 0; i < atoi(arg); i++)
			if (fork() == 0) {
				setsid();
				signal(SIGTERM, SIG_IGN);
				for (;;)
					pause();
			}
	} else if (!strcmp(what, "count")) {
		setvbuf(stdout, NULL, _IONBF, 0);
		for (int i = 0; i < atoi(arg); i++) {
			printf("num");
			printf("ber %d\n", i);
			usleep((useconds_t)(argc > 3 ? atoi(argv[3]) : 0));
		}
	} else if (!strcmp(what, "watch")) {
		watch(arg);
	} else if (!strcmp(what, "leak")) {
		for (;;) {
			char *at = malloc(65536);

			if (at)
				memset(at, 1, 65536);
			usleep(2000);
		}
	} else if (!strcmp(what, "bomb")) {
		for (;;)
			if (fork() < 0)
				usleep(1000);
	} else if (!strcmp(what, "half")) {
		setvbuf(stdout, NULL, _IONBF, 0);
		printf("%s", arg);
		usleep((useconds_t)atoi(argv[3]) * 1000);
		printf("%s\n", argv[4]);
	} else if (!strcmp(what, "stall")) {
		return stall(arg);
	} else if (!strcmp(what, "check")) {
		return check(arg);
	} else if (!strcmp(what, "serve")) {
		serve(atoi(arg), argc > 3 ? atoi(argv[3]) : 1 << 30);
	} else if (!strcmp(what, "echo")) {
		echo(atoi(arg));
	} else if (!strcmp(what, "both")) {
		if (fork() == 0)
			echo(atoi(arg));
		ask(argv[3], argv[4]);
	} else if (!strcmp(what, "ask")) {
		ask(arg, argv[3]);
	} else if (!strcmp(what, "notify")) {
		for (int i = 2; i < argc; i++)
			step(argv[i]);
	} else if (!strcmp(what, "later")) {
		usleep((useconds_t)atoi(arg) * 1000);
		return argc > 3 ? atoi(argv[3]) : 0;
	}
	for (;;)
		pause();
}
