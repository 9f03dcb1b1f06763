/* SPDX-License-Identifier: MIT */
/* The child's half of a job: descriptor 3 is the result pipe, 4 the memfd where the job makes one, 1 and 2 go to PID 1's log. */
#ifndef CORACLE_JOB_CHILD_H
#define CORACLE_JOB_CHILD_H

#include "job_run.h"

enum { JOB_RESULT_FD = 3, JOB_MEMFD = 4, TRUST_FILES = 4 };

struct job_child {
	const struct pid1 *pid1;
	enum job_kind kind;
	int unit;
	bool flag;		/* units: the store is there; sync: umount the data partition */
};

/* A command line in the making, with room for the texts that are put together for it. */
struct unit;

struct job_args {
	char *v[JOB_ARGS_MAX];
	unsigned len;			/* begins at 1 */
	char path[192], auth[192], data_units[160], ref[UNIT_IMAGE_MAX + 16], trust[TRUST_FILES][160], release[192], own_certs[160], preload[256], number[2][24];
};

void job_add(struct job_args *a, const char *word);
/* "--result-fd 3", "--store DIR". */
void job_add_common(struct job_args *a, const struct pid1 *p);
/* Policy, certificates, mirrors, proxies and credentials of the board. */
void job_add_trust(struct job_args *a, const struct pid1 *p);
/* The unit's image as coracle-fetch is asked for it: from its registry, or the layout or archive that oci:/ or oci-archive:/ names. */
const char *job_ref(struct job_args *a, const struct unit *u);
/* Executes PROGRAM beside coracle-init; returns only where that failed. */
int job_exec(struct job_args *a, const struct pid1 *p, const char *program);

/* Runs the job, ARG is a struct job_child. Its exit status: 0 or 1. */
int job_child(void *arg);

/* Sends the final message; returns the exit status that belongs to it. */
int job_say(unsigned code, const char *text);

#endif
