/* SPDX-License-Identifier: MIT */
/* Lines of jobs and helpers on their way into PID 1's log; plog makes them printable. Never allocates, never waits. */
#include "lines.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "plog.h"

int lines_open(struct lines *l)
{
	int ends[2];

	l->fd = -1;
	l->len = 0;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	l->fd = ends[0];
	return ends[1];
}

static void end_line(struct lines *l, const char *name)
{
	l->text[l->len] = '\0';
	if (l->len)
		plog("%s: %s", name, l->text);
	l->len = 0;
}

void lines_hear(struct lines *l, const char *name)
{
	char buf[512];
	ssize_t n;

	for (int turn = 0; turn < 8 && l->fd >= 0; turn++) {
		n = read(l->fd, buf, sizeof(buf));
		if (n == 0) {
			close(l->fd);
			l->fd = -1;
		}
		if (n <= 0)
			return;
		for (ssize_t i = 0; i < n; i++) {
			if (buf[i] == '\n' || l->len == sizeof(l->text) - 1)
				end_line(l, name);
			if (buf[i] != '\n')
				l->text[l->len++] = buf[i];
		}
	}
}

void lines_close(struct lines *l, const char *name)
{
	lines_hear(l, name);
	end_line(l, name);
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}
