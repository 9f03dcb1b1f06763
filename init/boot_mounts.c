/* SPDX-License-Identifier: MIT */
/*
 * The early mounts. On a board all of them; in namespaces on a host only what
 * a mount namespace of its own lacks. A mount that is there already is fine.
 */
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot.h"
#include "control.h"
#include "plog.h"

struct early {
	const char *source, *target, *type;
	unsigned long flags;
	const char *data;
	mode_t mode;		/* of the directory, made where it is missing */
};

static const struct early board[] = {
	{ "proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, 0555 },
	{ "sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, 0555 },
	{ "devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=755", 0755 },
	{ "devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666", 0755 },
	{ "shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777", 01777 },
	{ "run", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755", 0755 },
	{ "tmp", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777", 01777 },
	{ "cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, "nsdelegate", 0555 },
};

static const struct early host[] = {
	{ "run", CONTROL_DIR, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755", 0755 },
};

static void mount_all(const struct early *e, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		mkdir(e[i].target, e[i].mode);
		if (mount(e[i].source, e[i].target, e[i].type, e[i].flags, e[i].data) < 0 && errno != EBUSY)
			plog("%s: %s not mounted: %s", e[i].target, e[i].type, strerror(errno));
	}
}

/* /proc of this pid namespace: what says that process 1 is us. */
static void own_proc(void)
{
	char self[16] = "";

	if (readlink("/proc/self", self, sizeof(self) - 1) < 0 || strcmp(self, "1") != 0)
		if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
			plog("/proc: not mounted: %s", strerror(errno));
}

void boot_mounts(bool is_board)
{
	/* Nothing of ours may leak into another mount namespace, nor the other way. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		plog("/: not made private: %s", strerror(errno));
	mkdir("/run", 0755);
	if (!is_board) {
		own_proc();
		mount_all(host, sizeof(host) / sizeof(host[0]));
		return;
	}
	mkdir("/data", 0755);
	mkdir("/run", 0755);
	/* Nothing may write beside our programs: the tmpfs they lie on goes read-only. resolv.conf is written by jobs. */
	mkdir("/etc", 0755);
	if (symlink(CONTROL_DIR "/resolv.conf", "/etc/resolv.conf") < 0 && errno != EEXIST)
		plog("/etc/resolv.conf: %s", strerror(errno));
	mount_all(board, sizeof(board) / sizeof(board[0]));
	mkdir(CONTROL_DIR, 0755);
	if (!boot_is_rootfs() && mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
		plog("/: not made read-only: %s", strerror(errno));
}
