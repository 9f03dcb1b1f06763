/* SPDX-License-Identifier: MIT */
/* Files named by digests, beneath the store. A flock says who is at one; it dies with its holder. */
#include "partial.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

enum { REPLAY_BYTES = 65536 };

void partial_open(struct partial *p, int root, const struct digest *d, uint64_t size)
{
	struct stat st;

	*p = (struct partial){ .root = root, .fd = -1 };
	snprintf(p->path, sizeof(p->path), "partial/%s", digest_text(d).text + 7);
	p->fd = file_open_beneath(root, p->path, O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK, 0600);
	if (p->fd < 0) {
		p->fd = -1;
		return;
	}
	/* Its holder may have removed it between our open and our lock: then it has no name any more. */
	if (flock(p->fd, LOCK_EX | LOCK_NB) < 0 || fstat(p->fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink == 0) {
		close(p->fd);
		p->fd = -1;
		return;
	}
	p->len = (uint64_t)st.st_size;
	if (p->len > size) {
		p->len = 0;
		if (ftruncate(p->fd, 0) < 0)
			partial_drop(p);
	}
}

void partial_add(struct partial *p, const void *at, size_t len)
{
	if (p->fd < 0)
		return;
	if (file_write_all(p->fd, at, len) < 0)
		partial_drop(p);
	else
		p->len += len;
}

int partial_replay(struct partial *p, int (*sink)(void *to, const void *at, size_t len), void *to)
{
	static char data[REPLAY_BYTES];
	uint64_t done = 0;
	int r = 0;

	while (r == 0 && done < p->len) {
		ssize_t n = pread(p->fd, data, sizeof(data), (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EIO;
		done += (uint64_t)n;
		r = sink(to, data, (size_t)n);
	}
	return r;
}

void partial_keep(struct partial *p)
{
	if (p->fd >= 0 && p->len == 0)
		unlinkat(p->root, p->path, 0);
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

void partial_drop(struct partial *p)
{
	p->len = 0;
	partial_keep(p);
}

/* Is NAME the hex of one of them? */
static bool is_wanted(const char *name, const struct digest *const *wanted, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (strcmp(name, digest_text(wanted[i]).text + 7) == 0)
			return true;
	return false;
}

/* The oldest that may go into NAME; how many there are. */
static size_t find_oldest(DIR *list, const struct digest *const *wanted, size_t len, char name[256])
{
	struct dirent *entry;
	struct timespec oldest = { 0 };
	size_t count = 0;

	rewinddir(list);
	while ((entry = readdir(list))) {
		struct stat st;
		int fd;

		if (entry->d_name[0] == '.' || is_wanted(entry->d_name, wanted, len))
			continue;
		fd = openat(dirfd(list), entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0) {
			if (!count || st.st_mtim.tv_sec < oldest.tv_sec) {
				oldest = st.st_mtim;
				snprintf(name, 256, "%s", entry->d_name);
			}
			count++;
		}
		close(fd);
	}
	return count;
}

void partial_sweep(int root, const struct digest *const *wanted, size_t wanted_len, size_t keep)
{
	int fd = file_open_beneath(root, "partial", O_RDONLY | O_DIRECTORY, 0);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	char name[256];

	if (!list) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while (find_oldest(list, wanted, wanted_len, name) > keep)
		if (unlinkat(fd, name, 0) < 0)
			break;
	closedir(list);
}
