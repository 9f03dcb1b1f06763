/* SPDX-License-Identifier: MIT */
/*
 * `coracle-init run BUNDLE`: the small parent of one container in the
 * foreground. Takes the newest run record in BUNDLE that is whole and not older than
 * config.json, else has coracle-bundle compile one; starts it; passes
 * signals on; reaps; removes the cgroup; returns the program's exit status. The bundle is
 * the operator's; what runs in it is not trusted and gets 0, 1, 2 only.
 */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../lib/record.h"
#include "cgroup.h"
#include "config.h"
#include "run_tty.h"
#include "start.h"

enum { EXIT_USAGE = 2, NAME_SIZE = 256, LINE_SIZE = 640, LISTING_SIZE = 4096, CGROUP_SIZE = 320 };

/* getdents64(2) */
struct entry {
	uint64_t inode;
	int64_t next;
	uint16_t len;
	uint8_t type;
	char name[];
};

struct run {
	const char *bundle;
	int dir;
	int record_fd;
	char cgroup[CGROUP_SIZE];	/* "" without */
	pid_t starter, program;
	pid_t early;			/* the last child that ended unknown: a program may, before the starter has told of it */
	int program_status, early_status;
	bool is_starter_gone, is_program_gone, is_report_over;
	int pidfd;
	int failed;			/* exit status of a failed start, or 0 */
	int64_t deadline_ms;		/* of the start */
	struct run_tty tty;
};

static void say(const char *bundle, const char *text)
{
	char line[LINE_SIZE];
	int n = snprintf(line, sizeof(line), "%s: %s: %s\n", program_invocation_short_name, bundle, text);

	if (n >= (int)sizeof(line)) {
		n = sizeof(line) - 1;
		line[n - 1] = '\n';
	}
	if (n > 0 && write(2, line, (size_t)n) < 0)
		return;
}

static bool is_newer(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

static bool is_record_name(const char *name)
{
	char prefix[32];
	int n = snprintf(prefix, sizeof(prefix), "record.%d.", RECORD_FORMAT);

	return strncmp(name, prefix, (size_t)n) == 0 && !strchr(name, '~');
}

/* Whole, of this format, and checked to the last byte; the starter checks again what it maps. */
static bool is_fitting(int fd, off_t size)
{
	bool is_ok;
	void *at;

	if (size <= 0 || size > CONFIG_RECORD_MAX)
		return false;
	at = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (at == MAP_FAILED)
		return false;
	is_ok = record_check(at, (size_t)size, NULL) == 0;
	munmap(at, (size_t)size);
	return is_ok;
}

/* Opens NAME if it fits and is not older than *BEST, which it then becomes. Returns the descriptor, or -1. */
static int open_record(int dir, const char *name, struct timespec *best)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && !is_newer(*best, st.st_mtim) &&
	    is_fitting(fd, st.st_size)) {
		*best = st.st_mtim;
		return fd;
	}
	close(fd);
	return -1;
}

/* The newest fitting record, or -1. */
static int find_record(int dir)
{
	_Alignas(struct entry) char list[LISTING_SIZE];
	struct timespec best = { 0 };
	struct stat st;
	int found = -1;
	long n;

	if (fstatat(dir, "config.json", &st, 0) == 0)
		best = st.st_mtim;
	if (lseek(dir, 0, SEEK_SET) < 0)
		return -1;
	while ((n = syscall(SYS_getdents64, dir, list, sizeof(list))) > 0) {
		for (long at = 0; at < n;) {
			const struct entry *e = (const void *)(list + at);
			int fd;

			at += e->len;
			if (!is_record_name(e->name))
				continue;
			fd = open_record(dir, e->name, &best);
			if (fd < 0)
				continue;
			if (found >= 0)
				close(found);
			found = fd;
		}
	}
	return found;
}

/* The path of coracle-bundle beside this program. */
static int sibling(char *out, size_t size)
{
	static const char name[] = "coracle-bundle";
	ssize_t n = readlink("/proc/self/exe", out, size);
	char *slash;

	if (n < 0 || (size_t)n >= size)
		return -ENAMETOOLONG;
	out[n] = '\0';
	slash = strrchr(out, '/');
	if (!slash || (size_t)(slash + 1 - out) + sizeof(name) > size)
		return -ENAMETOOLONG;
	memcpy(slash + 1, name, sizeof(name));
	return 0;
}

