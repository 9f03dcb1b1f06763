/* SPDX-License-Identifier: MIT */
/* The cgroup v2 half of both floors: with FLOOR_DEVICES=FILE (of struct bpf_insn) in the environment a group with the bench's three limits and that
 * device program, else nothing. Included once, after MUST is defined. */
#include <linux/bpf.h>

enum { INTO_CGROUP_HIGH = 2 };	/* CLONE_INTO_CGROUP >> 32 */

static char cgroup_path[64];
static int cgroup_fd = -1;

static void cgroup_limit(const char *key, const char *value)
{
	int fd = MUST(openat(cgroup_fd, key, O_WRONLY | O_CLOEXEC));

	MUST(write(fd, value, strlen(value)));
	close(fd);
}

static void cgroup_begin(void)
{
	static char code[65536];
	const char *file = getenv("FLOOR_DEVICES");
	union bpf_attr load = { .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE, .insns = (uintptr_t)code, .license = (uintptr_t)"MIT" };
	union bpf_attr to = { .attach_type = BPF_CGROUP_DEVICE };
	int fd;

	if (!file)
		return;
	snprintf(cgroup_path, sizeof(cgroup_path), "/sys/fs/cgroup/floor.%d", (int)getpid());
	MUST(mkdir(cgroup_path, 0755));
	cgroup_fd = MUST(open(cgroup_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	cgroup_limit("memory.max", "134217728");
	cgroup_limit("pids.max", "64");
	cgroup_limit("cpu.max", "200000 100000");
	fd = MUST(open(file, O_RDONLY | O_CLOEXEC));
	load.insn_cnt = (unsigned)MUST(read(fd, code, sizeof(code))) / 8;
	close(fd);
	to.target_fd = (unsigned)cgroup_fd;
	fd = MUST(syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load)));
	to.attach_bpf_fd = (unsigned)fd;
	MUST(syscall(SYS_bpf, BPF_PROG_ATTACH, &to, sizeof(to)));
	close(fd);
}

static void cgroup_clone(struct clone_args *a)
{
	if (cgroup_fd < 0)
		return;
	a->flags |= (uint64_t)INTO_CGROUP_HIGH << 32;
	a->cgroup = (uint64_t)cgroup_fd;
}

static void cgroup_end(void)
{
	if (cgroup_fd >= 0 && rmdir(cgroup_path) < 0)
		perror(cgroup_path);
}
