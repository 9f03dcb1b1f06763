/* SPDX-License-Identifier: MIT */
/*
 * The floor of bench-start: makes the same kernel objects as the bundle of the bench (namespaces, mounts, nodes, masks,
 * capabilities) with constants instead of a configuration, and nothing else. What a container runtime
 * costs above this is its own.
 *
 *	start_floor ROOTFS PROGRAM [ARG...]		status: the program's
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

int unshare(int flags);

#define MUST(call) ({ long r_ = (call); if (r_ < 0) { perror(#call); _exit(125); } (int)r_; })

#include "start_floor_cgroup.h"

static const char *const masked[] = {
	"proc/acpi", "proc/asound", "proc/interrupts", "proc/kcore", "proc/keys", "proc/latency_stats", "proc/timer_list",
	"proc/timer_stats", "proc/sched_debug", "sys/firmware", "sys/devices/virtual/powercap", "proc/scsi",
};
static const char *const readonly[] = { "proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger" };
static const struct { const char *path; unsigned major, minor; } nodes[] = {
	{ "dev/null", 1, 3 }, { "dev/zero", 1, 5 }, { "dev/full", 1, 7 }, { "dev/random", 1, 8 }, { "dev/urandom", 1, 9 },
	{ "dev/tty", 5, 0 },
};

static void make_dev(void)
{
	umask(0);
	MUST(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"));
	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
		MUST(mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)));
	MUST(mkdir("dev/pts", 0755));
	MUST(mkdir("dev/shm", 0755));
	MUST(mkdir("dev/mqueue", 0755));
	MUST(symlink("/proc/self/fd", "dev/fd"));
	MUST(symlink("/proc/self/fd/0", "dev/stdin"));
	MUST(symlink("/proc/self/fd/1", "dev/stdout"));
	MUST(symlink("/proc/self/fd/2", "dev/stderr"));
	MUST(symlink("pts/ptmx", "dev/ptmx"));
	umask(022);
}

static void make_mounts(void)
{
	unsigned long strict = MS_NOSUID | MS_NOEXEC | MS_NODEV;

	MUST(mount("proc", "proc", "proc", strict, NULL));
	make_dev();
	MUST(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"));
	MUST(mount("shm", "dev/shm", "tmpfs", strict, "mode=1777,size=65536k"));
	MUST(mount("mqueue", "dev/mqueue", "mqueue", strict, NULL));
	MUST(mount("sysfs", "sys", "sysfs", strict | MS_RDONLY, NULL));
	if (cgroup_fd >= 0)
		MUST(mount("cgroup", "sys/fs/cgroup", "cgroup2", strict | MS_RDONLY, NULL));
	else
		MUST(mount("cgroup", "sys/fs/cgroup", "tmpfs", strict | MS_RDONLY, "mode=555,size=4k,nr_inodes=2"));
	for (size_t i = 0; i < sizeof(readonly) / sizeof(readonly[0]); i++) {
		if (mount(readonly[i], readonly[i], NULL, MS_BIND | MS_REC, NULL) < 0)
			continue;
		MUST(mount(NULL, readonly[i], NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | strict, NULL));
	}
	for (size_t i = 0; i < sizeof(masked) / sizeof(masked[0]); i++) {
		struct stat st;

		if (lstat(masked[i], &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			MUST(mount("masked", masked[i], "tmpfs", MS_RDONLY | strict, "mode=555,size=4k,nr_inodes=2"));
		else
			MUST(mount("dev/null", masked[i], NULL, MS_BIND, NULL));
	}
}

static void drop(void)
{
	const uint64_t keep = 1u << CAP_KILL | 1u << CAP_NET_BIND_SERVICE | 1u << CAP_AUDIT_WRITE;
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct set[2] = { { (uint32_t)keep, (uint32_t)keep, 0 }, { 0, 0, 0 } };
	struct rlimit files = { 512, 1024 };

	for (int cap = 0; cap < 64; cap++)
		if (!(keep >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			break;
	MUST(setrlimit(RLIMIT_NOFILE, &files));
	MUST(syscall(SYS_capset, &head, set));
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static void child(const char *root, char **argv)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char *env[] = { "PATH=/usr/bin:/bin:/", "TERM=xterm", NULL };

	MUST(ioctl(s, SIOCSIFFLAGS, &lo));
	MUST(sethostname("boxed", 5));
	setsid();
	MUST(unshare(CLONE_NEWCGROUP));
	MUST(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL));
	MUST(mount(root, root, NULL, MS_BIND, NULL));
	MUST(chdir(root));
	make_mounts();
	MUST(mount(NULL, ".", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV, NULL));
	MUST(syscall(SYS_pivot_root, ".", "."));
	MUST(umount2(".", MNT_DETACH));
	MUST(chdir("/"));
	drop();
	MUST(syscall(SYS_close_range, 3u, ~0u, 4u));
	execve(argv[0], argv, env);
	_exit(127);
}

int main(int argc, char **argv)
{
	struct clone_args a = {
		.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
		.exit_signal = 17,
	};
	int status;
	long pid;

	if (argc < 3)
		return 2;
	cgroup_begin();
	cgroup_clone(&a);
	pid = syscall(SYS_clone3, &a, sizeof(a));
	if (pid == 0)
		child(argv[1], argv + 2);
	if (pid < 0 || waitpid((pid_t)pid, &status, 0) < 0)
		return 125;
	cgroup_end();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
