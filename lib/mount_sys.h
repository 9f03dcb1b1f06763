/* SPDX-License-Identifier: MIT */
/*
 * The mount system calls that libc has no wrappers for (man 2 fsopen,
 * open_tree, move_mount, mount_setattr, openat2). Each returns what the
 * kernel returned, or -errno.
 */
#ifndef CORACLE_MOUNT_SYS_H
#define CORACLE_MOUNT_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif
#ifndef O_PATH
#define O_PATH 010000000
#endif

enum { SYS_MNT_DETACH = 2 };	/* umount2(2): sys/mount.h and linux/mount.h don't go together */

static inline int sys_result(long r)
{
	return r < 0 ? -errno : (int)r;
}

static inline int sys_fsopen(const char *fstype)
{
	return sys_result(syscall(SYS_fsopen, fstype, FSOPEN_CLOEXEC));
}

static inline int sys_fsconfig(int fs, unsigned command, const char *key, const char *value)
{
	return sys_result(syscall(SYS_fsconfig, fs, command, key, value, 0));
}

static inline int sys_fsconfig_fd(int fs, const char *key, int fd)
{
	return sys_result(syscall(SYS_fsconfig, fs, FSCONFIG_SET_FD, key, NULL, fd));
}

static inline int sys_fsmount(int fs, uint64_t attr)
{
	return sys_result(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, (unsigned)attr));
}

/* A detached copy of the mount at PATH. FLAGS: AT_RECURSIVE, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW. */
static inline int sys_clone_tree(int dir, const char *path, unsigned flags)
{
	return sys_result(syscall(SYS_open_tree, dir, path, flags | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
}

/* Attaches the detached mount FD onto what TARGET refers to. */
static inline int sys_attach(int fd, int target)
{
	return sys_result(syscall(SYS_move_mount, fd, "", target, "",
		MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

static inline int sys_mount_setattr(int fd, unsigned flags, struct mount_attr *a)
{
	return sys_result(syscall(SYS_mount_setattr, fd, "", flags | AT_EMPTY_PATH, a, sizeof(*a)));
}

static inline int sys_mount(const char *source, const char *target, const char *fstype, unsigned long flags,
	const char *data)
{
	return sys_result(syscall(SYS_mount, source, target, fstype, flags, data));
}

static inline int sys_umount(const char *target)
{
	return sys_result(syscall(SYS_umount2, target, SYS_MNT_DETACH));
}

static inline int sys_openat2(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve };

	return sys_result(syscall(SYS_openat2, dir, path, &how, sizeof(how)));
}

#endif
