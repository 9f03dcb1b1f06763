/* SPDX-License-Identifier: MIT */
/* The bytes are a peer's and are only carried. Runs in the net jail. */
#include "ahead.h"

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

enum { AHEAD_SIZE = 64 * 1024, INPUT = POLLIN | POLLRDNORM };

static int ahead_fd = -1;
static struct {
	size_t at, len;
	uint8_t data[AHEAD_SIZE];
} ahead;

void ahead_begin(int fd)
{
	ahead_fd = fd;
	ahead.at = ahead.len = 0;
}

bool ahead_has(void)
{
	return ahead.at < ahead.len;
}

/* By recvfrom(2): recv(2) is the one that is replaced. */
ssize_t ahead_recv(int fd, void *to, size_t len, int flags)
{
	size_t n;

	if (fd != ahead_fd || (!ahead_has() && (flags & MSG_PEEK)))
		return recvfrom(fd, to, len, flags, NULL, NULL);
	if (!ahead_has()) {
		ssize_t got = recvfrom(fd, ahead.data, sizeof(ahead.data), flags, NULL, NULL);

		if (got <= 0)
			return got;
		ahead.at = 0;
		ahead.len = (size_t)got;
	}
	n = ahead.len - ahead.at < len ? ahead.len - ahead.at : len;
	memcpy(to, ahead.data + ahead.at, n);
	if (!(flags & MSG_PEEK))
		ahead.at += n;
	return (ssize_t)n;
}

struct pollfd *ahead_find(struct pollfd *p, nfds_t len)
{
	for (nfds_t i = 0; ahead_has() && i < len; i++)
		if (p[i].fd == ahead_fd && (p[i].events & INPUT))
			return &p[i];
	return NULL;
}

int ahead_say(struct pollfd *found, int r)
{
	if (r < 0)
		return r;
	r += found->revents == 0;
	found->revents |= (short)(found->events & INPUT);
	return r;
}
