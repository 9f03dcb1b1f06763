/* SPDX-License-Identifier: MIT */
/*
 * The launcher of jails. Runs as root in the trusted parent; between clone and
 * exec the child does system calls only. Input: a spec of ours; what runs in the jail
 * afterwards is believed in nothing.
 */
#include "jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"
#include "filter.h"

enum { HIGH_FD = 200, CAP_BITS = 64 };

/* For those that compute: what they read and write was handed to them. */
static const struct sock_filter least[] = {
	FILTER_BEGIN, FILTER_START, FILTER_REFUSE_NR(SYS_prctl, EPERM) /* libcap asks for the bounding set as it comes up */, FILTER_END,
};

/* What the child says where it could not come as far as the exec. */
struct failure {
	char step[48];
	int errnum;
};

static void fail(int report, const char *step)
{
	struct failure f = { .errnum = errno };

	memcpy(f.step, step, strlen(step) < sizeof(f.step) ? strlen(step) : sizeof(f.step) - 1);
	(void)!write(report, &f, sizeof(f));
	_exit(125);
}

static void need(int report, long result, const char *step)
{
	if (result < 0)
		fail(report, step);
}

static void write_files(int report, int root, const struct jail_spec *spec)
{
	for (size_t i = 0; i < spec->files_len; i++) {
		const struct jail_file *f = &spec->files[i];
		const char *slash = strchr(f->path, '/');
		char dir[64];
		int fd;

		if (slash && span_copy(span_of(f->path, (size_t)(slash - f->path)), dir, sizeof(dir)) &&
		    mkdirat(root, dir, 0755) < 0 && errno != EEXIST)
			fail(report, "making a directory of the root");
		fd = openat(root, f->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
		need(report, fd, "writing a file of the root");
		need(report, file_write_all(fd, f->data.at, f->data.len), "writing a file of the root");
		close(fd);
	}
}

/* An empty tmpfs becomes the root, then read-only; the old tree is gone from this mount namespace. */
static void enter_root(int report, const struct jail_spec *spec)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };
	int fs, root;

	need(report, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "making mounts private");
	fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	need(report, fs, "fsopen of tmpfs");
	need(report, syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "size", "4m", 0), "sizing the root");
	need(report, syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "mode", "755", 0), "mode of the root");
	need(report, syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), "creating the root");
	root = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	need(report, root, "mounting the root");
	write_files(report, root, spec);
	need(report, syscall(SYS_mount_setattr, root, "", AT_EMPTY_PATH, &attr, sizeof(attr)), "making the root read-only");
	need(report, syscall(SYS_move_mount, root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH), "attaching the root");
	need(report, fchdir(root), "entering the root");
	need(report, syscall(SYS_pivot_root, ".", "."), "pivot_root");
	need(report, umount2(".", MNT_DETACH), "leaving the old root");
	need(report, chdir("/"), "chdir to the root");
}

/* Moves every wanted descriptor out of the way first, so that no order of numbers can clobber another. */
static void place_fds(int report, const struct jail_fd *fds, size_t len, int null)
{
	bool is_given[3] = { false, false, false };

	for (size_t i = 0; i < len; i++)
		need(report, dup3(fds[i].fd, HIGH_FD + 10 + (int)i, O_CLOEXEC), "placing descriptors");
	for (size_t i = 0; i < len; i++) {
		need(report, dup2(HIGH_FD + 10 + (int)i, fds[i].as), "placing descriptors");
		if (fds[i].as < 3)
			is_given[fds[i].as] = true;
	}
	for (int fd = 0; fd < 3; fd++)
		if (!is_given[fd])
			need(report, dup2(null, fd), "placing descriptors");
}

static void limit(int report, int what, uint64_t max)
{
	struct rlimit r = { max, max };

	need(report, setrlimit(what, &r), "setting limits");
}

static void drop(int report, const struct jail_spec *spec)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	for (int cap = 0; cap < CAP_BITS; cap++)
		if (!(spec->caps >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL)
			fail(report, "dropping the bounding set");
	need(report, prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "keeping capabilities");
	need(report, syscall(SYS_setgroups, 0, NULL), "setgroups");
	need(report, syscall(SYS_setresgid, spec->uid, spec->uid, spec->uid), "setresgid");
	need(report, syscall(SYS_setresuid, spec->uid, spec->uid, spec->uid), "setresuid");
	for (int i = 0; i < 2; i++) {
		data[i].effective = data[i].permitted = data[i].inheritable = (uint32_t)(spec->caps >> 32 * i);
	}
	need(report, syscall(SYS_capset, &head, data), "capset");
	for (int cap = 0; cap < CAP_BITS; cap++)
		if (spec->caps >> cap & 1)
			need(report, prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0), "raising ambient capabilities");
	/* After the change of ids, which clears it. */
	need(report, prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "tying to the parent");
	need(report, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
}

