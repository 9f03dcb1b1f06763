/* SPDX-License-Identifier: MIT */
/*
 * Runs a program and all its children, jailed ones too, under ptrace, and counts, fails or skips what they ask of the disk:
 *   inject count REPORT PROGRAM...          "N CALLS" at the end of REPORT, a line "N name program target" for each call that would be failed
 *   inject fail N ERRNO REPORT PROGRAM...   the Nth of them (from 1) is not done and returns ERRNO; REPORT says which it was
 *   inject count-more, fail-more            the same for what reads, opens, looks, sets owner, mode and times, unlinks and locks
 *   inject nosync REPORT PROGRAM...         fsync, fdatasync, syncfs and sync say 0 and are not done: fsync compiled out
 *   inject peak REPORT PROGRAM...           a line "program VmHWM-in-KiB" for each process as it ends
 *   inject mark FILE PROGRAM...             writes "publish" or "pull" into FILE as a pull comes to the one or the other step
 * A call is made harmless by its first two arguments (no descriptor, no path), so that it passes any seccomp filter as what it is.
 * Exit status: the program's, or 128 + its signal; 125 for a failure of ours.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TASKS_MAX = 256 };
enum mode { COUNT, FAIL, NOSYNC, MARK, PEAK, COUNT_MORE, FAIL_MORE };

struct call {
	long nr;
	const char *name;
	int is_sync;
};

static const struct call calls[] = {
	{ SYS_write, "write", 0 }, { SYS_writev, "writev", 0 }, { SYS_pwrite64, "pwrite64", 0 }, { SYS_ftruncate, "ftruncate", 0 },
	{ SYS_fsync, "fsync", 1 }, { SYS_fdatasync, "fdatasync", 1 }, { SYS_syncfs, "syncfs", 1 }, { SYS_sync, "sync", 1 },
	{ SYS_rename, "rename", 0 }, { SYS_renameat, "renameat", 0 }, { SYS_renameat2, "renameat2", 0 }, { SYS_mkdir, "mkdir", 0 },
	{ SYS_mkdirat, "mkdirat", 0 }, { SYS_link, "link", 0 }, { SYS_linkat, "linkat", 0 }, { SYS_symlinkat, "symlinkat", 0 },
	{ SYS_mknodat, "mknodat", 0 }, { SYS_fsetxattr, "fsetxattr", 0 },
};

/* What does not change the disk's files and folders, or only what they are like. */
static const struct call more_calls[] = {
	{ SYS_read, "read", 0 }, { SYS_pread64, "pread64", 0 }, { SYS_getdents64, "getdents64", 0 }, { SYS_open, "open", 0 }, { SYS_openat, "openat", 0 },
	{ SYS_openat2, "openat2", 0 }, { SYS_fchown, "fchown", 0 }, { SYS_fchownat, "fchownat", 0 }, { SYS_fchmod, "fchmod", 0 },
	{ SYS_fchmodat, "fchmodat", 0 }, { SYS_utimensat, "utimensat", 0 }, { SYS_unlinkat, "unlinkat", 0 }, { SYS_newfstatat, "newfstatat", 0 },
	{ SYS_fstat, "fstat", 0 }, { SYS_statx, "statx", 0 }, { SYS_fstatfs, "fstatfs", 0 }, { SYS_lseek, "lseek", 0 }, { SYS_flock, "flock", 0 },
	{ SYS_readlinkat, "readlinkat", 0 }, { SYS_flistxattr, "flistxattr", 0 }, { SYS_fgetxattr, "fgetxattr", 0 },
	{ SYS_open_tree, "open_tree", 0 }, { SYS_mount_setattr, "mount_setattr", 0 },
};

struct task {
	pid_t pid;
	int is_inside;		/* between entry and exit of a call */
	int has_result;
	long result;		/* to be returned instead */
};

static struct task tasks[TASKS_MAX];
static enum mode mode;
static int is_more;	/* of the other list */
static long serial, wanted, error;
static FILE *report;
static int mark_fd = -1;

static struct task *task_of(pid_t pid)
{
	struct task *free_one = NULL;

	for (int i = 0; i < TASKS_MAX; i++) {
		if (tasks[i].pid == pid)
			return &tasks[i];
		if (!tasks[i].pid && !free_one)
			free_one = &tasks[i];
	}
	if (!free_one)
		exit(125);
	*free_one = (struct task){ .pid = pid };
	return free_one;
}

static const struct call *call_of(long nr)
{
	const struct call *list = is_more ? more_calls : calls;
	size_t len = is_more ? sizeof(more_calls) / sizeof(*more_calls) : sizeof(calls) / sizeof(*calls);

	for (size_t i = 0; i < len; i++)
		if (list[i].nr == nr)
			return &list[i];
	return NULL;
}

static void target_of(const struct task *t, unsigned long fd, char target[200])
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)t->pid, (int)fd);
	n = readlink(path, target, 199);
	if (n < 0)
		target[0] = '-', n = 1;
	target[n] = '\0';
}

/* Number, name, program and what its first argument is open on. */
static void tell(const struct task *t, const struct call *c, const char *target)
{
	char path[64], comm[20] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)t->pid);
	f = fopen(path, "re");
	if (f && fscanf(f, "%15s", comm) != 1)
		comm[0] = '\0';
	if (f)
		fclose(f);
	fprintf(report, "%ld %s %s %s\n", serial, c->name, comm, target);
}

static void registers(pid_t pid, struct user_regs_struct *regs, int set)
{
	struct iovec v = { regs, sizeof(*regs) };

	ptrace(set ? PTRACE_SETREGSET : PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &v);
}

