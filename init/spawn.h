/* SPDX-License-Identifier: MIT */
/*
 * Forking a helper or a job of PID 1. The child has its own session, default
 * signals and an empty mask, an ordinary OOM score, and no descriptor but those
 * named. PID 1 itself never waits here.
 */
#ifndef CORACLE_SPAWN_H
#define CORACLE_SPAWN_H

#include <sys/types.h>

enum { SPAWN_FDS_MAX = 5, SPAWN_FIRST_FD = 3 };

struct spawn {
	const char *name;		/* of the process as ps shows it, where it does not exec */
	int stdio[3];			/* become 0, 1, 2; -1: /dev/null */
	int fds[SPAWN_FDS_MAX];		/* become 3, 4, ...; in order */
	int fds_len;
	int (*run)(void *arg);		/* runs in the child, which leaves with what it returns */
	void *arg;
	int keeps_fds;			/* do not close the other descriptors (the logger, which uses PID 1's own) */
};

/* The pid, or -errno. */
pid_t spawn(const struct spawn *s);

/* In the child: execve with PID 1's small constant environment; returns 127 or 126 after a line on descriptor 2. */
int spawn_exec(const char *path, char *const argv[]);

#endif
