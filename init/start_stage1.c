/* SPDX-License-Identifier: MIT */
/*
 * Stage 1, the starter: forked from PID 1, in the initial user namespace. Maps
 * and checks the record, makes its mounts as descriptors, its cgroup with
 * limits, then clones the program's process as PID 1's own child, tells PID 1
 * about it, lets it go and leaves. Everything it made is a descriptor or in
 * its private mount namespace, so when it dies early nothing stays but an
 * empty cgroup, which the caller removes as after any run.
 *
 * Without a user namespace the program inherits the starter's mount namespace:
 * copying the host's mount tree once is enough. With one it is cloned along,
 * since it has to belong to it; the starter then stays in the caller's,
 * where it only makes mounts that are attached nowhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "mounts.h"
#include "mount_sys.h"
#include "overlay.h"
#include "start_inner.h"
#include "userns.h"

/* sched.h and linux/sched.h don't go together. */
int setns(int fd, int nstype);

/*
 * PID 1 blocks signals and may ignore some; the program gets them all as a new process has them. By the kernel's own
 * call: sigaction() refuses the C library's signals (32 to 34), which another C library's program may have ignored.
 */
void start_reset_signals(void)
{
	static const unsigned long dfl[8];	/* all of struct kernel_sigaction on every architecture */
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		syscall(SYS_rt_sigaction, s, dfl, NULL, (NSIG - 1) / 8);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A caller with 0, 1 or 2 closed would get our descriptors in their place. */
static void fill_stdio(void)
{
	int fd;

	do {
		fd = open("/", O_PATH | O_CLOEXEC);
	} while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

/*
 * PID 1 has ten descriptors a unit. All close at the exec, but until then they stand in the way of a program whose limit of open files
 * is lower than the next free number.
 */
static void close_others(const struct start_context *c)
{
	const int keep[] = { c->report_fd, c->request->record_fd, c->request->stdio[0], c->request->stdio[1], c->request->stdio[2] };
	int from = 3, next;

	do {
		next = INT_MAX;
		for (size_t i = 0; i < sizeof(keep) / sizeof(*keep); i++)
			if (keep[i] >= from && keep[i] < next)
				next = keep[i];
		if (next > from)
			syscall(SYS_close_range, from, next == INT_MAX ? ~0u : (unsigned)next - 1, 0);
		from = next == INT_MAX ? next : next + 1;
	} while (next != INT_MAX);
}

static int map_record(struct start_context *c)
{
	struct err e = { "" };
	struct stat st;
	void *at;

	if (fstat(c->request->record_fd, &st) < 0)
		return start_fail(c, "record", "fstat", errno);
	if (st.st_size <= 0 || st.st_size > (off_t)1 << 30)
		return start_fail(c, "record", "empty or far too large: compile the bundle again", 0);
	at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, c->request->record_fd, 0);
	if (at == MAP_FAILED)
		return start_fail(c, "record", "mmap", errno);
	if (record_check(at, (size_t)st.st_size, &e) < 0)
		return start_fail(c, "record", e.text, 0);
	c->record = at;
	return 0;
}

static void fill_vector(const struct record_head *r, struct record_list l, char **out)
{
	const struct record_str *s = record_items(r, l);

	for (uint32_t i = 0; i < l.count; i++)
		out[i] = (char *)record_text(r, s[i]);
	out[l.count] = NULL;
}

/* argv and envp, sized by the record. */
static int make_vectors(struct start_context *c)
{
	const struct record_head *r = c->record;
	size_t slots = (size_t)r->args.count + r->env.count + 2;
	char **at = mmap(NULL, slots * sizeof(*at), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return start_fail(c, "memory", "argv", errno);
	c->argv = at;
	c->envp = at + r->args.count + 1;
	fill_vector(r, r->args, c->argv);
	fill_vector(r, r->env, c->envp);
	return 0;
}

int start_load(struct start_context *c)
{
	int r = map_record(c);

	return r == 0 ? make_vectors(c) : r;
}

static int set_limits(struct start_context *c)
{
	const struct record_pair *p = record_items(c->record, c->record->cgroup_files);

	for (uint32_t i = 0; i < c->record->cgroup_files.count; i++) {
		const char *key = record_text(c->record, p[i].key);
		int r;

		if (strchr(key, '/'))
			return start_fail(c, "cgroup limit", key, EINVAL);
		r = cgroup_write_at(c->cgroup_fd, key, record_text(c->record, p[i].value));
		if (r == -ENOENT)
			start_note(c, "not limited, this kernel lacks", key, 0);
		else if (r < 0)
			return start_fail(c, "cgroup limit", key, -r);
	}
	return 0;
}

static int make_cgroup(struct start_context *c)
{
	const char *path = c->request->cgroup;
	int r;

	c->cgroup_fd = -1;
	if (!path) {
		if (c->record->cgroup_files.count > 0)
			start_note(c, "limits skipped", "no cgroup v2 hierarchy here: memory, pids and cpu are unlimited", 0);
		return 0;
	}
	r = cgroup_make(path);
	if (r < 0)
		return start_fail(c, "cgroup", path, -r);
	c->cgroup_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return c->cgroup_fd < 0 ? start_fail(c, "cgroup", path, errno) : set_limits(c);
}

/* Small decimal into OUT (12 bytes). */
static const char *decimal(int32_t n, char *out)
{
	uint32_t u = n < 0 ? -(uint32_t)n : (uint32_t)n;
	char *p = out + 11;

	*p = '\0';
	do {
		*--p = (char)('0' + u % 10);
		u /= 10;
	} while (u);
	if (n < 0)
		*--p = '-';
	return p;
}

/* Written here and inherited. Without a word in the record the program never has PID 1's protection from the OOM killer. */
int start_oom_score(struct start_context *c)
{
	int is_asked = c->record->flags & RECORD_OOM_SCORE;
	char text[12], now[8] = "";
	const char *value = decimal(is_asked ? c->record->oom_score_adj : 0, text);
	int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return is_asked ? start_fail(c, "oom_score_adj", value, errno) : 0;
	if (is_asked || (read(fd, now, sizeof(now) - 1) > 0 && now[0] == '-'))
		r = pwrite(fd, value, strlen(value), 0) < 0 ? errno : 0;
	close(fd);
	return r && is_asked ? start_fail(c, "oom_score_adj", value, r) : 0;
}

static int join_namespaces(struct start_context *c)
{
	const struct record_ns *ns = record_items(c->record, c->record->ns_join);

	for (uint32_t i = 0; i < c->record->ns_join.count; i++) {
		const char *path = record_text(c->record, ns[i].path);
		int fd, r = 0;

		if (ns[i].clone_flag & (CLONE_NEWUSER | CLONE_NEWNS))
			return start_fail(c, "namespace", "joining a user or mount namespace is not supported", 0);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || setns(fd, (int)ns[i].clone_flag) < 0)
			r = errno;
		if (fd >= 0)
			close(fd);
		if (r)
			return start_fail(c, "namespace", path, r);
	}
	return 0;
}

/* Only the initial user namespace may raise a hard limit; the soft ones would hit ourselves and are stage 2's. */
static void raise_hard_limits(struct start_context *c)
{
	const struct record_rlimit *l = record_items(c->record, c->record->rlimits);

	for (uint32_t i = 0; i < c->record->rlimits.count; i++) {
		uint64_t now[2];

		if (syscall(SYS_prlimit64, 0, l[i].resource, NULL, now) < 0 || now[1] >= l[i].hard)
			continue;
		now[1] = l[i].hard;
		syscall(SYS_prlimit64, 0, l[i].resource, now, NULL);
	}
}

static int clone_program(struct start_context *c, int *pidfd)
{
	uint32_t not_here = CLONE_NEWCGROUP | CLONE_NEWNS | CLONE_NEWUSER;
	struct clone_args a = {
		.flags = (c->record->clone_flags & ~not_here) | CLONE_PARENT | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)pidfd,
	};
	long pid;

	if (c->has_userns)
		a.flags |= CLONE_NEWUSER | CLONE_NEWNS;
	if (c->cgroup_fd >= 0) {
		a.flags |= CLONE_INTO_CGROUP;
		a.cgroup = (uint64_t)c->cgroup_fd;
	}
	pid = syscall(SYS_clone3, &a, sizeof(a));
	return pid < 0 ? -errno : (int)pid;
}

