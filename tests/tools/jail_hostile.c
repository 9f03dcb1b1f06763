/* SPDX-License-Identifier: MIT */
/*
 * A taken-over process, put into a jail by the real launcher with the real spec.
 *   jail_hostile SPEC ATTEMPT VICTIM_PID PORT     the launcher: SPEC net, layout, unpack, judge or resolve; "+open" behind SPEC lets every system call pass,
 *                                                 so that what the rest of the jail holds is seen without seccomp
 *   jail_hostile --inside ATTEMPT VICTIM PORT     the program in the jail: exit 0 the attempt worked, 1 it was refused, 42 for "nothing"
 * The launcher's exit status is the program's, 128 + signal where it was killed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "jail.h"
#include "judge.h"
#include "layout.h"
#include "net.h"
#include "resolve.h"
#include "unpack.h"

static int can_open(const char *path)
{
	return open(path, O_RDONLY) >= 0;
}

static int can_connect(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
}

static int can_read_memory(int pid)
{
	char byte;
	struct iovec mine = { &byte, 1 }, theirs = { (void *)0x400000, 1 };

	return process_vm_readv(pid, &mine, 1, &theirs, 1, 0) == 1 || errno == EFAULT;
}

static int attempt(const char *what, int victim, int port)
{
	if (strcmp(what, "nothing") == 0)
		_exit(42);
	if (strcmp(what, "open") == 0)
		return can_open("/etc/passwd") || can_open("/etc/resolv.conf") || can_open("/proc/self/status") || can_open("../etc/passwd");
	if (strcmp(what, "dotdot") == 0) {	/* out through a directory it was given */
		for (int fd = 0; fd < 16; fd++)
			if (openat(fd, "../../../../etc/passwd", O_RDONLY) >= 0 || openat(fd, "../../etc", O_RDONLY) >= 0)
				return 1;
		return 0;
	}
	if (strcmp(what, "write") == 0)
		return open("/file", O_WRONLY | O_CREAT, 0600) >= 0 || mkdir("/folder", 0700) == 0 || open("/etc/file", O_WRONLY | O_CREAT, 0600) >= 0;
	if (strcmp(what, "execute") == 0) {
		execl("/proc/self/exe", "again", (char *)NULL);
		return syscall(SYS_execveat, 0, "", (char *[]){ NULL }, (char *[]){ NULL }, 0x1000) == 0;
	}
	if (strcmp(what, "packet") == 0)
		return socket(AF_INET, SOCK_RAW, 1) >= 0 || socket(AF_PACKET, SOCK_RAW, 0) >= 0;
	if (strcmp(what, "connect") == 0)
		return can_connect(port);
	if (strcmp(what, "ptrace") == 0)
		return ptrace(PTRACE_ATTACH, victim, 0, 0) == 0;
	if (strcmp(what, "kill") == 0)
		return kill(victim, SIGKILL) == 0 || kill(1, 0) != 0 || kill(2, 0) == 0;
	if (strcmp(what, "memory") == 0)
		return can_read_memory(victim);
	if (strcmp(what, "mount") == 0)
		return mount("none", "/", "tmpfs", 0, NULL) == 0;
	if (strcmp(what, "mknod") == 0)
		return mknod("/disk", S_IFBLK | 0600, 0xfe00) == 0 || mknodat(UNPACK_STAGE_FD, "disk", S_IFBLK | 0600, 0xfe00) == 0;
	if (strcmp(what, "setuid") == 0)
		return setuid(0) == 0;
	return 1;
}

/* As bundle/layer_stage.c hands over the staging: a detached mount of just that directory. */
static int stage_clone(const char *dir)
{
	return (int)syscall(SYS_open_tree, AT_FDCWD, dir, 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC);
}

int main(int argc, char **argv)
{
	static struct sock_filter pass[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	char dir[] = "/tmp/jail_hostile.XXXXXX";
	struct jail jail = { 0, -1 };
	struct err e = { "" };
	struct jail_spec spec;
	struct jail_fd fds[2];
	size_t fds_len = 1;
	int exe, status;

	if (argc == 5 && strcmp(argv[1], "--inside") == 0)
		return !attempt(argv[2], atoi(argv[3]), atoi(argv[4]));
	if (argc != 5 || !mkdtemp(dir))
		return 2;
	if (strncmp(argv[1], "net", 3) == 0)
		net_jail_spec(&spec);
	else if (strncmp(argv[1], "layout", 6) == 0)
		layout_jail_spec(&spec);
	else if (strncmp(argv[1], "judge", 5) == 0)
		judge_jail_spec(&spec);
	else if (strncmp(argv[1], "resolve", 7) == 0)
		resolve_jail_spec(&spec);
	else if (strncmp(argv[1], "inflate", 7) == 0)
		inflate_jail_spec(&spec);
	else
		unpack_jail_spec(&spec);
	if (strstr(argv[1], "+open")) {
		spec.filter = pass;
		spec.filter_len = 1;
	}
	exe = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	fds[0] = (struct jail_fd){ 2, 2 };
	if (strncmp(argv[1], "unpack", 6) == 0) {
		fds[1] = (struct jail_fd){ stage_clone(dir), UNPACK_STAGE_FD };
		fds_len = 2;
	} else if (strncmp(argv[1], "layout", 6) == 0) {
		fds[1] = (struct jail_fd){ stage_clone(dir), NET_SOCKET_FD };
		fds_len = 2;
	}
	if (jail_start(&jail, &spec, exe, (char *[]){ argv[0], (char *)"--inside", argv[2], argv[3], argv[4], NULL }, fds, fds_len, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		rmdir(dir);
		return 3;
	}
	status = jail_wait(&jail, 20000);
	rmdir(dir);
	return status;
}
