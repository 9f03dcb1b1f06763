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

enum { LOCK_MS = 10000 };

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

int store_hold(struct store *s, const struct digest *chain, struct err *e)
{
	char hex[DIGEST_HEX_LEN + 1];
	int lock = store_lock(s, false, LOCK_MS, e), fd, r;

	if (lock < 0)
		return lock;
	r = s->holds.dir < 0 ? staging_begin(s, &s->holds, e) : 0;
	if (r == 0) {
		fd = openat(s->holds.dir, store_hex(chain, hex), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			r = err_sys(e, errno, "%s/tmp/%s: cannot hold a layer", s->path, s->holds.name);
		else
			close(fd);
	}
	close(lock);
	return r;
}

/* Names of the layers that the holder of open tmp/<random> DIR (taken over) wrote down. */
static int each_hold(int dir, int (*visit)(void *to, const struct digest *chain), void *to)
{
	DIR *list = fdopendir(dir);
	struct dirent *entry;
	int r = 0;

	if (!list) {
		close(dir);
		return -ENOMEM;
	}
	while (r == 0 && (entry = readdir(list))) {
		char text[DIGEST_TEXT_LEN + 1];
		struct digest d;

		snprintf(text, sizeof(text), "sha256:%.64s", entry->d_name);
		if (strlen(entry->d_name) == DIGEST_HEX_LEN && digest_parse(span_str(text), &d) == 0)
			r = visit(to, &d);
	}
	closedir(list);
	return r;
}

int staging_each_hold(struct store *s, int (*visit)(void *to, const struct digest *chain), void *to)
{
	int fd = file_open_beneath(s->root, "tmp", O_RDONLY | O_DIRECTORY, 0), r = 0;
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!list) {
		if (fd >= 0)
			close(fd);
		return fd == -ENOENT ? 0 : -EIO;
	}
	while (r == 0 && (entry = readdir(list))) {
		int dir = entry->d_name[0] == '.' ? -1 : openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (dir < 0)
			continue;
		if (flock(dir, LOCK_EX | LOCK_NB) < 0)
			r = each_hold(dir, visit, to);
		else
			close(dir);	/* its maker is gone */
	}
	closedir(list);
	return r;
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
