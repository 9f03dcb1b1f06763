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
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "pid1.h"
#include "ring.h"
#include "text.h"

enum { CHUNK = 65536, TURNS = 4, USER = 65534, PARTIAL_MS = 100 };

struct stream {
	int fd;
	int partial;			/* bytes that wait in the pipe for the end of their line */
	struct logger_stream out;
};

struct logger {
	struct stream stream[CONFIG_UNITS_MAX * 2];
	struct pollfd poll_fd[CONFIG_UNITS_MAX * 2];
	struct logger_rate rate[CONFIG_UNITS_MAX];
	unsigned len;
	int copy[2];			/* the pipe that is teed into */
	char buf[CHUNK];
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

/* Says how many lines were dropped, once they no longer are. */
static void gap(struct logger_stream *s, const struct timespec *now)
{
	char text[96];
	int len;

	if (!s->ring->dropped)
		return;
	len = snprintf(text, sizeof(text), "coracle: %llu lines dropped, over the rate (LogRateLimitBurst=)",
		(unsigned long long)s->ring->dropped);
	put(s->ring, now, "stderr", 'F', text, (size_t)len);
	s->ring->dropped = 0;
}

static bool is_within(struct logger_stream *s, const struct timespec *now, uint64_t now_ms)
{
	struct logger_rate *r = s->rate;

	if (!r->burst || !r->interval_ms)
		return true;
	if (!r->begin_ms || now_ms - r->begin_ms >= r->interval_ms) {
		r->begin_ms = now_ms;
		r->lines = 0;
		gap(s, now);
	}
	return r->lines++ < r->burst;
}

static void line(struct logger_stream *s, char tag, const char *at, size_t len, const struct timespec *now, uint64_t now_ms)
{
	if (is_within(s, now, now_ms))
		put(s->ring, now, s->name, tag, at, len);
	else
		s->ring->dropped++;
}

size_t logger_take(struct logger_stream *s, const char *at, size_t len, const struct timespec *now, uint64_t now_ms)
{
	size_t done = 0;

	while (done < len) {
		const char *nl = memchr(at + done, '\n', len - done);
		size_t part = nl ? (size_t)(nl - at) - done : len - done;

		if (part > LOGGER_LINE_MAX) {
			line(s, 'P', at + done, LOGGER_LINE_MAX, now, now_ms);
			done += LOGGER_LINE_MAX;
		} else if (nl) {
			line(s, 'F', at + done, part, now, now_ms);
			done += part + 1;
		} else {
			break;
		}
	}
	return done;
}

/* The bytes now in the pipe's copy into BUF; they stay in the pipe. */
static size_t look(struct logger *l, int fd)
{
	ssize_t n = tee(fd, l->copy[1], sizeof(l->buf), SPLICE_F_NONBLOCK);
	size_t got = 0;

	while (n > 0 && got < (size_t)n) {
		ssize_t r = read(l->copy[0], l->buf + got, (size_t)n - got);

		if (r <= 0)
			break;
		got += (size_t)r;
	}
	return got;
}

static void consume(int fd, size_t len)
{
	static char away[4096];

	while (len) {
		ssize_t n = read(fd, away, len < sizeof(away) ? len : sizeof(away));

		if (n <= 0)
			return;
		len -= (size_t)n;
	}
}

/* Bounded per turn, so that one unit's flood does not starve the others. */
static void drain(struct logger *l, struct stream *s)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	for (int turn = 0; turn < TURNS; turn++) {
		size_t len = look(l, s->fd), done = logger_take(&s->out, l->buf, len, &now, text_now_ms());

		consume(s->fd, done);
		s->partial = (int)(len - done);
		if (!done)
			return;
	}
	s->partial = 0;		/* there may be more: poll says so */
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

static void gather(struct pid1 *p, struct logger *l)
{
	size_t len;

	for (unsigned i = 0; i < p->units_len; i++) {
		struct unit *u = &p->units[i];
		struct ring *r = u->is_used && u->ring_fd >= 0 ? ring_map(u->ring_fd, 1, &len) : NULL;

		if (!r)
			continue;
		l->rate[i] = (struct logger_rate){ .burst = u->entry.log_burst, .interval_ms = u->entry.log_interval_ms };
		for (int k = 0; k < 2; k++) {
			struct stream *s = &l->stream[l->len++];

			s->fd = k ? u->err_fd[0] : u->out_fd[0];
			s->out = (struct logger_stream){ .ring = r, .name = k ? "stderr" : "stdout", .rate = &l->rate[i] };
		}
	}
}

/* A pipe with the beginning of a line in it is readable for ever: it is looked at now and then instead, and when it has grown. */
static int choose(struct logger *l)
{
	int wait = -1, now;

	for (unsigned i = 0; i < l->len; i++) {
		struct stream *s = &l->stream[i];

		if (s->partial && ioctl(s->fd, FIONREAD, &now) == 0 && now != s->partial)
			s->partial = 0;
		l->poll_fd[i] = (struct pollfd){ .fd = s->partial ? -1 : s->fd, .events = POLLIN };
		if (s->partial || s->out.ring->dropped)
			wait = PARTIAL_MS;
	}
	return wait;
}

/* The flood may be over, and its last lines with it. */
static void say_gaps(struct logger *l)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	for (unsigned i = 0; i < l->len; i++) {
		struct logger_rate *r = l->stream[i].out.rate;

		if (l->stream[i].out.ring->dropped && text_now_ms() - r->begin_ms >= r->interval_ms)
			gap(&l->stream[i].out, &now);
	}
}

int logger_run(struct pid1 *p)
{
	static struct logger l;

	if (pipe2(l.copy, O_CLOEXEC) < 0)
		return 1;
	helper_close_others(p);
	gather(p, &l);
	drop_rights();
	while (!is_told_to_end) {
		if (poll(l.poll_fd, l.len, choose(&l)) < 0 && errno != EINTR)
			return 1;
		for (unsigned i = 0; i < l.len; i++)
			if (l.poll_fd[i].fd >= 0)
				drain(&l, &l.stream[i]);
		say_gaps(&l);
	}
	for (unsigned i = 0; i < l.len; i++)
		drain(&l, &l.stream[i]);
	return 0;
}