/* Runs `coracle-bundle compile BUNDLE`; it explains its own failures on stderr, all but its own death. */
static int compile(const char *bundle)
{
	char program[4096];
	char *const argv[] = { "coracle-bundle", "compile", (char *)bundle, NULL };
	int status;
	pid_t pid;

	if (sibling(program, sizeof(program)) < 0) {
		say(bundle, "no fitting run record, and coracle-bundle cannot be found without /proc");
		return -ENOENT;
	}
	pid = fork();
	if (pid < 0) {
		say(bundle, "no process for coracle-bundle compile");
		return -EAGAIN;
	}
	if (pid == 0) {
		dup2(2, 1);	/* stdout is the program's */
		execv(program, argv);
		say(bundle, "no fitting run record, and coracle-bundle is not beside coracle-init: compile the bundle first");
		_exit(START_EXIT_OURS);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFSIGNALED(status))
		say(bundle, "coracle-bundle compile was killed: short of memory?");
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECANCELED;
}

static int get_record(struct run *u)
{
	u->record_fd = find_record(u->dir);
	if (u->record_fd >= 0)
		return 0;
	if (compile(u->bundle) < 0)
		return -ENOENT;
	u->record_fd = find_record(u->dir);
	if (u->record_fd >= 0)
		return 0;
	say(u->bundle, "coracle-bundle compiled it, yet no run record here fits this program: are both of one version?");
	return -ENOENT;
}

/* A group of its own below the root of a pure cgroup v2 host; hybrid and v1 hosts have none to offer. */
static void name_cgroup(struct run *u)
{
	struct statfs fs;

	if (statfs("/sys/fs/cgroup", &fs) < 0 || (unsigned long)fs.f_type != CGROUP2_SUPER_MAGIC)
		return;
	snprintf(u->cgroup, sizeof(u->cgroup), "/sys/fs/cgroup/coracle.run.%d", (int)getpid());
}

static void signal_program(const struct run *u, int signal)
{
	if (u->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, u->pidfd, signal, NULL, 0);
}

static void take_report(struct run *u, const struct start_report *r, int pidfd)
{
	char text[LINE_SIZE];

	if (r->kind == START_CREATED) {
		u->program = r->pid;
		u->pidfd = pidfd;
		u->is_program_gone = r->pid == u->early;
		u->program_status = u->early_status;
		return;
	}
	if (r->kind == START_TERMINAL) {
		run_tty_begin(&u->tty, pidfd);
		return;
	}
	start_text(r, text, sizeof(text));
	say(u->bundle, text);
	if (r->kind == START_FAILED && !u->failed) {
		u->failed = (int)r->exit_status;
		signal_program(u, SIGKILL);
	}
}

static void read_reports(struct run *u, int report_fd)
{
	struct start_report r;
	int pidfd, n;

	while (!u->is_report_over && (n = start_read(report_fd, &r, &pidfd)) != -EAGAIN) {
		if (n == 1)
			take_report(u, &r, pidfd);
		else
			u->is_report_over = true;
	}
}

/* After the reports, so that the program's pid is known before it is reaped. */
static void reap(struct run *u)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == u->starter) {
			u->is_starter_gone = true;
		} else if (pid == u->program) {
			u->is_program_gone = true;
			u->program_status = status;
		} else if (!u->program) {
			u->early = pid;
			u->early_status = status;
		}
	}
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* As job control has it: all of the container stands still (without a cgroup its first process, which would not hear SIGTSTP), our terminal is the
 * shell's again, and then we stop, until a SIGCONT, which is passed on as any signal. */
static void suspend(struct run *u)
{
	int64_t since = now_ms();

	if (u->cgroup[0])
		cgroup_write(u->cgroup, "cgroup.freeze", "1");
	signal_program(u, SIGSTOP);
	run_tty_yield(&u->tty);
	raise(SIGSTOP);
	run_tty_take(&u->tty);
	if (u->cgroup[0])
		cgroup_write(u->cgroup, "cgroup.freeze", "0");
	u->deadline_ms += now_ms() - since;
}

static void take_signals(struct run *u, int signals)
{
	struct signalfd_siginfo i;

	while (read(signals, &i, sizeof(i)) == (ssize_t)sizeof(i))
		if (i.ssi_signo == SIGWINCH && u->tty.master >= 0)
			run_tty_resize(&u->tty);
		else if (i.ssi_signo == SIGTSTP)
			suspend(u);
		else if (i.ssi_signo != SIGCHLD)
			signal_program(u, (int)i.ssi_signo);
}

static bool is_over(const struct run *u)
{
	if (u->program)
		return u->is_program_gone;
	return u->is_starter_gone && u->is_report_over;
}

