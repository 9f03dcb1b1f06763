/* SPDX-License-Identifier: MIT */
/*
 * PID 1's own log: one line per event. Lines go into a ring in memory
 * (`coracle log`), to the kernel's log at level "debug" on a board, and, until
 * the prompt is there, to the console. Never allocates, never waits: a
 * console that does not take a line loses it.
 */
#ifndef CORACLE_PLOG_H
#define CORACLE_PLOG_H

#include <stddef.h>

struct ring;

/* LOG may be NULL (lines then go to the console only). CONSOLE_FD and KMSG_FD are borrowed, -1 for none. */
void plog_open(struct ring *log, int console_fd, int kmsg_fd);

/* From now on nothing is written to the console. */
void plog_quiet(void);

void plog(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
