/* SPDX-License-Identifier: MIT */
/*
 * The way into a running container. Who goes it is not dumpable, so nothing in the container can look into it before it is one of
 * them (CVE-2016-9962); its descriptors are closed by the drop, which is the program's own, of the same record.
 */
#include "join.h"

#include <errno.h>
#include <linux/sched.h>

#include "userns.h"

int setns(int fd, int nstype);

enum { NAMESPACES = CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP };

int join_container(const struct start_context *c, int pidfd)
{
	int flags = (int)(c->record->clone_flags & NAMESPACES) | CLONE_NEWNS;

	if (setns(pidfd, flags) == 0)
		return flags & CLONE_NEWUSER ? userns_become_root(c->record) : 0;
	/* Its user namespace is ours, where the kernel could not make one: joining that again is EINVAL. */
	if (errno != EINVAL || !(flags & CLONE_NEWUSER) || !(c->record->flags & RECORD_USERNS_OPTIONAL))
		return -1;
	return setns(pidfd, flags & ~CLONE_NEWUSER);
}
