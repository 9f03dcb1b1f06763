/* SPDX-License-Identifier: MIT */
/*
 * The program that system tests put into a container: does one thing for
 * each argument pair and prints what came of it, one line each, "name=value" or
 * "name!ERRNO". Static, so that it runs in an empty rootfs.
 *
 *	cat FILE | ls DIR | links DIR | save-links FILE | write FILE | mkdir DIR | stat FILE | open FILE | mknod FILE | env NAME
 *	pwd . | host . | ids . | sid . | rlimit N | key NAME | sys NAME | setuid N | sleep MS | term TEXT | exit N | raise N | eat MIB | fork N
 *	device FILE | spy MS | watch-files MS | orphan MS | processes . | all-signals N
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/gpio.h>
#include <linux/i2c-dev.h>
#include <linux/videodev2.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static const char *error_name(int e)
{
	static const struct { int e; const char *name; } names[] = {
		{ EPERM, "EPERM" }, { ENOENT, "ENOENT" }, { EACCES, "EACCES" }, { EROFS, "EROFS" }, { EINVAL, "EINVAL" },
		{ ENOSYS, "ENOSYS" }, { ENXIO, "ENXIO" }, { EIO, "EIO" }, { ENOTDIR, "ENOTDIR" }, { EAGAIN, "EAGAIN" },
		{ ENOMEM, "ENOMEM" }, { EEXIST, "EEXIST" }, { EBUSY, "EBUSY" }, { ESRCH, "ESRCH" }, { ENOTTY, "ENOTTY" },
		{ ENOKEY, "ENOKEY" }, { ECONNREFUSED, "ECONNREFUSED" },
	};
	static char other[16];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].e == e)
			return names[i].name;
	snprintf(other, sizeof(other), "E%d", e);
	return other;
}

static void result(const char *what, const char *arg, long r)
{
	int e = errno;

	if (r < 0)
		printf("%s %s!%s\n", what, arg, error_name(e));
	else
		printf("%s %s=%ld\n", what, arg, r);
}

static void cat(const char *path)
{
	char buf[65536];
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		result("cat", path, -1);
		return;
	}
	printf("cat %s:\n", path);
	fflush(stdout);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	printf("end %s\n", path);
	close(fd);
}

static void ls(const char *path, int show_links)
{
	DIR *d = opendir(path);
	struct dirent *e;

	if (!d) {
		result("ls", path, -1);
		return;
	}
	while ((e = readdir(d))) {
		char to[256] = "", full[1024];
		struct stat st;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		/* The listing's own descriptor is not a finding. */
		if (show_links && atoi(e->d_name) == dirfd(d))
			continue;
		snprintf(full, sizeof(full), "%s/%s", path, e->d_name);
		if (lstat(full, &st) == 0 && S_ISLNK(st.st_mode) && readlink(full, to, sizeof(to) - 1) < 0)
			strcpy(to, "?");
		printf("ls %s=%s%s%s\n", path, e->d_name, *to ? " -> " : "", to);
	}
	closedir(d);
}

/* Where 0, 1 and 2 lead, into a file: for a caller that closed them. */
static void save_links(const char *path)
{
	FILE *f = fopen(path, "w");

	for (int i = 0; f && i < 3; i++) {
		char from[32], to[256];
		ssize_t n;

		snprintf(from, sizeof(from), "/proc/self/fd/%d", i);
		n = readlink(from, to, sizeof(to) - 1);
		to[n < 0 ? 0 : n] = '\0';
		fprintf(f, "%s\n", n < 0 ? "closed" : to);
	}
	if (f)
		fclose(f);
}

static void show_stat(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0) {
		result("stat", path, -1);
		return;
	}
	printf("stat %s=%o %u:%u %u:%u size %lld\n", path, (unsigned)st.st_mode, (unsigned)st.st_uid, (unsigned)st.st_gid,
		S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode) ? major(st.st_rdev) : 0,
		S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode) ? minor(st.st_rdev) : 0, (long long)st.st_size);
}

