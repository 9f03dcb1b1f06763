/* SPDX-License-Identifier: MIT */
/*
 * bundle/seccomp_default.c and bundle/compile_seccomp.c together: the compiled filter is run here, instruction by instruction as the kernel would
 * (linux/filter.h), against single calls.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <cmocka.h>

#include "bundle_layers.h"
#include "compile.h"
#include "filter.h"
#include "seccomp_default.h"

#if defined(__x86_64__)
#define ARCHITECTURE "amd64"
#elif defined(__aarch64__)
#define ARCHITECTURE "arm64"
#else
#define ARCHITECTURE "arm"
#endif

static struct record_build built;
static struct bundle_layers layers = { .store = "/data", .count = 1, .layer = { "a" } };

static void compile_for(uint64_t caps)
{
	static const char frame[] = "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},\"process\":{\"args\":[\"/a\"],\"cwd\":\"/\"},"
		"\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],\"seccomp\":%s}}";
	struct json_out o = { .at = NULL };
	static char text[65536];
	struct err e = { "" };
	char *profile;
	size_t len;

	seccomp_default(&o, NULL, ARCHITECTURE, caps);
	assert_int_equal(json_out_end(&o, &profile, &len), 0);
	assert_true((size_t)snprintf(text, sizeof(text), frame, profile) < sizeof(text));
	free(profile);
	if (compile_config(span_str(text), &layers, "/b", &built, &e) < 0)
		fail_msg("%s", e.text);
	assert_true(built.head.seccomp.count > 50);
}

static uint32_t run(const struct seccomp_data *d)
{
	const struct sock_filter *f = record_items(&built.head, built.head.seccomp);
	uint32_t a = 0;

	for (uint32_t pc = 0; pc < built.head.seccomp.count; pc++) {
		const struct sock_filter *i = &f[pc];
		bool is_true;

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(i->k + 4 <= sizeof(*d) && i->k % 4 == 0);
			memcpy(&a, (const char *)d + i->k, 4);
			continue;
		case BPF_RET | BPF_K:
			return i->k;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			continue;
		case BPF_JMP | BPF_JA:
			pc += i->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			is_true = a == i->k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			is_true = a > i->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			is_true = a >= i->k;
			break;
		default:
			fail_msg("instruction %04x", i->code);
			return 0;
		}
		pc += is_true ? i->jt : i->jf;
	}
	fail_msg("the filter has no end");
	return 0;
}

static uint32_t call(long nr, uint64_t arg0)
{
	struct seccomp_data d = { .nr = (int)nr, .arch = FILTER_ARCH, .args = { arg0 } };

	return run(&d);
}

enum { REFUSED = SECCOMP_RET_ERRNO | EPERM, ALLOW = (int)SECCOMP_RET_ALLOW };

static void ordinary_calls_pass(void **state)
{
	static const long calls[] = {
		SYS_read, SYS_write, SYS_openat, SYS_execve, SYS_exit_group, SYS_futex, SYS_getrandom, SYS_rt_sigreturn, SYS_connect, SYS_bind,
		SYS_statx, SYS_getdents64, SYS_close_range, SYS_mprotect, SYS_kill, SYS_wait4, SYS_eventfd2, SYS_timerfd_create, SYS_prctl,
	};

	(void)state;
	compile_for(0);
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		assert_int_equal(call(calls[i], 0), ALLOW);
}

static void dangerous_calls_do_not(void **state)
{
	static const long calls[] = {
		SYS_mount, SYS_umount2, SYS_pivot_root, SYS_setns, SYS_unshare, SYS_ptrace, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_keyctl,
		SYS_add_key, SYS_request_key, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_reboot, SYS_swapon,
		SYS_open_by_handle_at, SYS_name_to_handle_at, SYS_process_vm_readv, SYS_process_vm_writev, SYS_settimeofday, SYS_clock_settime,
		SYS_sethostname, SYS_chroot, SYS_syslog, SYS_acct, SYS_quotactl, 425, 426, 427 /* io_uring */, 428, 429, 430, 431, 432, 442,
	};

	(void)state;
	compile_for(0);
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (call(calls[i], 0) != REFUSED)
			fail_msg("system call %ld: %08x", calls[i], call(calls[i], 0));
}