/* Is a mount to be id-mapped? */
static bool needs_idmap(const struct record_head *r)
{
	const struct record_mount *m = record_items(r, r->mounts);

	for (uint32_t i = 0; i < r->mounts.count; i++)
		if (m[i].idmap)
			return true;
	return r->flags & RECORD_IDMAP_LAYERS;
}

/* The user namespace for mounts, or the mount namespace that does where there is none. */
static int own_namespaces(struct start_context *c)
{
	int r = 0;

	c->userns_fd = -1;
	c->has_userns = c->record->clone_flags & CLONE_NEWUSER;
	if (c->has_userns && needs_idmap(c->record)) {
		c->userns_fd = r = userns_open(c->record);
		if (r < 0 && !(c->record->flags & RECORD_USERNS_OPTIONAL))
			return start_fail(c, "user namespace", "this kernel makes none", -r);
		if (r < 0)
			start_note(c, "no user namespace of its own,", "this kernel makes none", -r);
		c->has_userns = r >= 0;
	}
	if (c->has_userns)
		return 0;
	r = overlay_own_namespace();
	return r < 0 ? start_fail(c, "namespace", "mount", -r) : 0;
}

/* As root of its namespace the program may open again what was made for it: pipes only, all else belongs to somebody else (CVE-2026-88265). */
static void give_pipes(const struct start_context *c)
{
	const struct record_head *r = c->record;

	for (int i = 0; c->request->chown_stdio && i < 3; i++) {
		struct stat st;
		int fd = c->request->stdio[i];

		if (fd < 0 || fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))
			continue;
		if (c->has_userns)
			fchown(fd, userns_outside(r, r->uid_map, r->uid), userns_outside(r, r->gid_map, r->gid));
		else
			fchown(fd, r->uid, r->gid);
	}
}

