/* SPDX-License-Identifier: MIT */
/*
 * The reporting half that runs in the starter and in the program's process:
 * one fixed-size message for each thing that went wrong. write(2) and not
 * sendmsg(2) (which hands descriptors over, earlier), because after the seccomp filter is in place it is the one that
 * any usable filter allows.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "start_inner.h"

static void copy_text(char *to, size_t size, const char *from)
{
	size_t len = from ? strnlen(from, size - 1) : 0;

	memcpy(to, from ? from : "", len);
	to[len] = '\0';
}

static void send_report(struct start_context *c, struct start_report *r, const char *step, const char *object)
{
	ssize_t n;

	copy_text(r->step, sizeof(r->step), step);
	copy_text(r->object, sizeof(r->object), object);
	do {
		n = write(c->report_fd, r, sizeof(*r));
	} while (n < 0 && errno == EINTR);
}

int start_fail(struct start_context *c, const char *step, const char *object, int errnum)
{
	struct start_report r = { .kind = START_FAILED, .error = errnum, .exit_status = START_EXIT_OURS };

	send_report(c, &r, step, object);
	return errnum ? -errnum : -ECANCELED;
}

int start_fail_exec(struct start_context *c, const char *object, int errnum)
{
	struct start_report r = { .kind = START_FAILED, .error = errnum };

	r.exit_status = errnum == ENOENT ? START_EXIT_NOT_FOUND : START_EXIT_NOT_EXECUTABLE;
	send_report(c, &r, "exec", object);
	return -errnum;
}

void start_note(struct start_context *c, const char *step, const char *object, int errnum)
{
	struct start_report r = { .kind = START_NOTE, .error = errnum };

	send_report(c, &r, step, object);
}

int start_send_fd(struct start_context *c, enum start_kind kind, int pid, int fd)
{
	struct start_report r = { .kind = kind, .pid = pid };
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec io = { .iov_base = &r, .iov_len = sizeof(r) };
	struct msghdr m = {
		.msg_iov = &io, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	return sendmsg(c->report_fd, &m, MSG_NOSIGNAL) == (ssize_t)sizeof(r) ? 0 : -EPIPE;
}
