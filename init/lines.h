/* SPDX-License-Identifier: MIT */
/* What a job or helper writes to its stderr, line by line into PID 1's log. */
#ifndef CORACLE_LINES_H
#define CORACLE_LINES_H

enum { LINES_MAX = 256 };

struct lines {
	int fd;			/* non-blocking read end, -1: none; owned */
	unsigned len;
	char text[LINES_MAX];	/* the unfinished line */
};

/* A pipe: its read end into L, the write end is returned (close-on-exec), or -errno. */
int lines_open(struct lines *l);

/* Logs what is there, each line with NAME before it; a bounded amount, so that one who shouts does not keep PID 1. */
void lines_hear(struct lines *l, const char *name);

/* Logs the rest and closes. */
void lines_close(struct lines *l, const char *name);

#endif
