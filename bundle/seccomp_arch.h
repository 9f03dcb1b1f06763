/* SPDX-License-Identifier: MIT */
/*
 * The architectures a seccomp filter of this target can meet: its own and, on a 64-bit one, the 32-bit one beside it; with the numbers of
 * their system calls (syscall_table.h).
 */
#ifndef CORACLE_SECCOMP_ARCH_H
#define CORACLE_SECCOMP_ARCH_H

#include <stdbool.h>
#include <stdint.h>

/* Tests set both, to have every architecture in one program. */
#if !defined(SECCOMP_HAS_X86) && !defined(SECCOMP_HAS_ARM)
#if defined(__x86_64__)
#define SECCOMP_HAS_X86 1
#define SECCOMP_HAS_ARM 0
#else
#define SECCOMP_HAS_X86 0
#define SECCOMP_HAS_ARM 1
#endif
#endif

struct seccomp_arch {
	const char *name;		/* as in config.json, "SCMP_ARCH_X86_64" */
	uint32_t audit;			/* AUDIT_ARCH_* */
	bool is_32bit;			/* arguments have 32 bits; what stands above them in a profile is cut off */
	bool has_x32;			/* numbers from 0x40000000 on are another interface, which is killed */
	bool has_socketcall;		/* sockets and SysV IPC also through one call whose arguments no filter can see */
	const int16_t *numbers;		/* in the order of the names */
};

enum { SECCOMP_ARCH_MAX = 2 };

/* The architecture that programs are compiled for. */
const struct seccomp_arch *seccomp_arch_native(void);
/* Of config.json's name; NULL for one that a program of this target cannot meet. */
const struct seccomp_arch *seccomp_arch_find(const char *name);
/* Is it a name of the runtime-spec ("Seccomp", architectures)? */
bool seccomp_arch_is_known(const char *name);
/* The number of system call NAME, or -1. */
int64_t seccomp_arch_number(const struct seccomp_arch *a, const char *name);

#endif
