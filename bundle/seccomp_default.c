/* SPDX-License-Identifier: MIT */
/*
 * The default seccomp profile as tables, by what calls are for. Left out on purpose, beside what needs a capability: io_uring, userfaultfd, keyrings,
 * bpf, perf, modify_ldt, ptrace, foreign memory, file handles, address families beyond the list (AF_ALG: CVE-2026-31431; AF_VSOCK).
 *
 * Arguments that the kernel takes as int are compared under a 32-bit mask: a plain 64-bit comparison is passed by setting a bit above, which the kernel
 * then throws away.
 */
#include "seccomp_default.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/socket.h>

static const char *const always[] = {
	/* a process: begin, end, itself */
	"execve", "execveat", "exit", "exit_group", "fork", "vfork", "wait4", "waitid", "waitpid", "getpid", "getppid", "gettid",
	"getpgrp", "getpgid", "setpgid", "getsid", "setsid", "prctl", "arch_prctl", "set_tid_address", "set_thread_area", "get_thread_area",
	"set_tls", "get_tls", "set_robust_list", "get_robust_list", "rseq", "membarrier", "uname", "sysinfo", "getrusage", "times", "umask",
	"getcpu", "seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "getrandom", "capget", "capset",
	"riscv_hwprobe", "uretprobe", "pidfd_open", "pidfd_send_signal",
	/* memory */
	"brk", "mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise", "mincore", "msync", "mlock", "mlock2", "mlockall", "munlock",
	"munlockall", "memfd_create", "memfd_secret", "mseal", "pkey_alloc", "pkey_free", "pkey_mprotect", "map_shadow_stack",
	"cacheflush", "breakpoint", "process_mrelease", "get_mempolicy",
	/* users and limits; changing needs a capability, which the kernel checks */
	"getuid", "getuid32", "geteuid", "geteuid32", "getgid", "getgid32", "getegid", "getegid32", "getresuid", "getresuid32", "getresgid",
	"getresgid32", "getgroups", "getgroups32", "setuid", "setuid32", "setgid", "setgid32", "setreuid", "setreuid32", "setregid",
	"setregid32", "setresuid", "setresuid32", "setresgid", "setresgid32", "setgroups", "setgroups32", "setfsuid", "setfsuid32",
	"setfsgid", "setfsgid32", "getrlimit", "ugetrlimit", "setrlimit", "prlimit64", "getpriority", "setpriority", "ioprio_get",
	"ioprio_set",
	/* scheduling */
	"sched_yield", "sched_getaffinity", "sched_setaffinity", "sched_getscheduler", "sched_setscheduler", "sched_getparam",
	"sched_setparam", "sched_getattr", "sched_setattr", "sched_get_priority_min", "sched_get_priority_max", "sched_rr_get_interval",
	"sched_rr_get_interval_time64",
	/* signals */
	"rt_sigaction", "rt_sigprocmask", "rt_sigpending", "rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_sigqueueinfo",
	"rt_tgsigqueueinfo", "rt_sigreturn", "sigreturn", "sigaltstack", "sigaction", "sigprocmask", "sigpending", "sigsuspend", "kill",
	"tkill", "tgkill", "pause", "restart_syscall", "signalfd", "signalfd4",
	/* time */
	"time", "gettimeofday", "clock_gettime", "clock_gettime64", "clock_getres", "clock_getres_time64", "clock_nanosleep",
	"clock_nanosleep_time64", "nanosleep", "alarm", "getitimer", "setitimer", "timer_create", "timer_delete", "timer_settime",
	"timer_settime64", "timer_gettime", "timer_gettime64", "timer_getoverrun", "timerfd_create", "timerfd_settime",
	"timerfd_settime64", "timerfd_gettime", "timerfd_gettime64",
	/* locks and waiting */
	"futex", "futex_time64", "futex_wait", "futex_wake", "futex_requeue", "futex_waitv", "poll", "ppoll", "ppoll_time64", "select",
	"_newselect", "pselect6", "pselect6_time64", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait",
	"epoll_pwait2", "eventfd", "eventfd2", "inotify_init", "inotify_init1", "inotify_add_watch", "inotify_rm_watch",
	/* open files */
	"open", "openat", "openat2", "creat", "close", "close_range", "dup", "dup2", "dup3", "fcntl", "fcntl64", "ioctl", "flock", "read",
	"readv", "pread64", "preadv", "preadv2", "write", "writev", "pwrite64", "pwritev", "pwritev2", "lseek", "_llseek", "sendfile",
	"sendfile64", "copy_file_range", "splice", "tee", "vmsplice", "readahead", "fadvise64", "fadvise64_64", "arm_fadvise64_64",
	"fallocate", "truncate", "truncate64", "ftruncate", "ftruncate64", "fsync", "fdatasync", "sync", "syncfs", "sync_file_range",
	"sync_file_range2", "arm_sync_file_range", "pipe", "pipe2", "cachestat", "io_setup", "io_submit", "io_getevents", "io_pgetevents",
	"io_pgetevents_time64", "io_cancel", "io_destroy",
	/* names and attributes */
	"stat", "stat64", "lstat", "lstat64", "fstat", "fstat64", "fstatat64", "newfstatat", "statx", "statfs", "statfs64", "fstatfs",
	"fstatfs64", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getdents", "getdents64", "getcwd", "chdir", "fchdir",
	"mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat",
	"mknod", "mknodat", "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "chown32", "fchown", "fchown32", "lchown", "lchown32",
	"fchownat", "utime", "utimes", "futimesat", "utimensat", "utimensat_time64", "getxattr", "lgetxattr", "fgetxattr", "getxattrat",
	"setxattr", "lsetxattr", "fsetxattr", "setxattrat", "listxattr", "llistxattr", "flistxattr", "listxattrat", "removexattr",
	"lremovexattr", "fremovexattr", "removexattrat",
	/* sockets that exist */
	"bind", "listen", "accept", "accept4", "connect", "shutdown", "getsockname", "getpeername", "getsockopt", "setsockopt", "send",
	"sendto", "sendmsg", "sendmmsg", "recv", "recvfrom", "recvmsg", "recvmmsg", "recvmmsg_time64",
	/* messages between processes of the ipc namespace */
	"mq_open", "mq_unlink", "mq_timedsend", "mq_timedsend_time64", "mq_timedreceive", "mq_timedreceive_time64", "mq_notify",
	"mq_getsetattr", "msgget", "msgsnd", "msgrcv", "msgctl", "semget", "semop", "semtimedop", "semtimedop_time64", "semctl", "shmget",
	"shmat", "shmdt", "shmctl", NULL,
};