static void show_ids(void)
{
	gid_t list[64];
	int n = getgroups(64, list);

	printf("ids=%u:%u", (unsigned)getuid(), (unsigned)getgid());
	for (int i = 0; i < n; i++)
		printf(" %u", (unsigned)list[i]);
	printf("\n");
}

/* What a device node answers to the question of its kind. */
static void device(const char *path)
{
	struct gpiochip_info chip;
	struct v4l2_capability video;
	struct termios serial;
	unsigned long functions;
	int fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		result("device", path, -1);
	else if (ioctl(fd, GPIO_GET_CHIPINFO_IOCTL, &chip) == 0)
		printf("device %s=gpio %s, %u lines\n", path, chip.label, chip.lines);
	else if (ioctl(fd, VIDIOC_QUERYCAP, &video) == 0)
		printf("device %s=video %s\n", path, video.driver);
	else if (ioctl(fd, I2C_FUNCS, &functions) == 0)
		printf("device %s=i2c %lx\n", path, functions);
	else if (tcgetattr(fd, &serial) == 0)
		printf("device %s=serial\n", path);
	else
		result("device", path, -1);
	if (fd >= 0)
		close(fd);
}

/* PATH, or PATH:MAJOR:MINOR; else /dev/mem's. */
static void mkchr(const char *arg)
{
	unsigned major = 1, minor = 1;
	char path[256] = "";

	sscanf(arg, "%255[^:]:%u:%u", path, &major, &minor);
	result("mkchr", arg, mknod(path, S_IFCHR | 0666, makedev(major, minor)));
}

static void system_call(const char *name)
{
	long r = -1;

	if (!strcmp(name, "mount"))
		r = mount("none", "/tmp", "tmpfs", 0, NULL);
	else if (!strcmp(name, "remount-root"))
		r = mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL);
	else if (!strcmp(name, "umount-proc-sys"))
		r = umount2("/proc/sys", MNT_DETACH);
	else if (!strcmp(name, "unshare-user"))
		r = syscall(SYS_unshare, 0x10000000);
	else if (!strcmp(name, "bpf"))
		r = syscall(SYS_bpf, 0, NULL, 0);
	else if (!strcmp(name, "afalg"))
		r = socket(38, SOCK_SEQPACKET, 0);
	else if (!strcmp(name, "pivot"))
		r = syscall(SYS_pivot_root, ".", ".");
	else if (!strcmp(name, "sethostname"))
		r = sethostname("x", 1);
	else if (!strcmp(name, "tiocsti"))
		r = ioctl(0, TIOCSTI, "x");
	else if (!strcmp(name, "clock")) {
		struct timespec now;

		clock_gettime(CLOCK_REALTIME, &now);
		r = clock_settime(CLOCK_REALTIME, &now);
	} else if (!strcmp(name, "module"))
		r = syscall(SYS_delete_module, "no_such_module", 0);
	else if (!strcmp(name, "reboot"))
		r = syscall(SYS_reboot, 0xfee1dead, 672274793, 0 /* CAD off */, NULL);
	else if (!strcmp(name, "loopback")) {
		struct ifreq q = { .ifr_name = "lo" };

		r = ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCGIFFLAGS, &q);
		if (r == 0)
			r = q.ifr_flags & IFF_UP ? 1 : 0;
	} else
		errno = EINVAL;
	result("sys", name, r);
}

static const char *term_text;

static void on_term(int s)
{
	if (write(1, term_text, strlen(term_text)) < 0 || write(1, "\n", 1) < 0)
		_exit(99);
	_exit(40 + s);
}

static void wait_for_signal(const char *text)
{
	term_text = text;
	signal(SIGTERM, on_term);
	signal(SIGINT, on_term);
	signal(SIGUSR1, on_term);
	printf("ready\n");
	fflush(stdout);
	for (;;)
		pause();
}

