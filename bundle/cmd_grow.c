/* SPDX-License-Identifier: MIT */
/*
 * `coracle-bundle grow`, the job of docs/seams.md: the data partition and its ext4 take the rest of the disk, online: partition table
 * (gpt.c), BLKPG_RESIZE_PARTITION, EXT4_IOC_RESIZE_FS. Each step can be cut by a power failure and is taken up at the next boot. Nothing is
 * ever made smaller.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/blkpg.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "commands.h"
#include "file.h"
#include "gpt.h"
#include "job.h"
#include "quadlet.h"

/* linux/fs/ext4/ext4.h; not in the kernel's public headers. */
#define EXT4_IOC_RESIZE_FS _IOW('f', 16, uint64_t)

struct part {
	char disk[64];		/* "vda" */
	int number;
	uint64_t start, size;	/* units of 512 bytes, as sysfs has them */
};

static bool number_of(const char *dir, const char *name, uint64_t *out)
{
	char path[PATH_MAX + 16], text[32];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? fd : file_read_full(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return quadlet_u64(text, UINT64_MAX, out);
}

/* What sysfs says of the partition that DIR is mounted from. */
static int find(const char *dir, struct part *p, struct err *e)
{
	char path[64], real[PATH_MAX];
	uint64_t number;
	struct stat st;
	char *slash;

	if (stat(dir, &st) < 0)
		return err_sys(e, errno, "%s", dir);
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(st.st_dev), minor(st.st_dev));
	if (!realpath(path, real))
		return err_sys(e, errno, "%s", path);
	if (!number_of(real, "partition", &number) || !number_of(real, "start", &p->start) || !number_of(real, "size", &p->size))
		return err_set(e, -EINVAL, "%s: not on a partition", dir);
	p->number = (int)number;
	slash = strrchr(real, '/');
	*slash = '\0';
	return span_copy(span_str(strrchr(real, '/') + 1), p->disk, sizeof(p->disk)) ? 0 : -ENAMETOOLONG;
}

/* 1: grown, 0: nothing to gain. */
static int grow_partition(struct part *p, struct err *e)
{
	char path[80];
	uint64_t bytes;
	int sector, fd, r;

	snprintf(path, sizeof(path), "/dev/%s", p->disk);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "%s", path);
	if (ioctl(fd, BLKSSZGET, &sector) < 0 || ioctl(fd, BLKGETSIZE64, &bytes) < 0) {
		r = err_sys(e, errno, "%s", path);
	} else {
		struct gpt_part g = { .first = p->start * 512 / (unsigned)sector };

		r = gpt_grow(fd, (uint32_t)sector, bytes / (unsigned)sector, &g, e);
		if (r >= 0) {
			struct blkpg_partition b = { .start = (long long)p->start * 512, .pno = p->number,
				.length = (long long)(g.last - g.first + 1) * sector };
			struct blkpg_ioctl_arg arg = { .op = BLKPG_RESIZE_PARTITION, .datalen = sizeof(b), .data = &b };

			/* Also where the table was changed by a boot that came no further. */
			if (b.length > (long long)p->size * 512 && ioctl(fd, BLKPG, &arg) < 0)
				r = err_sys(e, errno, "%s: the kernel does not take the grown partition; the next boot will", path);
			else
				p->size = (uint64_t)b.length / 512;
		}
	}
	close(fd);
	return r;
}

static int grow_file_system(const char *dir, const struct part *p, struct err *e)
{
	struct statvfs fs;
	uint64_t blocks;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;

	if (fd < 0 || fstatvfs(fd, &fs) < 0) {
		r = err_sys(e, errno, "%s", dir);
	} else {
		blocks = p->size * 512 / fs.f_bsize;
		/* As large as that already is 0, too. */
		if (ioctl(fd, EXT4_IOC_RESIZE_FS, &blocks) < 0)
			r = err_sys(e, errno, "%s: its ext4 does not grow to %llu blocks", dir, (unsigned long long)blocks);
	}
	if (fd >= 0)
		close(fd);
	return r;
}

static int grow(const char *dir, struct err *e)
{
	struct statvfs before, after;
	struct part p;
	int r;

	if (statvfs(dir, &before) < 0)
		return err_sys(e, errno, "%s", dir);
	if (before.f_flag & ST_RDONLY)
		return 0;
	r = find(dir, &p, e);
	if (r == 0)
		r = grow_partition(&p, e);
	if (r >= 0)
		r = grow_file_system(dir, &p, e);
	if (r == 0 && statvfs(dir, &after) == 0 && after.f_blocks > before.f_blocks)
		fprintf(stderr, "data: %s grown from %llu to %llu MiB\n", dir, (unsigned long long)before.f_blocks * before.f_frsize >> 20,
			(unsigned long long)after.f_blocks * after.f_frsize >> 20);
	return r;
}

int cmd_grow(int argc, char **argv)
{
	struct job_result r = { .code = JOB_DONE };
	struct err e = { "" };
	uint64_t fd = 0;

	if (argc != 4 || strcmp(argv[1], "--result-fd") != 0 || !quadlet_u64(argv[2], 1023, &fd)) {
		fprintf(stderr, "usage: coracle-bundle grow --result-fd N DIR\n");
		return 2;
	}
	if (grow(argv[3], &e) < 0) {
		r.code = JOB_REFUSED;
		snprintf(r.text, sizeof(r.text), "data: not grown: %.350s", e.text);
	}
	job_send((int)fd, &r);
	return r.code == JOB_DONE ? 0 : 1;
}
