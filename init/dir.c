/* SPDX-License-Identifier: MIT */
/* Walking a directory without allocation. Names come from kernel file systems and our own initramfs. */
#include "dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct entry {			/* struct linux_dirent64 of getdents64(2) */
	uint64_t ino;
	int64_t off;
	uint16_t len;
	uint8_t type;
	char name[];
};

int dir_walk_fd(int fd, int (*each)(const char *name, void *arg), void *arg)
{
	char buf[2048] __attribute__((aligned(8)));
	long n;

	while ((n = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < n;) {
			const struct entry *e = (const struct entry *)(buf + at);
			int ret = 0;

			if (strcmp(e->name, ".") != 0 && strcmp(e->name, "..") != 0)
				ret = each(e->name, arg);
			if (ret)
				return ret;
			at += e->len;
		}
	}
	return n < 0 ? -errno : 0;
}

int dir_walk(const char *path, int (*each)(const char *name, void *arg), void *arg)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	ret = dir_walk_fd(fd, each, arg);
	close(fd);
	return ret;
}
