/* SPDX-License-Identifier: MIT */
/* One question to PID 1 over its socket, and one answer; for the client and for dhcpcd's script. Waits seconds at most; never allocates. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "client.h"
#include "text.h"

int client_open(const char *path, const struct control_request *q, struct control_reply *r, int *fd)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const struct timeval limit = { .tv_sec = 5 };
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} control;
	struct iovec io = { r, sizeof(*r) };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control) };
	struct cmsghdr *h;
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int ret = 0, got[2] = { -1, -1 }, count = 1 + (q->command == CONTROL_EXEC);
	ssize_t n;

	if (s < 0)
		return -errno;
	text_copy(a.sun_path, sizeof(a.sun_path), path);
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(s, (struct sockaddr *)&a, sizeof(a)) < 0 || send(s, q, sizeof(*q), MSG_NOSIGNAL) < 0 ||
	    (n = recvmsg(s, &m, MSG_CMSG_CLOEXEC)) < 0) {
		ret = -errno;
		goto out;
	}
	h = CMSG_FIRSTHDR(&m);
	if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS && h->cmsg_len == CMSG_LEN((size_t)count * sizeof(int)))
		memcpy(got, CMSG_DATA(h), (size_t)count * sizeof(int));
	if (n != sizeof(*r) || r->magic != CONTROL_MAGIC)
		ret = -EPROTO;
	r->text[sizeof(r->text) - 1] = '\0';
out:
	for (int i = 0; i < count; i++) {
		if (got[i] >= 0 && (ret < 0 || !fd))
			close(got[i]);
		if (fd)
			fd[i] = ret < 0 ? -1 : got[i];
	}
	if (ret == 0)
		return s;
	close(s);
	return ret;
}

int client_ask(const char *path, const struct control_request *q, struct control_reply *r, int *fd)
{
	int s = client_open(path, q, r, fd);

	if (s < 0)
		return s;
	close(s);
	return 0;
}
