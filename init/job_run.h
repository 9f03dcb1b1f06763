/* SPDX-License-Identifier: MIT */
/*
 * Jobs: children of PID 1 that do what PID 1 must not, anything that can wait
 * for a disk, a peer or a parser. Each has a deadline and its own session, writes
 * struct job_result on a pipe, and ends; then PID 1 learns how. A job that
 * misses its deadline is killed with all it started.
 */
#ifndef CORACLE_JOB_RUN_H
#define CORACLE_JOB_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "job.h"
#include "lines.h"

enum job_kind { JOB_FREE, JOB_MODULES, JOB_MOUNT, JOB_NET, JOB_UNITS, JOB_PULL, JOB_PREPARE, JOB_SYNC, JOB_RESETS, JOB_GROW, JOB_VERIFY, JOB_REEXEC,
	JOB_NETWORKS,
	JOB_CHECK, JOB_FETCH, JOB_SLOT, JOB_NOTE, JOB_GC };	/* of updates: update_child.h */

enum { JOBS_MAX = 8, JOB_ARGS_MAX = 44 + CONFIG_UNITS_MAX };

struct job {
	enum job_kind kind;		/* JOB_FREE: this place is free */
	int unit;			/* index, -1: the board's */
	pid_t pid;
	int result_fd, memfd;		/* -1: none; memfd: table or record */
	struct lines err;
	uint64_t begin_ms, deadline_ms, stall_ms, heard_ms;	/* stall_ms 0: no limit on silence */
	const char *killed;		/* why PID 1 killed it, or NULL */
	bool has_result;
	struct job_result result;	/* the final one, checked */
};

struct pid1;

const char *job_kind_name(enum job_kind kind);

/* Starts one; false where no place is free or it could not be forked (said in the log): the caller tries again later. */
bool job_run_modules(struct pid1 *p);
bool job_run_mount(struct pid1 *p);
bool job_run_grow(struct pid1 *p);
bool job_run_verify(struct pid1 *p);
bool job_run_net(struct pid1 *p);
bool job_run_resets(struct pid1 *p);
bool job_run_reexec(struct pid1 *p);
bool job_run_sync(struct pid1 *p, bool umounts);
bool job_run_units(struct pid1 *p, bool has_store);
bool job_run_pull(struct pid1 *p, unsigned unit);
bool job_run_prepare(struct pid1 *p, unsigned unit);
/* UNIT's network, made anew; -1: what is left of units that have none any more is taken away. One at once. */
bool job_run_networks(struct pid1 *p, int unit);
bool job_run_update(struct pid1 *p, enum job_kind kind, int unit);

/* How many of this kind run; UNIT -1: for any. */
unsigned job_count(const struct pid1 *p, enum job_kind kind, int unit);

void job_kill(struct job *j, const char *why);
void job_kill_of_unit(struct pid1 *p, unsigned unit, const char *why);

/* Reads what the job wrote. */
void job_hear(struct pid1 *p, struct job *j);

/* PID is a job: takes its end in, tells sup or board, frees the place, true. STATUS as of waitpid. */
bool job_reaped(struct pid1 *p, pid_t pid, int status);

/* Kills what is over its deadline. Returns when to look again (0: never). */
uint64_t job_expire(struct pid1 *p, uint64_t now_ms);

#endif
