/* SPDX-License-Identifier: MIT */
/* The logger: a helper process that reads the output of all units and writes it as CRI log lines into their rings. */
#ifndef CORACLE_LOGGER_H
#define CORACLE_LOGGER_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

struct pid1;
struct ring;

/* The process. Forked from PID 1, it uses the descriptors of P's units. Ends on SIGTERM, having emptied the pipes. */
int logger_run(struct pid1 *p);

enum { LOGGER_LINE_MAX = 2048 };

/* The unfinished line of one stream. */
struct logger_line {
	char text[LOGGER_LINE_MAX];
	size_t len;
};

/* Takes LEN bytes of a stream in and writes every line that is complete, or too long (tag P), to R: CRI's "time stream tag text". */
void logger_take(struct logger_line *l, struct ring *r, const char *stream, const char *at, size_t len,
	const struct timespec *now);

#endif
