/* SPDX-License-Identifier: MIT */
/* The attendant's loop: every two seconds, and at once where somebody set the clock. Input: board.conf, trusted. Never touches a peer or a file system of others. */
#include "attend.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "file.h"
#include "link.h"
#include "sntp.h"
#include "stick.h"

#ifndef TFD_TIMER_CANCEL_ON_SET
#define TFD_TIMER_CANCEL_ON_SET 2
#endif

enum { LOOK_MS = 2000, CONF_MAX = 8192 };

static volatile sig_atomic_t is_told_to_end;

static void on_term(int sig)
{
	is_told_to_end = 1;
}

/* KEY at the start of LINE and "=" behind it: the value without blanks around it. */
static bool value_of(struct span line, const char *key, struct span *out)
{
	const char *at = (const char *)line.at, *end = at + line.len;
	size_t len = strlen(key);

	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	if ((size_t)(end - at) <= len || memcmp(at, key, len) != 0)
		return false;
	for (at += len; at < end && (*at == ' ' || *at == '\t'); at++)
		;
	if (at == end || *at++ != '=')
		return false;
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	while (end > at && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		end--;
	*out = span_of(at, (size_t)(end - at));
	return true;
}

void attend_read(struct attend *a, const char *text)
{
	char value[128];

	snprintf(a->data_dir, sizeof(a->data_dir), "/data");
	snprintf(a->data_label, sizeof(a->data_label), "coracle-data");
	a->has_sticks = true;
	a->ntp[0] = '\0';
	while (*text) {
		size_t len = strcspn(text, "\n"), used = strlen(a->ntp);
		struct span line = span_of(text, len), v;

		if (value_of(line, "data-dir", &v) && v.len < sizeof(a->data_dir))
			span_copy(v, a->data_dir, sizeof(a->data_dir));
		else if (value_of(line, "data-label", &v) && v.len < sizeof(a->data_label))
			span_copy(v, a->data_label, sizeof(a->data_label));
		else if (value_of(line, "sticks", &v))
			a->has_sticks = !span_is(v, "no");
		else if (value_of(line, "ntp", &v) && span_copy(v, value, sizeof(value)) && used + v.len + 2 < sizeof(a->ntp))
			snprintf(a->ntp + used, sizeof(a->ntp) - used, "%s\n", value);
		text += len + (text[len] == '\n');
	}
}

/* A timer that never comes, but is cancelled where the clock is set. */
static int watch_clock(int fd)
{
	const struct itimerspec far = { .it_value = { .tv_sec = INT32_MAX } };

	if (fd >= 0)
		timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL);
	return fd;
}

int attend_main(int argc, char **argv)
{
	static struct attend a;
	struct sigaction term = { .sa_handler = on_term };
	char path[256], *text = NULL;
	struct err e = { "" };
	uint64_t expired;
	struct pollfd p;
	size_t len;

	a.etc = argc > 1 ? argv[1] : "/etc/coracle";
	sigaction(SIGTERM, &term, NULL);
	signal(SIGPIPE, SIG_IGN);
	snprintf(path, sizeof(path), "%s/board.conf", a.etc);
	if (file_read(AT_FDCWD, path, CONF_MAX, &text, &len, &e) < 0)
		fprintf(stderr, "%s\n", e.text);
	attend_read(&a, text ? text : "");
	free(text);
	p = (struct pollfd){ .fd = watch_clock(timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK)), .events = POLLIN };
	while (!is_told_to_end) {
		sntp_look(&a, (uint64_t)link_now_ms());
		if (a.has_sticks)
			stick_look(&a, (uint64_t)link_now_ms());
		if (poll(&p, 1, LOOK_MS) > 0 && read(p.fd, &expired, sizeof(expired)) < 0 && errno == ECANCELED)
			watch_clock(p.fd);
	}
	sntp_end(&a);
	return 0;
}