static const struct {
	int cap;
	const char *const names[24];
} by_capability[] = {
	{ CAP_SYS_ADMIN, { "mount", "umount", "umount2", "mount_setattr", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick",
		"setns", "unshare", "sethostname", "setdomainname", "bpf", "perf_event_open", "fanotify_init", "fanotify_mark", "quotactl",
		"syslog", "statmount", "listmount", NULL } },
	{ CAP_SYS_CHROOT, { "chroot", NULL } },
	{ CAP_SYS_TIME, { "settimeofday", "clock_settime", "clock_settime64", "stime", "adjtimex", "clock_adjtime", "clock_adjtime64", NULL } },
	{ CAP_SYS_BOOT, { "reboot", NULL } },
	{ CAP_SYS_MODULE, { "init_module", "finit_module", "delete_module", NULL } },
	{ CAP_SYS_PTRACE, { "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd", NULL } },
	{ CAP_SYS_RAWIO, { "ioperm", "iopl", NULL } },
	{ CAP_SYS_NICE, { "mbind", "set_mempolicy", "set_mempolicy_home_node", "migrate_pages", "move_pages", NULL } },
	{ CAP_SYS_PACCT, { "acct", NULL } },
	{ CAP_SYS_TTY_CONFIG, { "vhangup", NULL } },
	{ CAP_SYSLOG, { "syslog", NULL } },
	{ CAP_DAC_READ_SEARCH, { "open_by_handle_at", "name_to_handle_at", NULL } },
	{ CAP_BPF, { "bpf", NULL } },
	{ CAP_PERFMON, { "perf_event_open", NULL } },
};

