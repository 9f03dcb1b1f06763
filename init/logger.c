/* SPDX-License-Identifier: MIT */
/*
 * The logger. Its input is whatever programs print: any bytes, at any speed.
 * It only ever copies them into rings that overwrite themselves, so a flood
 * costs the program's own old lines and never blocks it; control characters
 * stay in the ring and are made harmless by whoever shows them. It runs as
 * an unprivileged user and dies alone: PID 1 keeps both ends of all pipes.
 */
#include "logger.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "pid1.h"
#include "ring.h"
#include "text.h"

enum { CHUNK = 16384, TURNS = 8, USER = 65534 };

struct stream {
	int fd;
	struct ring *ring;
	const char *name;
	struct logger_line line;
};

static volatile sig_atomic_t is_told_to_end;

static void on_term(int sig)
{
	(void)sig;
	is_told_to_end = 1;
}

static void put(struct ring *r, const struct timespec *now, const char *stream, char tag,
	const char *text, size_t len)
{
	char line[LOGGER_LINE_MAX + 64];
	size_t at;

	text_time(now, line, sizeof(line));
	at = strlen(line);
	at += (size_t)snprintf(line + at, sizeof(line) - at, " %s %c ", stream, tag);
	memcpy(line + at, text, len);
	line[at + len] = '\n';
	ring_add(r, line, at + len + 1);
}

void logger_take(struct logger_line *l, struct ring *r, const char *stream, const char *at, size_t len,
	const struct timespec *now)
{
	while (len) {
		const char *nl = memchr(at, '\n', len);
		size_t part = nl ? (size_t)(nl - at) : len;
		size_t room = sizeof(l->text) - l->len;

		if (part > room)
			part = room;
		memcpy(l->text + l->len, at, part);
		l->len += part;
		at += part;
		len -= part;
		if (len && *at == '\n') {
			put(r, now, stream, 'F', l->text, l->len);
			l->len = 0;
			at++;
			len--;
		} else if (l->len == sizeof(l->text)) {
			put(r, now, stream, 'P', l->text, l->len);
			l->len = 0;
		}
	}
}

/* Bounded per turn, so that one unit's flood does not starve the others. False: nothing there. */
static bool drain(struct stream *s)
{
	static char buf[CHUNK];
	struct timespec now;
	ssize_t n = 0;
	int turn;

	clock_gettime(CLOCK_REALTIME, &now);
	for (turn = 0; turn < TURNS && (n = read(s->fd, buf, sizeof(buf))) > 0; turn++)
		logger_take(&s->line, s->ring, s->name, buf, (size_t)n, &now);
	return turn > 0;
}

static void drop_rights(void)
{
	struct sigaction sa = { .sa_handler = on_term };

	sigaction(SIGTERM, &sa, NULL);
	/* Where this fails (no such right in a namespace) it stays what it is; it executes nothing. */
	if (setgroups(0, NULL) < 0 || setgid(USER) < 0 || setuid(USER) < 0)
		errno = 0;
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* All that PID 1 holds and the logger has no use for. */
static void close_others(struct pid1 *p)
{
	close(p->signal_fd);
	close(p->control_fd);
	close(p->dhcpcd_err.fd);
	close(p->watchdog.fd);
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
		if (p->clients[i].fd >= 0)
			close(p->clients[i].fd);
	for (unsigned i = 0; i < JOBS_MAX; i++) {
		if (p->jobs[i].kind == JOB_FREE)
			continue;
		close(p->jobs[i].result_fd);
		close(p->jobs[i].err.fd);
		close(p->jobs[i].memfd);
	}
	for (unsigned i = 0; i < p->units_len; i++) {
		if (!p->units[i].is_used)
			continue;
		close(p->units[i].record_fd);
		close(p->units[i].report_fd);
		close(p->units[i].pidfd);
		close(p->units[i].notify_fd);
		close(p->units[i].health.out_fd);
	}
}

static unsigned gather(struct pid1 *p, struct stream *s, struct pollfd *poll_fd)
{
	unsigned n = 0;
	size_t len;

	for (unsigned i = 0; i < p->units_len; i++) {
		struct unit *u = &p->units[i];
		struct ring *r = u->is_used && u->ring_fd >= 0 ? ring_map(u->ring_fd, 1, &len) : NULL;

		if (!r)
			continue;
		for (int k = 0; k < 2; k++) {
			s[n].fd = k ? u->err_fd[0] : u->out_fd[0];
			s[n].ring = r;
			s[n].name = k ? "stderr" : "stdout";
			s[n].line.len = 0;
			poll_fd[n] = (struct pollfd){ .fd = s[n].fd, .events = POLLIN };
			n++;
		}
	}
	return n;
}

int logger_run(struct pid1 *p)
{
	static struct stream streams[CONFIG_UNITS_MAX * 2];
	struct pollfd poll_fd[CONFIG_UNITS_MAX * 2];
	unsigned n;

	close_others(p);
	n = gather(p, streams, poll_fd);
	drop_rights();
	while (!is_told_to_end) {
		if (poll(poll_fd, n, -1) < 0 && errno != EINTR)
			return 1;
		for (unsigned i = 0; i < n; i++)
			drain(&streams[i]);
	}
	for (unsigned i = 0; i < n; i++) {
		struct timespec now;

		drain(&streams[i]);
		clock_gettime(CLOCK_REALTIME, &now);
		if (streams[i].line.len)
			logger_take(&streams[i].line, streams[i].ring, streams[i].name, "\n", 1, &now);
	}
	return 0;
}
