/* SPDX-License-Identifier: MIT */
/*
 * The way into a running container. Who goes it runs from a sealed copy, so that nothing that is reached by /proc/PID/exe, or executed
 * by that name, can be written to (CVE-2019-5736), and is not dumpable, so that nothing in the container can look into it before it is one of
 * them (CVE-2016-9962); its descriptors are closed by the drop, which is the program's own, of the same record.
 */
#include "join.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "userns.h"

int setns(int fd, int nstype);

enum { SEALS = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, EXECUTABLE = 0x10 };
enum { NAMESPACES = CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP };

extern char **environ;

int join_sealed(char **argv)
{
	int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), copy;

	if (self < 0)
		return -1;
	if (fcntl(self, F_GET_SEALS) == SEALS)
		return close(self);
	/* MFD_EXEC of kernel 6.3, where a board may refuse to execute any other memfd. */
	copy = memfd_create("coracle", MFD_CLOEXEC | MFD_ALLOW_SEALING | EXECUTABLE);
	if (copy < 0)
		copy = memfd_create("coracle", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (copy < 0)
		return -1;
	while (sendfile(copy, self, NULL, 1 << 24) > 0)
		;
	if (fcntl(copy, F_ADD_SEALS, SEALS) == 0)
		syscall(SYS_execveat, copy, "", argv, environ, AT_EMPTY_PATH);
	return -1;
}

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
