/* SPDX-License-Identifier: MIT */
/* The child's half of an update's jobs: JOB_CHECK, JOB_FETCH, JOB_SLOT (its step is the unit's update.op), JOB_NOTE, JOB_GC. */
#ifndef CORACLE_UPDATE_CHILD_H
#define CORACLE_UPDATE_CHILD_H

#include "job_run.h"

struct pid1;

/* Executes the job's program; returns an exit status only where that failed. UNIT -1: the board's. */
int update_child(const struct pid1 *p, enum job_kind kind, int unit);

#endif