static void child(int report, const struct jail_spec *spec, int exe_fd, char *const argv[],
	const struct jail_fd *fds, size_t fds_len)
{
	const struct sock_filter *filter = spec->filter ? spec->filter : least;
	struct sock_fprog prog = { .len = (unsigned short)(spec->filter ? spec->filter_len : sizeof(least) / sizeof(*least)),
		.filter = (struct sock_filter *)filter };
	char *const env[] = { NULL };
	sigset_t none;
	int null;

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	need(report, null, "opening /dev/null");
	report = fcntl(report, F_DUPFD_CLOEXEC, HIGH_FD);
	exe_fd = fcntl(exe_fd, F_DUPFD_CLOEXEC, HIGH_FD + 1);
	need(report, exe_fd, "keeping the program open");
	enter_root(report, spec);
	place_fds(report, fds, fds_len, null);
	limit(report, RLIMIT_CORE, 0);
	limit(report, RLIMIT_FSIZE, spec->file_size_max);
	if (spec->memory_max)
		limit(report, RLIMIT_AS, spec->memory_max);
	drop(report, spec);
	/* All beyond the named ones closes with the exec. */
	for (size_t i = 0; i < fds_len; i++)
		if (fcntl(fds[i].as, F_SETFD, 0) < 0)
			fail(report, "placing descriptors");
	syscall(SYS_close_range, HIGH_FD, ~0U, CLOSE_RANGE_CLOEXEC);
	for (int fd = 3; fd < HIGH_FD; fd++) {
		bool is_named = false;

		for (size_t i = 0; i < fds_len; i++)
			is_named |= fds[i].as == fd;
		if (!is_named)
			fcntl(fd, F_SETFD, FD_CLOEXEC);
	}
	if (spec->fds_max)
		limit(report, RLIMIT_NOFILE, spec->fds_max);
	need(report, prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0), "seccomp filter");
	syscall(SYS_execveat, exe_fd, "", argv, env, AT_EMPTY_PATH);
	fail(report, "exec");
}

int jail_start(struct jail *j, const struct jail_spec *spec, int exe_fd, char *const argv[],
	const struct jail_fd *fds, size_t fds_len, struct err *e)
{
	struct clone_args args = {
		.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD |
			(spec->host_network ? 0 : CLONE_NEWNET),
		.exit_signal = SIGCHLD,
		.pidfd = (uint64_t)(uintptr_t)&j->pidfd,
	};
	struct failure f = { .errnum = 0 };
	int report[2];
	ssize_t n;
	long pid;

	j->pid = 0;
	j->pidfd = -1;
	if (pipe2(report, O_CLOEXEC) < 0)
		return err_sys(e, errno, "%s jail", spec->name);
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		child(report[1], spec, exe_fd, argv, fds, fds_len);
	close(report[1]);
	if (pid < 0) {
		int errnum = errno;

		close(report[0]);
		return err_sys(e, errnum, "%s jail: clone", spec->name);
	}
	j->pid = (pid_t)pid;
	n = file_read_full(report[0], &f, sizeof(f));
	close(report[0]);
	if (n == 0)
		return 0;
	jail_kill(j);
	f.step[sizeof(f.step) - 1] = '\0';
	return err_sys(e, n == sizeof(f) ? f.errnum : EIO, "%s jail: %s", spec->name, f.step);
}

int jail_wait(struct jail *j, int timeout_ms)
{
	struct pollfd p = { .fd = j->pidfd, .events = POLLIN };
	int status, r;

	if (j->pid <= 0)
		return -ECHILD;
	do {
		r = poll(&p, 1, timeout_ms);
	} while (r < 0 && errno == EINTR);
	if (r == 0)
		kill(j->pid, SIGKILL);
	while ((r = waitpid(j->pid, &status, 0)) < 0 && errno == EINTR)
		;
	close(j->pidfd);
	j->pid = 0;
	j->pidfd = -1;
	if (r < 0)
		return -ECHILD;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void jail_kill(struct jail *j)
{
	if (j->pid <= 0)
		return;
	kill(j->pid, SIGKILL);
	jail_wait(j, -1);
}
