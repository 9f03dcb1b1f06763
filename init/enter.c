/* SPDX-License-Identifier: MIT */
/*
 * Stage 2, the program's own process: waits for "go", then turns itself into
 * the container step by step and executes the program. From the pivot on it
 * works inside the image, so every name it opens there is resolved inside
 * that root. When the starter dies first, it ends without having done anything.
 */
#include "enter.h"
#include "userns.h"

#include <errno.h>
#include <linux/sched.h>
#include <net/if.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int unshare(int flags);

enum { KEYCTL_JOIN_SESSION = 1 };

static int wait_for_go(struct start_context *c)
{
	char byte;
	ssize_t n;

	do {
		n = read(c->go_fd, &byte, 1);
	} while (n < 0 && errno == EINTR);
	if (n != 1)
		return start_fail(c, "starter", "it died before it let the program go", 0);
	close(c->go_fd);
	return 0;
}

/* A new network namespace has lo, but down. Not worth a failed start. */
static void raise_loopback(struct start_context *c)
{
	struct ifreq q = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &q) < 0)
		start_note(c, "loopback", "lo stays down", errno);
	if (fd >= 0)
		close(fd);
}

static bool has_uts(const struct record_head *r)
{
	const struct record_ns *ns = record_items(r, r->ns_join);

	for (uint32_t i = 0; i < r->ns_join.count; i++)
		if (ns[i].clone_flag == CLONE_NEWUTS)
			return true;
	return r->clone_flags & CLONE_NEWUTS;
}

static int set_names(struct start_context *c)
{
	const struct record_head *r = c->record;

	if (!r->hostname.off && !r->domainname.off)
		return 0;
	if (!has_uts(r))
		return start_fail(c, "hostname", "needs an uts namespace of its own", 0);
	if (r->hostname.off && sethostname(record_text(r, r->hostname), r->hostname.len) < 0)
		return start_fail(c, "hostname", record_text(r, r->hostname), errno);
	if (r->domainname.off && setdomainname(record_text(r, r->domainname), r->domainname.len) < 0)
		return start_fail(c, "domainname", record_text(r, r->domainname), errno);
	return 0;
}

static int enter_namespaces(struct start_context *c)
{
	int r = c->has_userns ? userns_become_root(c->record) : 0;

	if (r < 0)
		return start_fail(c, "user namespace", "its root", -r);
	/* No terminal of the caller's session to type into (TIOCSTI), no signal of its process group. */
	if (setsid() < 0 && errno != EPERM)
		return start_fail(c, "session", "setsid", errno);
	/* The caller's session keyring stays outside; ENOSYS: a kernel without keys. */
	syscall(SYS_keyctl, KEYCTL_JOIN_SESSION, NULL);
	/* Not with clone3: its root would be the starter's cgroup instead of the one cloned into. */
	if (c->record->clone_flags & CLONE_NEWCGROUP && unshare(CLONE_NEWCGROUP) < 0)
		return start_fail(c, "namespace", "cgroup", errno);
	if (c->record->clone_flags & CLONE_NEWNET)
		raise_loopback(c);
	return set_names(c);
}

_Noreturn void enter_program(struct start_context *c)
{
	int r = wait_for_go(c);

	if (r == 0)
		r = enter_namespaces(c);
	if (r == 0)
		r = enter_mounts(c);
	if (r == 0)
		r = enter_sysctls(c);
	if (r == 0)
		r = enter_mask(c);
	if (r == 0)
		r = enter_pivot(c);
	if (r == 0)
		r = c->record->flags & RECORD_TERMINAL ? enter_terminal(c) : enter_stdio(c);
	if (r == 0)
		r = enter_drop(c);
	if (r == 0 && c->record->flags & RECORD_INIT)
		r = enter_init(c);
	if (r == 0)
		r = enter_exec(c);
	if (r == -ENOENT)
		_exit(START_EXIT_NOT_FOUND);
	_exit(START_EXIT_OURS);
}
