/* SPDX-License-Identifier: MIT */
/*
 * Staging: where a layer or image grows before anybody may see it. Its maker holds a flock that
 * dies with it, so that what a killed pull left is known for rubbish without asking a clock or a pid.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "store_dir.h"

int staging_begin(struct store *s, struct staging *t, struct err *e)
{
	char path[64];
	uint64_t random;

	t->dir = -1;
	for (int attempt = 0; attempt < 16; attempt++) {
		if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
			random = (uint64_t)getpid() << 32 | (uint64_t)attempt;
		snprintf(t->name, sizeof(t->name), "%016llx", (unsigned long long)random);
		snprintf(path, sizeof(path), "tmp/%s", t->name);
		if (mkdirat(s->root, path, 0700) < 0) {
			if (errno == EEXIST)
				continue;
			return err_sys(e, errno, "%s/%s: cannot make the staging directory", s->path, path);
		}
		t->dir = file_open_beneath(s->root, path, O_RDONLY | O_DIRECTORY, 0);
		/* A sweep may have come between: then it is gone, and the next name is tried. */
		if (t->dir >= 0 && flock(t->dir, LOCK_EX | LOCK_NB) == 0 && faccessat(s->root, path, F_OK, 0) == 0)
			return 0;
		if (t->dir >= 0)
			close(t->dir);
		t->dir = -1;
	}
	return err_set(e, -EBUSY, "%s/tmp: no staging directory could be made", s->path);
}

void staging_end(struct store *s, struct staging *t)
{
	char path[64];

	if (t->dir < 0)
		return;
	snprintf(path, sizeof(path), "tmp/%s", t->name);
	file_remove_tree(s->root, path, NULL);
	close(t->dir);
	t->dir = -1;
}

void staging_sweep(struct store *s)
{
	static const char *const folders[] = { "tmp", "trash" };

	for (size_t i = 0; i < 2; i++) {
		int fd = file_open_beneath(s->root, folders[i], O_RDONLY | O_DIRECTORY, 0);
		DIR *list = fd < 0 ? NULL : fdopendir(fd);
		struct dirent *entry;

		while (list && (entry = readdir(list))) {
			int dir;

			if (entry->d_name[0] == '.')
				continue;
			dir = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (dir >= 0 && flock(dir, LOCK_EX | LOCK_NB) == 0)
				file_remove_tree(fd, entry->d_name, NULL);
			if (dir >= 0)
				close(dir);
		}
		if (list)
			closedir(list);
	}
}
