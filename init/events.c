/* SPDX-License-Identifier: MIT */
/* The stream of events, PID 1's side. What the kernel keeps for a reader is bounded by the socket's buffer. Never allocates, never waits. */
#include "events.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "pid1.h"
#include "text.h"

enum { BUFFER = 65536 };

bool events_add(struct pid1 *p, int fd)
{
	const int size = BUFFER;

	for (unsigned i = 0; i < EVENTS_READERS; i++) {
		if (p->readers[i].fd > 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		p->readers[i].fd = fd;
		p->readers[i].lost = 0;
		return true;
	}
	return false;
}

static void drop(struct reader *r)
{
	close(r->fd);
	r->fd = 0;
}

void events_say(struct pid1 *p, enum event_kind kind, int unit, uint32_t value, const char *reason)
{
	struct control_event e = { .magic = EVENTS_MAGIC, .kind = kind, .value = value, .sequence = p->status->sequence };
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	e.seconds = now.tv_sec;
	e.nanoseconds = now.tv_nsec;
	text_copy(e.unit, sizeof(e.unit), unit < 0 ? "" : p->units[unit].entry.name);
	text_copy(e.reason, sizeof(e.reason), reason);
	for (unsigned i = 0; i < EVENTS_READERS; i++) {
		struct reader *r = &p->readers[i];

		if (r->fd <= 0)
			continue;
		e.lost = r->lost;
		if (send(r->fd, &e, sizeof(e), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(e))
			r->lost = 0;
		else if (errno == EPIPE || errno == ECONNRESET)
			drop(r);
		else if (r->lost < UINT32_MAX)
			r->lost++;
	}
}

void events_hear(struct pid1 *p, unsigned i)
{
	char byte;
	ssize_t n = recv(p->readers[i].fd, &byte, 1, MSG_DONTWAIT);

	if (n >= 0 || (errno != EAGAIN && errno != EINTR))
		drop(&p->readers[i]);
}
