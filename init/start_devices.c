/* SPDX-License-Identifier: MIT */
/*
 * The record's device rules: a BPF program (compiled by bundle/compile_devices.c) that is loaded and attached to the unit's cgroup before the
 * program is cloned into it (man 2 bpf, BPF_PROG_TYPE_CGROUP_DEVICE). Runs in the starter.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "start_inner.h"

static int call(int command, union bpf_attr *a)
{
	long r = syscall(SYS_bpf, command, a, sizeof(*a));

	return r < 0 ? -errno : (int)r;
}

static int attach(struct start_context *c)
{
	static const char licence[] = "MIT";
	union bpf_attr load = {
		.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
		.insns = (uintptr_t)record_items(c->record, c->record->device_prog),
		.insn_cnt = c->record->device_prog.count,
		.license = (uintptr_t)licence,
	};
	union bpf_attr to = { .target_fd = (uint32_t)c->cgroup_fd, .attach_type = BPF_CGROUP_DEVICE };
	int fd = call(BPF_PROG_LOAD, &load), r;

	if (fd < 0)
		return fd;
	to.attach_bpf_fd = (uint32_t)fd;
	r = call(BPF_PROG_ATTACH, &to);
	close(fd);
	return r;
}

int start_devices(struct start_context *c)
{
	/* Without the rules only such a program could make itself a node that opens. */
	bool is_needed = c->record->cap_bounding >> CAP_MKNOD & 1 && !c->has_userns;
	int r;

	if (c->record->device_prog.count == 0)
		return 0;
	if (c->cgroup_fd < 0)
		return is_needed ? start_fail(c, "device rules", "need cgroup v2 where the program has CAP_MKNOD", 0) : 0;
	r = attach(c);
	if (r == 0)
		return 0;
	if (is_needed)
		return start_fail(c, "device rules", "BPF of this kernel, which the program's CAP_MKNOD needs", -r);
	start_note(c, "device rules only by the nodes there are,", "BPF of this kernel", -r);
	return 0;
}
