/* SPDX-License-Identifier: MIT */
/*
 * Factory reset, in the sync job. Nothing is made or formatted: the entries are renamed into trash/, which makes them gone for good after
 * one sync, and then removed. No link is followed; file systems mounted below (there should be none by then) are not entered.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data_mount.h"
#include "dir.h"

enum { DEPTH_MAX = 300 };

struct at {
	int dir, trash;
	unsigned depth;
};

static int set_aside(const char *name, void *arg)
{
	const struct at *a = arg;

	if (strcmp(name, "lost+found") != 0 && strcmp(name, "trash") != 0 && renameat(a->dir, name, a->trash, name) < 0)
		fprintf(stderr, "reset: %s: %s\n", name, strerror(errno));
	return 0;
}

static int remove_one(const char *name, void *arg)
{
	struct at *a = arg;
	struct at below = { .depth = a->depth + 1 };

	if (unlinkat(a->dir, name, 0) == 0 || below.depth > DEPTH_MAX)
		return 0;
	below.dir = openat(a->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (below.dir >= 0) {
		dir_walk_fd(below.dir, remove_one, &below);
		close(below.dir);
	}
	if (unlinkat(a->dir, name, AT_REMOVEDIR) < 0)
		fprintf(stderr, "reset: %s: %s\n", name, strerror(errno));
	return 0;
}

void data_wipe(const char *dir)
{
	struct at a = { .dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .trash = -1 };

	if (a.dir >= 0 && (mkdirat(a.dir, "trash", 0700) == 0 || errno == EEXIST))
		a.trash = openat(a.dir, "trash", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (a.trash < 0) {
		fprintf(stderr, "reset: %s: %s\n", dir, strerror(errno));
		return;
	}
	dir_walk_fd(a.dir, set_aside, &a);
	fsync(a.trash);
	fsync(a.dir);
	a.dir = a.trash;
	dir_walk_fd(a.trash, remove_one, &a);
}