static void eat(int mib)
{
	for (int i = 0; i < mib; i++) {
		char *p = malloc(1 << 20);

		if (!p) {
			printf("eat!ENOMEM at %d\n", i);
			return;
		}
		memset(p, i + 1, 1 << 20);
	}
	printf("eat=%d\n", mib);
}

static void fork_many(int n)
{
	int made = 0;

	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			pause();
			_exit(0);
		}
		if (pid < 0)
			break;
		made++;
	}
	printf("fork=%d of %d\n", made, n);
}

/* Every system call with arguments that no call can do anything with, each in a child: what came of it, as one word. */
static void sweep(int last)
{
	for (int nr = 0; nr <= last; nr++) {
		int status = 0, pair[2], said = 0;
		pid_t pid;

		fflush(stdout);
		if (pipe(pair) < 0 || (pid = fork()) < 0)
			return;
		if (pid == 0) {
			long r;

			alarm(1);
			r = syscall(nr, -1L, -1L, -1L, -1L, -1L, -1L);
			said = r < 0 ? errno : 0;
			if (write(pair[1], &said, sizeof(said)) < 0)
				_exit(1);
			_exit(0);
		}
		close(pair[1]);
		if (read(pair[0], &said, sizeof(said)) != sizeof(said))
			said = -1;
		close(pair[0]);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (said < 0)
			printf("sweep %d=%s %d\n", nr, WIFSIGNALED(status) ? "signal" : "exit", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		else
			printf("sweep %d=%d\n", nr, said);
	}
}

/* Until a line says quit. */
static void lines(void)
{
	char line[256];

	while (fgets(line, sizeof(line), stdin) && strcmp(line, "quit\n") != 0) {
		struct winsize size = { 0 };

		ioctl(0, TIOCGWINSZ, &size);
		line[strcspn(line, "\n")] = '\0';
		printf("line '%s' at %ux%u\n", line, size.ws_row, size.ws_col);
		fflush(stdout);
	}
	printf("over\n");
}

#include "probe_others.h"

static void on_any(int s)
{
	char text[] = "got 00\n";

	text[4] = (char)('0' + s / 10);
	text[5] = (char)('0' + s % 10);
	if (write(1, text, sizeof(text) - 1) < 0 || s == SIGTERM)
		_exit(3);
}

/* Names each signal as it comes; SIGTERM ends it. */
static void all_signals(void)
{
	for (int s = 1; s < NSIG; s++)
		signal(s, on_any);
	printf("ready\n");
	fflush(stdout);
	for (;;)
		pause();
}

static void one(const char *what, const char *arg)
{
	if (!strcmp(what, "cat"))
		cat(arg);
	else if (!strcmp(what, "ls"))
		ls(arg, 0);
	else if (!strcmp(what, "save-links"))
		save_links(arg);
	else if (!strcmp(what, "links"))
		ls(arg, 1);
	else if (!strcmp(what, "write")) {
		int fd = open(arg, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

		result("write", arg, fd < 0 ? -1 : write(fd, "x", 1));
		if (fd >= 0)
			close(fd);
	} else if (!strcmp(what, "open")) {
		int fd = open(arg, O_RDWR | O_CLOEXEC | O_NOCTTY);

		result("open", arg, fd < 0 ? -1 : 0);
		if (fd >= 0)
			close(fd);
	} else if (!strcmp(what, "read")) {
		int fd = open(arg, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

		result("read", arg, fd < 0 ? -1 : 0);
		if (fd >= 0)
			close(fd);
	} else if (!strcmp(what, "mkchr"))
		mkchr(arg);
	else if (!strcmp(what, "mkdir"))
		result("mkdir", arg, mkdir(arg, 0755));
	else if (!strcmp(what, "mknod"))
		result("mknod", arg, mknod(arg, S_IFBLK | 0666, makedev(7, 0)));
	else if (!strcmp(what, "stat"))
		show_stat(arg);
	else if (!strcmp(what, "env"))
		printf("env %s=%s\n", arg, getenv(arg) ? getenv(arg) : "(unset)");
	else if (!strcmp(what, "abstract")) {
		struct sockaddr_un a = { .sun_family = AF_UNIX };

		memcpy(a.sun_path + 1, arg, strlen(arg));
		result("abstract", arg, connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&a, (socklen_t)(3 + strlen(arg))));
	} else if (!strcmp(what, "port")) {
		struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arg)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

		result("port", arg, bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof(a)));
	} else if (!strcmp(what, "pwd")) {
		char here[4096];

		printf("pwd=%s\n", getcwd(here, sizeof(here)) ? here : "?");
	} else if (!strcmp(what, "host")) {
		char name[256] = "";

		gethostname(name, sizeof(name) - 1);
		printf("host=%s\n", name);
	} else if (!strcmp(what, "ids"))
		show_ids();
	else if (!strcmp(what, "sid"))
		printf("sid=%d pid=%d pgid=%d ppid=%d\n", (int)getsid(0), (int)getpid(), (int)getpgrp(), (int)getppid());
	else if (!strcmp(what, "rlimit")) {
		struct rlimit l = { 0 };

		getrlimit(atoi(arg), &l);
		printf("rlimit %s=%llu %llu\n", arg, (unsigned long long)l.rlim_cur, (unsigned long long)l.rlim_max);
	} else if (!strcmp(what, "key"))
		result("key", arg, syscall(SYS_keyctl, 10, -3, "user", arg, 0) > 0 ? 1 : -1);
	else if (!strcmp(what, "sys"))
		system_call(arg);
	else if (!strcmp(what, "setuid"))
		result("setuid", arg, setuid((uid_t)atoi(arg)));
	else if (!strcmp(what, "sleep"))
		nanosleep(&(struct timespec){ .tv_sec = atoi(arg) / 1000, .tv_nsec = atoi(arg) % 1000 * 1000000L }, NULL);
	else if (!strcmp(what, "term"))
		wait_for_signal(arg);
	else if (!strcmp(what, "echo"))
		printf("%s\n", arg);
	else if (!strcmp(what, "sweep"))
		sweep(atoi(arg));
	else if (!strcmp(what, "now")) {
		struct timespec t;

		clock_gettime(CLOCK_MONOTONIC, &t);
		printf("now=%lld\n", (long long)t.tv_sec * 1000000000 + t.tv_nsec);
	} else if (!strcmp(what, "lines"))
		lines();
	else if (!strcmp(what, "tty"))
		printf("tty 0 %d 1 %d 2 %d name %s foreground %d\n", isatty(0), isatty(1), isatty(2), ttyname(0) ? ttyname(0) : "?", tcgetpgrp(0) == getpgrp());
	else if (!strcmp(what, "spy"))
		spy(atoi(arg));
	else if (!strcmp(what, "device"))
		device(arg);
	else if (!strcmp(what, "watch-files"))
		watch_files(atoi(arg));
	else if (!strcmp(what, "orphan"))
		orphan(atoi(arg));
	else if (!strcmp(what, "processes"))
		processes();
	else if (!strcmp(what, "all-signals"))
		all_signals();
	else if (!strcmp(what, "eat"))
		eat(atoi(arg));
	else if (!strcmp(what, "fork"))
		fork_many(atoi(arg));
	else if (!strcmp(what, "exit")) {
		fflush(stdout);
		_exit(atoi(arg));
	} else if (!strcmp(what, "raise")) {
		fflush(stdout);
		/* Pid 1 of a namespace is spared its own signals, SIGKILL too; a fault is not a signal it can be spared. */
		if (atoi(arg) == SIGSEGV)
			*(volatile int *)8 = 1;
		raise(atoi(arg));
	} else {
		printf("unknown %s\n", what);
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i += 2)
		one(argv[i], argv[i + 1]);
	return 0;
}
