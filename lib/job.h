/* SPDX-License-Identifier: MIT */
/*
 * What a job tells PID 1: fixed-size messages, each one write(2) of less than
 * PIPE_BUF on the pipe given as --result-fd. Any number of JOB_PROGRESS, at most one final
 * message, then exit status 0 or 1. PID 1 believes no length and no
 * terminator in it: it forces a NUL at the end of every text.
 */
#ifndef CORACLE_JOB_H
#define CORACLE_JOB_H

#include <stdint.h>

#include "unit_table.h"

enum { JOB_MAGIC = 0x4a524333, JOB_TEXT_MAX = 384 };

enum job_code {
	JOB_PROGRESS = 0,	/* bytes_done / bytes_total, text = the step */
	JOB_DONE = 1,
	JOB_RETRY = 2,		/* the link, the disk, the registry: worth trying again with backoff */
	JOB_REFUSED = 3,	/* signature, policy, platform, limits, bad unit: trying again is pointless until something changes (PID 1 looks again at long intervals) */
	JOB_LATER = 5,		/* pull --staged: it is signed for a part of the boards, and not for this one yet; digest: of what it would be */
	JOB_DAMAGED = 4,	/* the local store does not hold what it should: pull again */
};

struct job_result {
	uint32_t magic;		/* JOB_MAGIC */
	uint32_t code;		/* enum job_code */
	uint64_t bytes_done;
	uint64_t bytes_total;
	uint32_t stop_signal;	/* prepare: the signal that stops the program (unit, else image, else SIGTERM); 0: not said */
	uint32_t wants_room;	/* pull: it failed because the store is full; 0: no */
	struct unit_health health;	/* prepare: the image's HEALTHCHECK */
	char version[32];	/* prepare: what the image calls itself (org.opencontainers.image.version), or "" */
	char digest[72];	/* manifest digest that was resolved or taken into use, or "" */
	char signer[128];	/* which key of which policy scope admitted it, or "" */
	char text[JOB_TEXT_MAX];/* the step, or what failed, on which object, why, what to do */
};

/* Sends one message on FD; does nothing where FD is negative. Never blocks for
 * long: a full pipe drops a progress message. Text is cut to fit. */
void job_send(int fd, const struct job_result *r);
void job_progress(int fd, const char *step, uint64_t done, uint64_t total);

#endif
