/* SPDX-License-Identifier: MIT */
/*
 * process.terminal: a pty of the container's own devpts. After the pivot and the masks, so everything it opens is the container's and looked
 * at before use: ptmx must be devpts's, the other end comes by descriptor (TIOCGPTPEER) and never by a name that could have been
 * swapped (CVE-2025-52565), /dev/console is a file that the starter made on our own tmpfs (CVE-2026-88264).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "enter.h"
#include "mount_sys.h"

static int open_master(void)
{
	struct statfs fs;
	int unlock = 0;
	int fd = sys_openat2(AT_FDCWD, "/dev/pts/ptmx", O_RDWR | O_NOCTTY, 0, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);

	if (fd < 0)
		return fd;
	if (fstatfs(fd, &fs) < 0 || (unsigned long)fs.f_type != DEVPTS_SUPER_MAGIC || ioctl(fd, TIOCSPTLCK, &unlock) < 0) {
		close(fd);
		return -ENXIO;
	}
	return fd;
}

/* The other end is what the program finds at /dev/console. */
static int place_console(struct start_context *c, int slave)
{
	int target = sys_openat2(c->dev_fd, "console", O_PATH | O_NOFOLLOW, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	int copy, r;

	if (target < 0)
		return target;
	r = copy = sys_clone_tree(slave, "", AT_EMPTY_PATH);
	if (copy >= 0) {
		r = sys_attach(copy, target);
		close(copy);
	}
	close(target);
	return r;
}

static int become_controlled(struct start_context *c, int slave)
{
	struct winsize size = { .ws_row = (unsigned short)c->record->rows, .ws_col = (unsigned short)c->record->cols };

	if (size.ws_row && size.ws_col)
		ioctl(slave, TIOCSWINSZ, &size);
	if (fchown(slave, c->record->uid, (gid_t)-1) < 0 || ioctl(slave, TIOCSCTTY, 0) < 0)
		return -errno;
	for (int i = 0; i < 3; i++)
		if (dup2(slave, i) < 0)
			return -errno;
	return 0;
}

int enter_terminal(struct start_context *c)
{
	int master = open_master(), slave, r;

	if (master < 0)
		return start_fail(c, "terminal", "/dev/pts/ptmx", -master);
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	r = slave < 0 ? -errno : c->dev_fd < 0 ? 0 : place_console(c, slave);
	if (r >= 0)
		r = become_controlled(c, slave);
	if (r >= 0)
		r = start_send_fd(c, START_TERMINAL, 0, master);
	close(master);
	if (slave > 2)
		close(slave);
	return r < 0 ? start_fail(c, "terminal", "/dev/console", -r) : 0;
}
