/* SPDX-License-Identifier: MIT */
/*
 * The privileges of the program: everything the process still has that the
 * record does not name is given up here. The order is dictated by what each step needs:
 * limits and the bounding set need capabilities, groups go before gid and uid, ambient
 * after the sets, seccomp last (or, without no_new_privs, while CAP_SYS_ADMIN is there).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "enter.h"
#include "mount_sys.h"

int setgroups(size_t count, const gid_t *list);

static int open_own_null(struct start_context *c)
{
	struct stat st;
	int fd = sys_openat2(c->dev_fd, "null", O_RDWR | O_NOFOLLOW, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);

	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))) {
		close(fd);
		return -ENXIO;
	}
	return fd;
}

int enter_stdio(struct start_context *c)
{
	int copy[3];

	/* First all of them above 2, so that none is overwritten before its turn. */
	for (int i = 0; i < 3; i++) {
		int from = c->request->stdio[i];

		copy[i] = from < 0 ? open_own_null(c) : fcntl(from, F_DUPFD_CLOEXEC, 3);
		if (copy[i] < 0)
			return start_fail(c, "stdio", from < 0 ? "/dev/null" : "dup", from < 0 ? -copy[i] : errno);
	}
	for (int i = 0; i < 3; i++)
		if (dup2(copy[i], i) < 0)
			return start_fail(c, "stdio", "dup2", errno);
	return 0;
}

static int set_rlimits(struct start_context *c)
{
	const struct record_rlimit *l = record_items(c->record, c->record->rlimits);

	for (uint32_t i = 0; i < c->record->rlimits.count; i++) {
		uint64_t value[2] = { l[i].soft, l[i].hard };

		if (syscall(SYS_prlimit64, 0, l[i].resource, value, NULL) < 0)
			return start_fail(c, "rlimit", l[i].resource == 7 ? "RLIMIT_NOFILE" : "of the record", errno);
	}
	return 0;
}

/* CVE-2024-21626: a cwd through /proc/self/fd/N is refused by openat2, and whatever else leads out of the root by getcwd. */
static int change_directory(const char *cwd)
{
	char here[4096];
	int fd = sys_openat2(AT_FDCWD, cwd, O_PATH | O_DIRECTORY, 0, RESOLVE_NO_MAGICLINKS);
	int r = 0;

	if (fd < 0)
		return fd;
	if (fchdir(fd) < 0)
		r = -errno;
	close(fd);
	if (r == 0 && (syscall(SYS_getcwd, here, sizeof(here)) < 0 || here[0] != '/'))
		r = -EXDEV;
	return r;
}

static int drop_bounding(struct start_context *c)
{
	for (unsigned cap = 0; cap < 64; cap++) {
		if (c->record->cap_bounding >> cap & 1)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL)	/* past the last one this kernel knows */
			break;
		return start_fail(c, "capabilities", "bounding set", errno);
	}
	return 0;
}

static int change_user(struct start_context *c)
{
	const struct record_head *r = c->record;

	/* To setresuid(2) this means "leave it": the program would stay root. */
	if (r->uid == UINT32_MAX || r->gid == UINT32_MAX)
		return start_fail(c, "user", "4294967295 is no id", 0);
	/* Without an explicit call the caller's groups would stay (CVE-2023-25173). */
	if (setgroups(r->groups.count, record_items(r, r->groups)) < 0)
		return start_fail(c, "user", "setgroups", errno);
	if (getgroups(0, NULL) != (int)r->groups.count)
		return start_fail(c, "user", "supplementary groups are not what was set", 0);
	if (setresgid(r->gid, r->gid, r->gid) < 0)
		return start_fail(c, "user", "setgid", errno);
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return start_fail(c, "user", "keepcaps", errno);
	if (setresuid(r->uid, r->uid, r->uid) < 0)
		return start_fail(c, "user", "setuid", errno);
	return 0;
}

