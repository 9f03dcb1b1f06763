/* SPDX-License-Identifier: MIT */
/*
 * What the two stages of a start share. Both run in processes that came from
 * a fork of PID 1: no allocation, no locks, no stdio; memory is the stack,
 * this context and one anonymous mapping for argv. A function returns 0 (or a
 * descriptor) or a negative number, and then the report was sent by the one
 * that failed: callers only pass it up.
 */
#ifndef CORACLE_START_INNER_H
#define CORACLE_START_INNER_H

#include "../lib/record.h"
#include "start.h"

enum { START_MOUNTS_MAX = 128 };

struct start_context {
	const struct start_request *request;
	const struct record_head *record;
	int report_fd;		/* close-on-exec: its end tells the caller that execve happened */
	int go_fd;		/* read end; stage 2 waits for one byte, end of file means the starter died */
	int cgroup_fd;		/* directory, or -1 */
	bool has_userns;	/* the program gets a user namespace of its own */
	int userns_fd;		/* one with the same maps, for mounts, or -1 */
	int root_fd;		/* detached mount of the rootfs */
	int dev_fd;		/* detached tmpfs with nodes; -1: the container is there already */
	int mount_fd[START_MOUNTS_MAX];	/* one per record mount; -1: stage 2 makes it */
	uint8_t is_skipped[START_MOUNTS_MAX];	/* optional and its source is missing */
	char **argv, **envp;
};

/* Sends FAILED; returns -ERRNUM, or -ECANCELED where ERRNUM is 0 (then OBJECT is the whole reason). */
int start_fail(struct start_context *c, const char *step, const char *object, int errnum);

/* The same with the exit status that says why the program could not be executed. */
int start_fail_exec(struct start_context *c, const char *object, int errnum);

/* Sends NOTE: something is weaker than asked. */
void start_note(struct start_context *c, const char *step, const char *object, int errnum);

/* oom_score_adj of this process and those it makes. */
int start_oom_score(struct start_context *c);

/* All signals as a new process has them. */
void start_reset_signals(void);

/* Maps and checks the request's record and makes argv and envp: for another process that is to be like the program (join.h). */
int start_load(struct start_context *c);

/* The record's device rules for the unit's cgroup. */
int start_devices(struct start_context *c);

/* Sends a message of KIND with a descriptor. 0 or -EPIPE. */
int start_send_fd(struct start_context *c, enum start_kind kind, int pid, int fd);

/* Stage 1, whole: in the forked starter. Never returns. */
_Noreturn void start_stage1(const struct start_request *q, int report_fd);

/* Stage 2, whole: in the program's process. Never returns. */
_Noreturn void enter_program(struct start_context *c);

#endif
