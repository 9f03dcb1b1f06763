/* SPDX-License-Identifier: MIT */
/*
 * Words for hand-written seccomp allow-lists of our own jails. A filter is
 *   FILTER_BEGIN, FILTER_ALLOW(read), ..., FILTER_END
 * The architecture is checked first, x32 numbers die, all else kills the process.
 */
#ifndef CORACLE_FILTER_H
#define CORACLE_FILTER_H

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define FILTER_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_ARCH AUDIT_ARCH_AARCH64
#elif defined(__arm__)
#define FILTER_ARCH AUDIT_ARCH_ARM
#else
#error "no seccomp architecture for this target"
#endif

#define FILTER_KILL BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
#define FILTER_BEGIN \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)), \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCH, 1, 0), \
	FILTER_KILL, \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)), \
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), \
	FILTER_KILL
#define FILTER_ALLOW_NR(nr) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), \
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define FILTER_ALLOW(name) FILTER_ALLOW_NR(SYS_##name)
/* Asked for by a library that can do without: refused with an errno instead of a death. */
#define FILTER_REFUSE_NR(nr, errnum) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), \
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (errnum))
#define FILTER_END FILTER_KILL

/* What a static musl program needs to come up, work in memory and leave. */
#if defined(__x86_64__)
#define FILTER_START_ARCH FILTER_ALLOW(arch_prctl), FILTER_ALLOW(mmap), FILTER_ALLOW(fstat)
#elif defined(__aarch64__)
#define FILTER_START_ARCH FILTER_ALLOW(mmap), FILTER_ALLOW(fstat)
#else
#define FILTER_START_ARCH FILTER_ALLOW_NR(0x0f0005) /* set_tls */, FILTER_ALLOW_NR(0x0f0002) /* cacheflush */, \
	FILTER_ALLOW(mmap2), FILTER_ALLOW(fstat64), FILTER_ALLOW(statx) /* musl's fstat */, FILTER_ALLOW(clock_gettime64), \
	FILTER_ALLOW(fcntl64), FILTER_ALLOW(futex_time64)
#endif
/* One idea, other names: *_any is what this target's C library calls. 32-bit targets have calls with 64-bit times, sizes and 32-bit ids beside the old ones. */
#ifdef SYS_ppoll_time64
#define SYS_ppoll_any SYS_ppoll_time64
#define SYS_pselect_any SYS_pselect6_time64
#define SYS_adjtime_any SYS_clock_adjtime64
#define SYS_settime_any SYS_clock_settime64
#define SYS_recvmmsg_any SYS_recvmmsg_time64
#define SYS_nanosleep_any SYS_clock_nanosleep_time64
#define SYS_utimensat_any SYS_utimensat_time64
#define SYS_getuid_any SYS_getuid32
#define SYS_geteuid_any SYS_geteuid32
#define SYS_getgid_any SYS_getgid32
#define SYS_getegid_any SYS_getegid32
#define SYS_fchown_any SYS_fchown32
#define SYS_ftruncate_any SYS_ftruncate64
#define SYS_fcntl_any SYS_fcntl64
#define SYS_lseek_any SYS__llseek
#define SYS_fstatat_any SYS_fstatat64
#else
#define SYS_ppoll_any SYS_ppoll
#define SYS_pselect_any SYS_pselect6
#define SYS_adjtime_any SYS_clock_adjtime
#define SYS_settime_any SYS_clock_settime
#define SYS_recvmmsg_any SYS_recvmmsg
#define SYS_nanosleep_any SYS_clock_nanosleep
#define SYS_utimensat_any SYS_utimensat
#define SYS_getuid_any SYS_getuid
#define SYS_geteuid_any SYS_geteuid
#define SYS_getgid_any SYS_getgid
#define SYS_getegid_any SYS_getegid
#define SYS_fchown_any SYS_fchown
#define SYS_ftruncate_any SYS_ftruncate
#define SYS_fcntl_any SYS_fcntl
#define SYS_lseek_any SYS_lseek
#define SYS_fstatat_any SYS_newfstatat
#endif
/* And *_old what it falls back to there, which musl names with 32 behind. */
#ifdef SYS_clock_gettime32
#define SYS_clock_gettime_old SYS_clock_gettime32
#define SYS_gettimeofday_old SYS_gettimeofday_time32
#define SYS_settimeofday_old SYS_settimeofday_time32
#else
#define SYS_clock_gettime_old SYS_clock_gettime
#define SYS_gettimeofday_old SYS_gettimeofday
#define SYS_settimeofday_old SYS_settimeofday
#endif
/* Calls that newer architectures lack. */
#ifdef SYS_poll
#define FILTER_POLL FILTER_ALLOW(poll), FILTER_ALLOW(ppoll), FILTER_ALLOW(ppoll_any)
#else
#define FILTER_POLL FILTER_ALLOW(ppoll), FILTER_ALLOW(ppoll_any)
#endif
#ifdef SYS_open
#define FILTER_OPEN FILTER_ALLOW(open), FILTER_ALLOW(openat)
#define FILTER_REFUSE_OPEN FILTER_REFUSE_NR(SYS_open, ENOENT), FILTER_REFUSE_NR(SYS_openat, ENOENT)
#else
#define FILTER_OPEN FILTER_ALLOW(openat)
#define FILTER_REFUSE_OPEN FILTER_REFUSE_NR(SYS_openat, ENOENT)
#endif
#define FILTER_START \
	FILTER_START_ARCH, FILTER_ALLOW(execveat), FILTER_ALLOW(set_tid_address), FILTER_ALLOW(brk), FILTER_ALLOW(munmap), \
	FILTER_ALLOW(mprotect), FILTER_ALLOW(mremap), FILTER_ALLOW(madvise), FILTER_ALLOW(read), FILTER_ALLOW(write), \
	FILTER_ALLOW(readv), FILTER_ALLOW(writev), FILTER_ALLOW(close), FILTER_ALLOW(exit_group), FILTER_ALLOW(exit), \
	FILTER_ALLOW(rt_sigaction), FILTER_ALLOW(rt_sigprocmask), FILTER_ALLOW(rt_sigreturn), \
	FILTER_ALLOW(clock_gettime_old), FILTER_ALLOW(futex), FILTER_ALLOW(restart_syscall), FILTER_ALLOW(ioctl), FILTER_ALLOW(fcntl)

#endif
