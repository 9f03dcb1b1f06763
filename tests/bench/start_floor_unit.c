/* SPDX-License-Identifier: MIT */
/*
 * The floor of bench-start's second row: the same kernel objects as a unit's default container (user namespace, five id-mapped layers, overlay,
 * /dev with nodes, masks, seccomp filter) with constants instead of a record. No checks beyond what the kernel answers, no reports, no child of
 * somebody else's.
 *
 *	start_floor_unit STORE ID_FIRST FILTER PROGRAM [ARG...]		STORE/layers/l0 ... l4; FILTER: a file of struct sock_filter
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

int unshare(int flags);
int clone(int (*main)(void *), void *stack, int flags, void *arg, ...);
int mount(const char *from, const char *to, const char *type, unsigned long flags, const void *data);
int setgroups(size_t count, const gid_t *list);

#define MUST(call) ({ long r_ = (call); if (r_ < 0) { perror(#call); _exit(125); } (int)r_; })

#include "start_floor_cgroup.h"

enum { LAYERS = 5, STRICT = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV };

static const char *const masked[] = {
	"proc/acpi", "proc/asound", "proc/interrupts", "proc/kcore", "proc/keys", "proc/latency_stats", "proc/timer_list",
	"proc/timer_stats", "proc/sched_debug", "sys/firmware", "sys/devices/virtual/powercap", "proc/scsi",
};
static const char *const readonly[] = { "proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger" };
static const struct { const char *path; unsigned major, minor; } nodes[] = {
	{ "null", 1, 3 }, { "zero", 1, 5 }, { "full", 1, 7 }, { "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 },
};
static const struct { const char *name, *to; } links[] = {
	{ "fd", "/proc/self/fd" }, { "stdin", "/proc/self/fd/0" }, { "stdout", "/proc/self/fd/1" }, { "stderr", "/proc/self/fd/2" }, { "ptmx", "pts/ptmx" },
};
static struct sock_filter code[4096];
static int code_len;

static int fs_new(const char *type, const char *const *options, unsigned attr)
{
	int fs = MUST(syscall(SYS_fsopen, type, 1)), fd;

	for (; options && *options; options += 2)
		MUST(syscall(SYS_fsconfig, fs, options[1] ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, options[0], options[1], 0));
	MUST(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	fd = MUST(syscall(SYS_fsmount, fs, 1, attr));
	close(fs);
	return fd;
}

static void put(int fd, int root, const char *at)
{
	MUST(syscall(SYS_move_mount, fd, "", root, at, MOVE_MOUNT_F_EMPTY_PATH));
}

static int hold(void *unused)
{
	(void)unused;
	pause();
	return 0;
}

static void write_maps(int pid, const char *map)
{
	static const char *const names[] = { "uid_map", "gid_map" };
	char path[64];

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, names[i]);
		int fd = MUST(open(path, O_WRONLY));

		MUST(write(fd, map, strlen(map)));
		close(fd);
	}
}

static int make_userns(const char *map)
{
	static _Alignas(16) char stack[4096];
	char path[64];
	int pid = MUST(clone(hold, stack + sizeof(stack), CLONE_VM | CLONE_NEWUSER, NULL)), fd;

	write_maps(pid, map);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	fd = MUST(open(path, O_RDONLY | O_CLOEXEC));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0x40000000);
	return fd;
}

static int make_layer(const char *store, int i, int userns)
{
	struct mount_attr a = { .attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, .userns_fd = (uint64_t)userns, .propagation = 1 << 18 };
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/layers/l%d", store, i);
	fd = MUST(syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
	MUST(syscall(SYS_mount_setattr, fd, "", 0x1000, &a, sizeof(a)));
	return fd;
}

/* From kernel 6.15. */
static int make_root_by_fd(const int layer[LAYERS])
{
	int fs = MUST(syscall(SYS_fsopen, "overlay", 1)), fd;

	for (int i = 0; i < LAYERS; i++)
		MUST(syscall(SYS_fsconfig, fs, FSCONFIG_SET_FD, "lowerdir+", NULL, layer[i]));
	MUST(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	fd = MUST(syscall(SYS_fsmount, fs, 1, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV));
	close(fs);
	return fd;
}

/* Before it layers have to be attached somewhere, in a mount namespace of this process's own. */
static int make_root_by_name(const int layer[LAYERS])
{
	char name[] = "0";
	int tmpfs, fd;

	MUST(unshare(CLONE_NEWNS));
	MUST(mount(NULL, "/", NULL, 1 << 19 | 1 << 14, NULL));		/* MS_SLAVE, MS_REC */
	tmpfs = fs_new("tmpfs", NULL, 0);
	put(tmpfs, AT_FDCWD, "/tmp");
	for (int i = 0; i < LAYERS; i++, name[0]++) {
		MUST(mkdirat(tmpfs, name, 0700));
		put(layer[i], tmpfs, name);
	}
	MUST(fchdir(tmpfs));
	MUST(mkdir("r", 0700));
	MUST(mount("overlay", "r", "overlay", 1 | 4, "lowerdir=0:1:2:3:4"));	/* MS_RDONLY, MS_NODEV */
	fd = MUST(syscall(SYS_open_tree, AT_FDCWD, "r", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
	MUST(syscall(SYS_umount2, ".", 2));
	close(tmpfs);
	MUST(chdir("/"));
	return fd;
}

static int make_root(const char *store, int userns)
{
	int layer[LAYERS], fd;

	for (int i = 0; i < LAYERS; i++)
		layer[i] = make_layer(store, i, userns);
	fd = getenv("FLOOR_BY_NAME") ? make_root_by_name(layer) : make_root_by_fd(layer);
	for (int i = 0; i < LAYERS; i++)
		close(layer[i]);
	return fd;
}

static int make_dev(unsigned first)
{
	static const char *const options[] = { "mode", "755", "size", "64k", NULL };
	int fd;

	MUST(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0));
	setfsgid(first);
	setfsuid(first);
	fd = fs_new("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	umask(0);
	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
		MUST(mknodat(fd, nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)));
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		MUST(symlinkat(links[i].to, fd, links[i].name));
	MUST(mkdirat(fd, "pts", 0755));
	MUST(mkdirat(fd, "shm", 0755));
	MUST(mkdirat(fd, "mqueue", 0755));
	umask(022);
	return fd;
}

static void make_mounts(int root, int dev)
{
	static const char *const pts[] = { "ptmxmode", "0666", "mode", "0620", "gid", "5", NULL };
	static const char *const shm[] = { "mode", "1777", "size", "65536k", NULL };
	static const char *const small[] = { "mode", "555", "size", "4k", "nr_inodes", "2", NULL };
	struct mount_attr ro = { .attr_set = MOUNT_ATTR_RDONLY };
	int null, empty = -1;

	put(root, AT_FDCWD, "/");
	put(fs_new("proc", NULL, STRICT), root, "proc");
	put(dev, root, "dev");
	put(fs_new("devpts", pts, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC), root, "dev/pts");
	put(fs_new("tmpfs", shm, STRICT), root, "dev/shm");
	put(fs_new("mqueue", NULL, STRICT), root, "dev/mqueue");
	put(fs_new("sysfs", NULL, STRICT | MOUNT_ATTR_RDONLY), root, "sys");
	put(cgroup_fd >= 0 ? fs_new("cgroup2", NULL, STRICT | MOUNT_ATTR_RDONLY) : fs_new("tmpfs", small, STRICT | MOUNT_ATTR_RDONLY), root, "sys/fs/cgroup");
	for (size_t i = 0; i < sizeof(readonly) / sizeof(readonly[0]); i++) {
		int fd = (int)syscall(SYS_open_tree, root, readonly[i], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | 0x8000);

		if (fd < 0)
			continue;
		MUST(syscall(SYS_mount_setattr, fd, "", 0x1000, &ro, sizeof(ro)));
		put(fd, root, readonly[i]);
		close(fd);
	}
	null = MUST(openat(dev, "null", O_PATH | O_CLOEXEC));
	for (size_t i = 0; i < sizeof(masked) / sizeof(masked[0]); i++) {
		struct stat st;

		if (fstatat(root, masked[i], &st, 0) < 0)
			continue;
		if (!S_ISDIR(st.st_mode)) {
			put(MUST(syscall(SYS_open_tree, null, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | 0x1000)), root, masked[i]);
		} else if (empty < 0) {
			empty = fs_new("tmpfs", small, STRICT | MOUNT_ATTR_RDONLY);
			put(empty, root, masked[i]);
		} else {
			put(MUST(syscall(SYS_open_tree, empty, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | 0x1000)), root, masked[i]);
		}
	}
}

static void drop(void)
{
	const uint64_t keep = 1u << CAP_KILL | 1u << CAP_NET_BIND_SERVICE | 1u << CAP_AUDIT_WRITE;
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct set[2] = { { (uint32_t)keep, (uint32_t)keep, 0 }, { 0, 0, 0 } };
	struct rlimit files = { 512, 1024 };
	struct sock_fprog prog = { (unsigned short)code_len, code };

	for (int cap = 0; cap < 64; cap++)
		if (!(keep >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			break;
	MUST(setrlimit(RLIMIT_NOFILE, &files));
	MUST(setgroups(0, NULL));
	MUST(syscall(SYS_capset, &head, set));
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(syscall(SYS_close_range, 3u, ~0u, 4u));
	MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog));
}

static void child(int go, int root, int dev, char **argv)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	char *env[] = { "PATH=/usr/bin:/bin:/", "TERM=xterm", NULL };
	char byte;

	if (read(go, &byte, 1) != 1)
		_exit(125);
	MUST(setresgid(0, 0, 0));
	MUST(setresuid(0, 0, 0));
	MUST(ioctl(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), SIOCSIFFLAGS, &lo));
	MUST(sethostname("boxed", 5));
	setsid();
	if (cgroup_fd >= 0)
		MUST(unshare(CLONE_NEWCGROUP));
	make_mounts(root, dev);
	MUST(fchdir(root));
	MUST(syscall(SYS_pivot_root, ".", "."));
	MUST(syscall(SYS_umount2, ".", 2));
	MUST(chdir("/"));
	drop();
	execve(argv[0], argv, env);
	_exit(127);
}

int main(int argc, char **argv)
{
	struct clone_args a = {
		.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS, .exit_signal = 17,
	};
	unsigned first;
	char map[64];
	int go[2], fd, userns, root, dev, status;
	long pid;

	if (argc < 5)
		return 2;
	first = (unsigned)strtoul(argv[2], NULL, 10);
	snprintf(map, sizeof(map), "0 %u 65536\n", first);
	fd = MUST(open(argv[3], O_RDONLY | O_CLOEXEC));
	code_len = MUST(read(fd, code, sizeof(code))) / (int)sizeof(code[0]);
	userns = make_userns(map);
	root = make_root(argv[1], userns);
	dev = make_dev(first);
	MUST(pipe2(go, O_CLOEXEC));
	cgroup_begin();
	cgroup_clone(&a);
	pid = syscall(SYS_clone3, &a, sizeof(a));
	if (pid == 0)
		child(go[0], root, dev, argv + 4);
	MUST(pid);
	setfsuid(0);
	write_maps((int)pid, map);
	MUST(write(go[1], "g", 1));
	if (waitpid((pid_t)pid, &status, 0) < 0)
		return 125;
	cgroup_end();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