static int prepare(struct start_context *c)
{
	int r = map_record(c);

	if (r == 0)
		r = make_vectors(c);
	if (r == 0)
		r = make_cgroup(c);
	if (r == 0)
		r = own_namespaces(c);
	if (r == 0)
		r = start_devices(c);
	if (r == 0)
		r = start_oom_score(c);
	if (r == 0)
		r = join_namespaces(c);
	if (r == 0)
		r = mounts_prepare(c);
	if (r == 0) {
		give_pipes(c);
		raise_hard_limits(c);
	}
	return r;
}

/* CREATED goes out before the program may run, so that PID 1 knows the pid before it can see it end. */
static int let_go(struct start_context *c, int pid, int pidfd, int go)
{
	int r = c->has_userns ? userns_map(c->record, pid) : 0;

	if (r < 0)
		return start_fail(c, "user namespace", "id maps", -r);
	if (start_send_fd(c, START_CREATED, pid, pidfd) < 0 || write(go, "g", 1) != 1)
		return -EPIPE;
	return 0;
}

_Noreturn void start_stage1(const struct start_request *q, int report_fd)
{
	static struct start_context context;
	struct start_context *c = &context;
	int go[2], pidfd = -1, pid;

	c->request = q;
	c->report_fd = report_fd;
	start_reset_signals();
	fill_stdio();
	/* Neither stage may be looked into by what it starts (CVE-2016-9962); execve makes the program dumpable again. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (c->report_fd <= 2)
		c->report_fd = fcntl(report_fd, F_DUPFD_CLOEXEC, 3);
	if (c->report_fd >= 0)
		close_others(c);
	if (c->report_fd < 0 || prepare(c) < 0)
		_exit(START_EXIT_OURS);
	if (pipe2(go, O_CLOEXEC) < 0) {
		start_fail(c, "pipe", "go", errno);
		_exit(START_EXIT_OURS);
	}
	pid = clone_program(c, &pidfd);
	if (pid == 0) {
		close(go[1]);
		c->go_fd = go[0];
		enter_program(c);
	}
	if (pid < 0) {
		start_fail(c, "clone", "namespaces", -pid);
		_exit(START_EXIT_OURS);
	}
	_exit(let_go(c, pid, pidfd, go[1]) < 0 ? START_EXIT_OURS : 0);
}
