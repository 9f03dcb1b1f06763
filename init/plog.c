/* SPDX-License-Identifier: MIT */
/*
 * PID 1's own log. The three places a line goes to are set once at boot. A
 * line is cut at 512 bytes and loses control characters: job output and
 * kernel texts pass through here on their way to a terminal.
 */
#include "plog.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ring.h"
#include "text.h"

static struct {
	struct ring *ring;
	int console_fd, kmsg_fd;
} to = { .console_fd = -1, .kmsg_fd = -1 };

void plog_open(struct ring *log, int console_fd, int kmsg_fd)
{
	to.ring = log;
	to.console_fd = console_fd;
	to.kmsg_fd = kmsg_fd;
}

void plog_quiet(void)
{
	to.console_fd = -1;
}

static void put(int fd, const char *before, const char *text, const char *after)
{
	char line[640];
	int len = snprintf(line, sizeof(line), "%s%s%s", before, text, after);

	/* Both are non-blocking; a line they do not take now is lost there, the ring has it. */
	if (fd >= 0 && len > 0 && write(fd, line, (size_t)len) < 0)
		return;
}

void plog(const char *fmt, ...)
{
	char text[512], line[600];
	struct timespec now;
	va_list ap;
	int len;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';

	put(to.console_fd, "coracle: ", text, "\n");
	put(to.kmsg_fd, "<7>coracle: ", text, "\n");
	if (!to.ring)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	text_time(&now, line, sizeof(line));
	len = (int)strlen(line);
	len += snprintf(line + len, sizeof(line) - (size_t)len, " %s\n", text);
	ring_add(to.ring, line, (size_t)len);
}
