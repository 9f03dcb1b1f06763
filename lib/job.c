/* SPDX-License-Identifier: MIT */
/* The sending side of a job's messages to PID 1. Never allocates. */
#include "job.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

void job_send(int fd, const struct job_result *r)
{
	struct job_result copy = *r;

	if (fd < 0)
		return;
	copy.magic = JOB_MAGIC;
	copy.digest[sizeof(copy.digest) - 1] = '\0';
	copy.signer[sizeof(copy.signer) - 1] = '\0';
	copy.text[sizeof(copy.text) - 1] = '\0';
	copy.health.arg[sizeof(copy.health.arg) - 1] = '\0';
	/* Progress may be lost, the final message may not: its pipe is waited for. */
	if (copy.code == JOB_PROGRESS) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT))
			return;
	}
	while (write(fd, &copy, sizeof(copy)) < 0 && errno == EINTR)
		;
}

void job_progress(int fd, const char *step, uint64_t done, uint64_t total)
{
	struct job_result r = { .code = JOB_PROGRESS, .bytes_done = done, .bytes_total = total };
	size_t len = strlen(step);

	memcpy(r.text, step, len < sizeof(r.text) ? len : sizeof(r.text) - 1);
	job_send(fd, &r);
}