static void families(void **state)
{
	static const unsigned good[] = { 1, 2, 10, 16, 17, 29 };

	(void)state;
	compile_for(0);
	for (uint64_t family = 0; family < 64; family++) {
		bool is_good = false;

		for (size_t i = 0; i < 6; i++)
			is_good |= good[i] == family;
		/* The kernel takes an int: what stands above it must not change the answer. */
		assert_int_equal(call(SYS_socket, family), is_good ? ALLOW : REFUSED);
		assert_int_equal(call(SYS_socket, family | 1ull << 32), is_good ? ALLOW : REFUSED);
		assert_int_equal(call(SYS_socketpair, family), family == 1 ? ALLOW : REFUSED);
	}
}

static void new_namespaces(void **state)
{
	static const uint64_t flags[] = { 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000 };

	(void)state;
	compile_for(0);
	assert_int_equal(call(SYS_clone, 0x3d0f00), ALLOW);	/* what pthread_create asks for */
	assert_int_equal(call(SYS_clone, 17), ALLOW);
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(call(SYS_clone, flags[i] | 17), REFUSED);
	assert_int_equal(call(SYS_clone3, 0), SECCOMP_RET_ERRNO | ENOSYS);
	compile_for(1ull << CAP_SYS_ADMIN);
	assert_int_equal(call(SYS_clone, flags[0]), ALLOW);
	assert_int_equal(call(SYS_clone3, 0), ALLOW);
	assert_int_equal(call(SYS_mount, 0), ALLOW);
}

static void personalities(void **state)
{
	(void)state;
	compile_for(0);
	assert_int_equal(call(SYS_personality, 0), ALLOW);
	assert_int_equal(call(SYS_personality, 0xffffffff), ALLOW);
	assert_int_equal(call(SYS_personality, 8), ALLOW);
	assert_int_equal(call(SYS_personality, 0x0040000), REFUSED);	/* ADDR_NO_RANDOMIZE */
	assert_int_equal(call(SYS_personality, 0x0400000), REFUSED);	/* READ_IMPLIES_EXEC */
	assert_int_equal(call(SYS_personality, 0x0400000 | 1ull << 40), REFUSED);
}

static void capabilities_open_their_calls(void **state)
{
	static const struct {
		int cap;
		long nr;
	} table[] = {
		{ CAP_SYS_CHROOT, SYS_chroot }, { CAP_SYS_TIME, SYS_clock_settime }, { CAP_SYS_BOOT, SYS_reboot },
		{ CAP_SYS_MODULE, SYS_finit_module }, { CAP_SYS_PTRACE, SYS_ptrace }, { CAP_SYSLOG, SYS_syslog },
		{ CAP_DAC_READ_SEARCH, SYS_open_by_handle_at }, { CAP_BPF, SYS_bpf }, { CAP_PERFMON, SYS_perf_event_open },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		compile_for(1ull << table[i].cap);
		assert_int_equal(call(table[i].nr, 0), ALLOW);
		assert_int_equal(call(SYS_kexec_load, 0), REFUSED);
	}
}

static void other_architectures_die(void **state)
{
	struct seccomp_data d = { .nr = 4, .arch = AUDIT_ARCH_I386 };

	(void)state;
	compile_for(0);
	assert_int_equal(run(&d), SECCOMP_RET_KILL_PROCESS);
	d.arch = 0;
	assert_int_equal(run(&d), SECCOMP_RET_KILL_PROCESS);
#if defined(__x86_64__)
	d.arch = FILTER_ARCH;
	for (int nr = 0; nr < 600; nr++) {
		d.nr = 0x40000000 | nr;
		assert_int_equal(run(&d), SECCOMP_RET_KILL_PROCESS);
	}
#endif
	/* numbers that no kernel has yet */
	assert_int_equal(call(5000, 0), REFUSED);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary_calls_pass),
		cmocka_unit_test(dangerous_calls_do_not),
		cmocka_unit_test(families),
		cmocka_unit_test(new_namespaces),
		cmocka_unit_test(personalities),
		cmocka_unit_test(capabilities_open_their_calls),
		cmocka_unit_test(other_architectures_die),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