static void replace(struct task *t, struct user_regs_struct *regs, long result)
{
	regs->rdi = (unsigned long)-1;
	regs->rsi = 0;
	registers(t->pid, regs, 1);
	t->has_result = 1;
	t->result = result;
}

static void text_at(pid_t pid, unsigned long at, char out[64])
{
	struct iovec to = { out, 63 }, from = { (void *)at, 63 };
	ssize_t n;

	memset(out, 0, 64);
	n = process_vm_readv(pid, &to, 1, &from, 1, 0);
	if (n < 0) {	/* may end at a page's edge */
		to.iov_len = from.iov_len = 16;
		process_vm_readv(pid, &to, 1, &from, 1, 0);
	}
}

static void mark(struct task *t, const struct user_regs_struct *regs)
{
	const char *word = NULL;
	char path[64];

	if (regs->orig_rax == SYS_syncfs)
		word = "publish";
	if (regs->orig_rax == SYS_mkdirat) {
		text_at(t->pid, regs->rsi, path);
		word = strcmp(path, "image") == 0 ? "publish" : strncmp(path, "tmp/", 4) == 0 ? "pull" : NULL;
	}
	if (word && write(mark_fd, word, strlen(word)) < 0)
		exit(125);
}

/* A process is about to end and still has its memory. */
static void tell_peak(pid_t pid)
{
	char path[64], line[200], comm[20] = "";
	long peak = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		sscanf(line, "Name: %15s", comm);
		sscanf(line, "VmHWM: %ld", &peak);
	}
	if (f)
		fclose(f);
	fprintf(report, "%s %ld\n", comm, peak);
}

static void enter(struct task *t)
{
	struct user_regs_struct regs;
	const struct call *c;
	char target[200];

	registers(t->pid, &regs, 0);
	if (mode == MARK) {
		mark(t, &regs);
		return;
	}
	c = mode == PEAK ? NULL : call_of((long)regs.orig_rax);
	if (!c)
		return;
	if (mode == NOSYNC) {
		if (c->is_sync)
			replace(t, &regs, 0);
		return;
	}
	target_of(t, regs.rdi, target);
	if (strncmp(target, "pipe:", 5) == 0 || strncmp(target, "socket:", 7) == 0)
		return;		/* no disk */
	serial++;
	if (mode == COUNT)
		tell(t, c, target);
	if (mode == FAIL && serial == wanted) {
		tell(t, c, target);
		replace(t, &regs, -error);
	}
}

static void leave(struct task *t)
{
	struct user_regs_struct regs;

	if (!t->has_result)
		return;
	t->has_result = 0;
	registers(t->pid, &regs, 0);
	regs.rax = (unsigned long)t->result;
	registers(t->pid, &regs, 1);
}

static int status_of(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Until the first program has ended and nobody is left. */
static int run(pid_t first)
{
	int result = 125, status, signal;
	pid_t pid;

	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		struct task *t = task_of(pid);

		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			t->pid = 0;
			if (pid == first)
				result = status_of(status);
			continue;
		}
		signal = WSTOPSIG(status);
		if (signal == (SIGTRAP | 0x80)) {
			t->is_inside = !t->is_inside;
			if (t->is_inside)
				enter(t);
			else
				leave(t);
			signal = 0;
		} else if (status >> 16 == PTRACE_EVENT_EXIT && mode == PEAK) {
			tell_peak(pid);
			signal = 0;
		} else if (status >> 16 || signal == SIGSTOP || signal == SIGTRAP) {
			signal = 0;	/* an event, or a new child's first stop */
		}
		ptrace(mode == PEAK ? PTRACE_CONT : PTRACE_SYSCALL, pid, 0, signal);
	}
	return result;
}

static int words(int argc, char **argv)
{
	static const struct {
		const char *name;
		enum mode mode;
		int args;
	} modes[] = { { "count", COUNT, 3 }, { "fail", FAIL, 5 }, { "nosync", NOSYNC, 3 }, { "mark", MARK, 3 }, { "peak", PEAK, 3 },
		{ "count-more", COUNT_MORE, 3 }, { "fail-more", FAIL_MORE, 5 } };

	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		if (argc > modes[i].args && strcmp(argv[1], modes[i].name) == 0) {
			is_more = modes[i].mode >= COUNT_MORE;
			mode = modes[i].mode == COUNT_MORE ? COUNT : modes[i].mode == FAIL_MORE ? FAIL : modes[i].mode;
			return modes[i].args;
		}
	return 0;
}

int main(int argc, char **argv)
{
	int first = words(argc, argv), result;
	pid_t pid;

	if (!first)
		return 125;
	if (mode == FAIL) {
		wanted = atol(argv[2]);
		error = atol(argv[3]);
	}
	if (mode == MARK)
		mark_fd = open(argv[first - 1], O_WRONLY | O_CLOEXEC);
	else
		report = fopen(argv[first - 1], "we");
	if (mode == MARK ? mark_fd < 0 : !report)
		return 125;
	pid = fork();
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		execv(argv[first], argv + first);
		_exit(125);
	}
	waitpid(pid, &result, 0);
	ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
		PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL | (mode == PEAK ? PTRACE_O_TRACEEXIT : 0));
	ptrace(mode == PEAK ? PTRACE_CONT : PTRACE_SYSCALL, pid, 0, 0);
	result = run(pid);
	if (mode == COUNT)
		fprintf(report, "%ld CALLS\n", serial);
	return result;
}