static void expire(struct run *u)
{
	say(u->bundle, "the start took longer than its deadline: killed");
	u->failed = START_EXIT_OURS;
	if (u->starter)
		kill(u->starter, SIGKILL);
	signal_program(u, SIGKILL);
}

static void supervise(struct run *u, int report_fd, int signals)
{
	u->deadline_ms = now_ms() + CONFIG_START_DEADLINE_S * 1000;
	while (!is_over(u)) {
		struct pollfd p[2 + RUN_TTY_POLLS] = {
			{ .fd = signals, .events = POLLIN },
			{ .fd = u->is_report_over ? -1 : report_fd, .events = POLLIN },
		};
		int64_t left = u->deadline_ms - now_ms();
		bool is_starting = !u->is_report_over && !u->failed;

		if (is_starting && left <= 0)
			expire(u);
		run_tty_wait(&u->tty, p + 2);
		/* Short of memory it goes on looking, only slower. */
		if (poll(p, 2 + RUN_TTY_POLLS, is_starting && left > 0 ? (int)left : -1) < 0 && errno != EINTR)
			nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
		read_reports(u, report_fd);
		run_tty_move(&u->tty, p + 2);
		take_signals(u, signals);
		reap(u);
	}
	read_reports(u, report_fd);
}

static int exit_status(const struct run *u)
{
	if (u->failed)
		return u->failed;
	if (!u->program) {
		say(u->bundle, "the starter died before the container was there");
		return START_EXIT_OURS;
	}
	if (WIFSIGNALED(u->program_status))
		return 128 + WTERMSIG(u->program_status);
	return WEXITSTATUS(u->program_status);
}

int run_signals(void)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGTTIN, SIGTTOU };
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&set, own[i]);
	if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
		return -errno;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int run_attend(const char *name, pid_t pid, int report_fd, int signals)
{
	struct run u = { .bundle = name, .program = pid, .tty.master = -1 };

	u.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	supervise(&u, report_fd, signals);
	run_tty_end(&u.tty);
	return exit_status(&u);
}

/* The container's leftovers outside its pid namespace, if any, die with its group. */
static void clean_up(struct run *u)
{
	int r = -EBUSY;

	if (!u->cgroup[0])
		return;
	for (int i = 0; i < 100 && (r = cgroup_remove(u->cgroup)) == -EBUSY; i++) {
		cgroup_kill(u->cgroup);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	if (r < 0)
		say(u->cgroup, "this cgroup stays behind");
}

static int run_bundle(struct run *u)
{
	struct start_request q = { .record_fd = u->record_fd, .stdio = { 0, 1, 2 }, .die_with_parent = true };
	struct start s;
	int signals = run_signals();
	int r;

	if (signals < 0) {
		say(u->bundle, "cannot open a signalfd");
		return START_EXIT_OURS;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	name_cgroup(u);
	q.cgroup = u->cgroup[0] ? u->cgroup : NULL;
	r = start_fork(&q, &s);
	if (r < 0) {
		say(u->bundle, strerror(-r));
		close(signals);
		return START_EXIT_OURS;
	}
	u->starter = s.starter;
	supervise(u, s.report_fd, signals);
	close(s.report_fd);
	close(signals);
	run_tty_end(&u->tty);
	clean_up(u);
	return exit_status(u);
}

/* A closed 0, 1 or 2 would become one of our own descriptors, and then the program's. */
static int fill_stdio(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= 2);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

int run_main(int argc, char **argv)
{
	struct run u = { .dir = -1, .record_fd = -1, .pidfd = -1, .tty.master = -1 };
	int status = START_EXIT_OURS;

	if (argc != 2 || argv[1][0] == '-') {
		static const char usage[] = "usage: coracle-init run BUNDLE\n";

		(void)!write(2, usage, sizeof(usage) - 1);
		return EXIT_USAGE;
	}
	u.bundle = argv[1];
	if (fill_stdio() < 0) {
		say("/dev/null", strerror(errno));
		return START_EXIT_OURS;
	}
	u.dir = open(u.bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (u.dir < 0) {
		say(u.bundle, strerror(errno));
		goto out;
	}
	if (get_record(&u) < 0)
		goto out;
	status = run_bundle(&u);
out:
	if (u.pidfd >= 0)
		close(u.pidfd);
	if (u.record_fd >= 0)
		close(u.record_fd);
	if (u.dir >= 0)
		close(u.dir);
	return status;
}
