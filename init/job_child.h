/* SPDX-License-Identifier: MIT */
/* The child's half of a job: descriptor 3 is the result pipe, 4 the memfd where the job makes one, 1 and 2 go to PID 1's log. */
#ifndef CORACLE_JOB_CHILD_H
#define CORACLE_JOB_CHILD_H

#include "job_run.h"

enum { JOB_RESULT_FD = 3, JOB_MEMFD = 4 };

struct job_child {
	const struct pid1 *pid1;
	enum job_kind kind;
	int unit;
	bool flag;		/* units: the store is there; sync: umount the data partition */
};

/* Runs the job, ARG is a struct job_child. Its exit status: 0 or 1. */
int job_child(void *arg);

/* Sends the final message; returns the exit status that belongs to it. */
int job_say(unsigned code, const char *text);

#endif
