/* SPDX-License-Identifier: MIT */
/*
 * The caller's side of a start: forks the starter, reads its reports. Runs in
 * PID 1, so nothing here blocks, allocates or looks at the record; a report
 * comes from our own code before it executes anything foreign, yet its
 * length and terminators are forced all the same.
 */
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "start_inner.h"

int start_fork(const struct start_request *q, struct start *s)
{
	int pair[2];
	int r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	if (fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0) {
		r = -errno;
		goto out;
	}
	s->starter = fork();
	if (s->starter < 0) {
		r = -errno;
		goto out;
	}
	if (s->starter == 0) {
		close(pair[0]);
		start_stage1(q, pair[1]);
	}
	close(pair[1]);
	s->report_fd = pair[0];
	return 0;
out:
	close(pair[0]);
	close(pair[1]);
	return r;
}

/* The one descriptor that came along, or -1. */
static int take_fd(struct msghdr *m)
{
	struct cmsghdr *h = CMSG_FIRSTHDR(m);
	int fd = -1;

	if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS &&
	    h->cmsg_len == CMSG_LEN(sizeof(fd)))
		memcpy(&fd, CMSG_DATA(h), sizeof(fd));
	return fd;
}

int start_read(int report_fd, struct start_report *r, int *pidfd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec io = { .iov_base = r, .iov_len = sizeof(*r) };
	struct msghdr m = {
		.msg_iov = &io, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	ssize_t n;

	*pidfd = -1;
	do {
		n = recvmsg(report_fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return 0;
	*pidfd = take_fd(&m);
	if (n != sizeof(*r)) {
		if (*pidfd >= 0)
			close(*pidfd);
		*pidfd = -1;
		return -EPROTO;
	}
	r->step[sizeof(r->step) - 1] = '\0';
	r->object[sizeof(r->object) - 1] = '\0';
	return 1;
}

void start_text(const struct start_report *r, char *out, size_t size)
{
	if (r->error == 0)
		snprintf(out, size, "%s: %s", r->step, r->object);
	else
		snprintf(out, size, "%s %s: %s%s", r->step, r->object, strerror(r->error),
			r->error == ENOEXEC ? ": no program of this processor's architecture" : "");
}
