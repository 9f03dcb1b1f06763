/* SPDX-License-Identifier: MIT */
/* Tables only. The names are one text without pointers: nothing to relocate, and walked once for each name of a profile when it is compiled. */
#include "seccomp_arch.h"

#include <linux/audit.h>
#include <stddef.h>
#include <string.h>

static const char names[] =
#define SYSCALL(name, x86_64, i386, arm, aarch64) #name "\0"
#include "syscall_table.h"
#undef SYSCALL
	;

#if SECCOMP_HAS_X86
static const int16_t numbers_x86_64[] = {
#define SYSCALL(name, x86_64, i386, arm, aarch64) x86_64,
#include "syscall_table.h"
#undef SYSCALL
};
static const int16_t numbers_i386[] = {
#define SYSCALL(name, x86_64, i386, arm, aarch64) i386,
#include "syscall_table.h"
#undef SYSCALL
};
#endif
#if SECCOMP_HAS_ARM
static const int16_t numbers_arm[] = {
#define SYSCALL(name, x86_64, i386, arm, aarch64) arm,
#include "syscall_table.h"
#undef SYSCALL
};
static const int16_t numbers_aarch64[] = {
#define SYSCALL(name, x86_64, i386, arm, aarch64) aarch64,
#include "syscall_table.h"
#undef SYSCALL
};
#endif

static const struct seccomp_arch archs[] = {
#if SECCOMP_HAS_X86
	{ .name = "SCMP_ARCH_X86_64", .audit = AUDIT_ARCH_X86_64, .has_x32 = true, .numbers = numbers_x86_64 },
	{ .name = "SCMP_ARCH_X86", .audit = AUDIT_ARCH_I386, .is_32bit = true, .has_socketcall = true, .numbers = numbers_i386 },
#endif
#if SECCOMP_HAS_ARM
	{ .name = "SCMP_ARCH_AARCH64", .audit = AUDIT_ARCH_AARCH64, .numbers = numbers_aarch64 },
	{ .name = "SCMP_ARCH_ARM", .audit = AUDIT_ARCH_ARM, .is_32bit = true, .numbers = numbers_arm },
#endif
};

const struct seccomp_arch *seccomp_arch_native(void)
{
#if defined(__x86_64__)
	return seccomp_arch_find("SCMP_ARCH_X86_64");
#elif defined(__aarch64__)
	return seccomp_arch_find("SCMP_ARCH_AARCH64");
#elif defined(__arm__)
	return seccomp_arch_find("SCMP_ARCH_ARM");
#else
#error "no seccomp architecture for this target"
#endif
}

const struct seccomp_arch *seccomp_arch_find(const char *name)
{
	for (size_t i = 0; i < sizeof(archs) / sizeof(*archs); i++)
		if (strcmp(archs[i].name, name) == 0)
			return &archs[i];
	return NULL;
}

bool seccomp_arch_is_known(const char *name)
{
	static const char known[] = "X86\0X86_64\0X32\0ARM\0AARCH64\0MIPS\0MIPS64\0MIPS64N32\0MIPSEL\0MIPSEL64\0MIPSEL64N32\0PPC\0PPC64\0"
		"PPC64LE\0S390\0S390X\0PARISC\0PARISC64\0RISCV64\0LOONGARCH64\0M68K\0SH\0SHEB\0";

	if (strncmp(name, "SCMP_ARCH_", 10) != 0)
		return false;
	for (const char *k = known; *k; k += strlen(k) + 1)
		if (strcmp(k, name + 10) == 0)
			return true;
	return false;
}

int64_t seccomp_arch_number(const struct seccomp_arch *a, const char *name)
{
	size_t i = 0;

	for (const char *n = names; *n; n += strlen(n) + 1, i++)
		if (strcmp(n, name) == 0)
			return a->numbers[i] >= 0x4000 ? 0x0f0000 + (a->numbers[i] - 0x4000) : a->numbers[i];
	return -1;
}