/* Packet sockets need CAP_NET_RAW, which the kernel checks; CAN is what field buses speak. */
static const uint64_t families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_CAN };
/* PER_LINUX, PER_LINUX32, each also with UNAME26, and the question which one it is. */
static const uint64_t personalities[] = { 0, 8, 0x20000, 0x20008, 0xffffffff };

enum { NAMESPACE_FLAGS = 0x7e020000 };	/* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET */

static void begin_group(struct json_out *o, const char *const *names, const char *action)
{
	json_out_object(o, NULL);
	json_out_texts(o, "names", names);
	json_out_text(o, "action", action);
}

static void allow(struct json_out *o, const char *const *names)
{
	begin_group(o, names, "SCMP_ACT_ALLOW");
	json_out_close(o, '}');
}

/* Allows NAME where (argument 0 & MASK) == VALUE. */
static void allow_masked(struct json_out *o, const char *name, uint64_t mask, uint64_t value)
{
	const char *const names[] = { name, NULL };

	begin_group(o, names, "SCMP_ACT_ALLOW");
	json_out_array(o, "args");
	json_out_object(o, NULL);
	json_out_uint(o, "index", 0);
	json_out_uint(o, "value", mask);
	json_out_uint(o, "valueTwo", value);
	json_out_text(o, "op", "SCMP_CMP_MASKED_EQ");
	json_out_close(o, '}');
	json_out_close(o, ']');
	json_out_close(o, '}');
}

static void architectures(struct json_out *o, const char *architecture)
{
	json_out_array(o, "architectures");
	if (strcmp(architecture, "amd64") == 0)
		json_out_text(o, NULL, "SCMP_ARCH_X86_64");
	else if (strcmp(architecture, "arm64") == 0)
		json_out_text(o, NULL, "SCMP_ARCH_AARCH64");
	/* 64-bit boards run 32-bit programs too. */
	if (strncmp(architecture, "arm", 3) == 0)
		json_out_text(o, NULL, "SCMP_ARCH_ARM");
	json_out_close(o, ']');
}

static void clones(struct json_out *o, uint64_t caps)
{
	static const char *const both[] = { "clone", "clone3", NULL }, *const three[] = { "clone3", NULL };

	if (caps >> CAP_SYS_ADMIN & 1) {
		allow(o, both);
		return;
	}
	allow_masked(o, "clone", NAMESPACE_FLAGS, 0);
	begin_group(o, three, "SCMP_ACT_ERRNO");
	json_out_uint(o, "errnoRet", ENOSYS);
	json_out_close(o, '}');
}

void seccomp_default(struct json_out *o, const char *key, const char *architecture, uint64_t caps)
{
	json_out_object(o, key);
	json_out_text(o, "defaultAction", "SCMP_ACT_ERRNO");
	json_out_uint(o, "defaultErrnoRet", EPERM);
	architectures(o, architecture);
	json_out_array(o, "syscalls");
	allow(o, always);
	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++)
		allow_masked(o, "socket", 0xffffffff, families[i]);
	allow_masked(o, "socketpair", 0xffffffff, AF_UNIX);
	for (size_t i = 0; i < sizeof(personalities) / sizeof(*personalities); i++)
		allow_masked(o, "personality", 0xffffffff, personalities[i]);
	clones(o, caps);
	for (size_t i = 0; i < sizeof(by_capability) / sizeof(*by_capability); i++)
		if (caps >> by_capability[i].cap & 1)
			allow(o, by_capability[i].names);
	json_out_close(o, ']');
	json_out_close(o, '}');
}