/* runtime-spec config.md, "process.capabilities": what cannot be granted is a warning, not an error. */
static void note_missing(struct start_context *c, uint64_t missing)
{
	char text[64] = "numbers";
	size_t at = strlen(text);

	for (unsigned cap = 0; cap < 64 && at + 4 < sizeof(text); cap++) {
		if (!(missing >> cap & 1))
			continue;
		text[at++] = ' ';
		if (cap >= 10)
			text[at++] = (char)('0' + cap / 10);
		text[at++] = (char)('0' + cap % 10);
	}
	text[at] = '\0';
	start_note(c, "capabilities that the caller does not have either", text, 0);
}

static int set_capabilities(struct start_context *c)
{
	const struct record_head *r = c->record;
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct set[2];
	uint64_t have;

	if (syscall(SYS_capget, &head, set) < 0)
		return start_fail(c, "capabilities", "capget", errno);
	have = set[0].permitted | (uint64_t)set[1].permitted << 32;
	if (r->cap_permitted & ~have)
		note_missing(c, r->cap_permitted & ~have);
	for (unsigned i = 0; i < 2; i++) {
		set[i].effective = (uint32_t)((r->cap_effective & r->cap_permitted & have) >> 32 * i);
		set[i].permitted = (uint32_t)((r->cap_permitted & have) >> 32 * i);
		set[i].inheritable = (uint32_t)((r->cap_inheritable & have) >> 32 * i);
	}
	if (syscall(SYS_capset, &head, set) < 0)
		return start_fail(c, "capabilities", "capset", errno);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return start_fail(c, "capabilities", "ambient set", errno);
	for (unsigned cap = 0; cap < 64; cap++)
		if (r->cap_ambient & have & 1ull << cap && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return start_fail(c, "capabilities", "ambient set", errno);
	return 0;
}

/* After the change of user, which clears it. The report socket tells whether the caller died before. */
static int tie_to_parent(struct start_context *c)
{
	struct pollfd p = { .fd = c->report_fd };

	if (!c->request->die_with_parent)
		return 0;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return start_fail(c, "parent", "PR_SET_PDEATHSIG", errno);
	return poll(&p, 1, 0) > 0 && p.revents & POLLHUP ? -ECANCELED : 0;
}

static int filter(struct start_context *c)
{
	struct sock_fprog prog = {
		.len = (unsigned short)c->record->seccomp.count,
		.filter = (struct sock_filter *)record_items(c->record, c->record->seccomp),
	};

	if (c->record->seccomp.count == 0)
		return 0;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, c->record->seccomp_flags, &prog) < 0)
		return start_fail(c, "seccomp", "filter", errno);
	return 0;
}

static int drop_privileges(struct start_context *c)
{
	bool is_no_new_privs = c->record->flags & RECORD_NO_NEW_PRIVS;
	int r = drop_bounding(c);

	if (r == 0 && !is_no_new_privs)
		r = filter(c);
	if (r == 0)
		r = change_user(c);
	if (r == 0)
		r = set_capabilities(c);
	if (r == 0)
		r = tie_to_parent(c);
	if (r == 0 && is_no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = start_fail(c, "no_new_privs", "prctl", errno);
	return r;
}

int enter_drop(struct start_context *c)
{
	const struct record_head *r = c->record;
	const char *cwd = record_text(r, r->cwd);
	int is_inside, e = set_rlimits(c);

	if (e < 0)
		return e;
	umask(r->flags & RECORD_UMASK ? r->umask : 022);
	is_inside = change_directory(cwd);
	if (is_inside < 0 && is_inside != -EACCES && is_inside != -EPERM)
		return start_fail(c, "cwd", cwd, -is_inside);
	e = drop_privileges(c);
	if (e < 0)
		return e;
	/* Root could not enter it (a network file system): once more as the user. */
	if (is_inside < 0) {
		is_inside = change_directory(cwd);
		if (is_inside < 0)
			return start_fail(c, "cwd", cwd, -is_inside);
	}
	if (syscall(SYS_close_range, 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */) < 0)
		return start_fail(c, "descriptors", "close_range", errno);
	return r->flags & RECORD_NO_NEW_PRIVS ? filter(c) : 0;
}
