/* SPDX-License-Identifier: MIT */
/*
 * Starting one container, in two stages. Stage 1, the starter, is forked from
 * the caller (PID 1 or `coracle-init run`): it maps and checks the record and
 * makes every mount that needs the initial user namespace as descriptors.
 * Then it clones the program's process as a child of the caller
 * (CLONE_PARENT), says so, lets it go and leaves. Stage 2, the program's
 * process, moves the mounts in place, pivots, drops, filters and execs.
 *
 * What the caller sees on the report descriptor, in order:
 *
 *	START_NOTE*              something is weaker than asked, and what is lost
 *	START_CREATED            pid and pidfd of the program; it has not run a line yet
 *	START_NOTE*
 *	START_TERMINAL           with process.terminal only: the caller's end of it, in the place of the pidfd
 *	START_FAILED | end       end after CREATED: execve succeeded (or the process was
 *	                         killed: its own exit status says so); end without CREATED: the
 *	                         starter died, its exit status says how
 *
 * Both starter and program are children of the caller, which reaps them. It
 * must read the report descriptor dry before it reaps a pid it does not know:
 * CREATED is always sent before the program can run. The deadline is the
 * caller's: kill the starter, and the program too once CREATED was seen. A
 * program whose starter died before it let it go ends by itself.
 */
#ifndef CORACLE_START_H
#define CORACLE_START_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum start_kind {
	START_CREATED = 1,
	START_NOTE = 2,
	START_FAILED = 3,
	START_TERMINAL = 4,
};

enum start_exit {		/* exit status of a program process that never ran the program */
	START_EXIT_OURS = 125,
	START_EXIT_NOT_EXECUTABLE = 126,
	START_EXIT_NOT_FOUND = 127,
};

/* One fixed-size message; the texts end in NUL. */
struct start_report {
	uint32_t kind;		/* enum start_kind */
	int32_t pid;		/* CREATED */
	int32_t error;		/* errno value; 0: object holds the whole reason */
	uint32_t exit_status;	/* FAILED: enum start_exit */
	char step[64];		/* "mount", "exec", ... */
	char object[384];	/* path or name of what it failed on */
};

struct start_request {
	int record_fd;		/* sealed memfd or file with a run record; mapped by the starter only */
	const char *cgroup;	/* absolute path of the unit's cgroup v2 directory: made and limited by the starter, killed and
				 * removed by the caller (cgroup.h). NULL: none, limits are skipped with a NOTE if there are any */
	int stdio[3];		/* become 0, 1, 2; -1: /dev/null of the container */
	bool chown_stdio;	/* pipes among them become the program's user's, so that it can open /dev/stdout again */
	bool die_with_parent;	/* SIGKILL when the caller dies (host runs) */
};

struct start {
	pid_t starter;
	int report_fd;		/* non-blocking; the caller closes it after end */
};

/* Forks the starter. Returns at once; 0 or -errno (then nothing runs and nothing is open). The request's descriptors stay the caller's. */
int start_fork(const struct start_request *q, struct start *s);

/* One message. 1: *R is filled, *PIDFD is a new descriptor with CREATED and TERMINAL, else -1. 0: end. -EAGAIN: nothing yet, else -errno. Never blocks. */
int start_read(int report_fd, struct start_report *r, int *pidfd);

/* "step object: reason" into OUT (always ended by NUL). */
void start_text(const struct start_report *r, char *out, size_t size);

#endif
