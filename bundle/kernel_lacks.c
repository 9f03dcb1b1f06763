/* SPDX-License-Identifier: MIT */
/*
 * A kernel that lacks something: said once at boot, with what is lost by it. Each is tried as a start would do it, never concluded from a version.
 * Units that demand what is missing are refused where it is needed (init/start*.c); this is for whoever reads the log.
 */
#include "kernel_lacks.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "mount_sys.h"
#include "span.h"
#include "userns_fd.h"

static const char *const map = "0 4194304 1\n";

static void lost(const char *what, int error, const char *loss)
{
	fprintf(stderr, "this kernel has no %s%s%s: %s\n", what, error ? ": " : "", error ? strerror(error) : "", loss);
}

static void try_filters(void)
{
	uint32_t action = SECCOMP_RET_ERRNO;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0)
		lost("seccomp filters", errno, "no unit starts but those with SeccompProfile=unconfined");
}

static void try_overlay(void)
{
	int fd = sys_fsopen("overlay");

	if (fd < 0)
		lost("overlay file system", -fd, "images of more than one layer are refused");
	else
		close(fd);
}

/* if the program were attached: it lets everything pass */
static void try_device_rules(void)
{
	static const struct bpf_insn pass[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1 }, { .code = BPF_JMP | BPF_EXIT } };
	union bpf_attr a = { .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE, .insn_cnt = 2, .insns = (uint64_t)(uintptr_t)pass,
		.license = (uint64_t)(uintptr_t)"" };
	int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &a, sizeof(a));

	if (fd < 0)
		lost("BPF programs for devices", errno, "a unit's devices are limited by the nodes it is given alone, and one with CAP_MKNOD is refused");
	else
		close(fd);
}

static void try_cgroup(void)
{
	static const struct { const char *name, *loss; } controller[] = {
		{ "memory", "MemoryMax= and MemoryLow= do nothing" }, { "pids", "PidsLimit= does nothing" }, { "cpu", "CPUQuota= and CPUWeight= do nothing" },
	};
	const char *place[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	char path[64], text[256] = "", what[64];
	struct statfs fs;
	size_t i = 0;
	int fd;

	while (i < 2 && (statfs(place[i], &fs) < 0 || (unsigned long)fs.f_type != CGROUP2_SUPER_MAGIC))
		i++;
	if (i == 2) {
		lost("cgroup v2 hierarchy here", 0, "memory, processes and cpu of units are unlimited");
		return;
	}
	snprintf(path, sizeof(path), "%s/cgroup.controllers", place[i]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	if (fd >= 0)
		close(fd);
	for (i = 0; i < sizeof(controller) / sizeof(*controller); i++) {
		snprintf(what, sizeof(what), "%s controller in cgroup v2", controller[i].name);
		if (!span_has_word(span_str(text), controller[i].name))
			lost(what, 0, controller[i].loss);
	}
}

/* The user namespace is needed for the second too. */
static void try_users(const char *store)
{
	struct mount_attr a = { .attr_set = MOUNT_ATTR_IDMAP };
	int users = userns_fd_new(map, map), tree;

	if (users < 0) {
		lost("user namespaces", -users, "units run with the board's own ids, those with UserNS=auto are refused");
		return;
	}
	tree = sys_clone_tree(AT_FDCWD, store, 0);
	a.userns_fd = (uint64_t)users;
	if (tree >= 0 && syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &a, sizeof(a)) < 0)
		lost("id-mapped mounts of the data partition's file system", errno, "units run with the board's own ids, those with UserNS=auto are refused");
	if (tree >= 0)
		close(tree);
	close(users);
}

void kernel_lacks_say(const char *store)
{
	int fd = open("/run/coracle/features", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444);

	if (fd < 0)
		return;		/* said, or nowhere to remember it */
	close(fd);
	try_users(store);
	try_filters();
	try_overlay();
	try_device_rules();
	try_cgroup();
}
