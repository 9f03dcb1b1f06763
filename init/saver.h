/* SPDX-License-Identifier: MIT */
/*
 * The saver: a helper process that writes the units' log rings to the data partition, logs/NAME/0.log, in batches: every
 * CONFIG_LOG_FLUSH_S, when half a ring is new, and at the end. At LogSizeMax= the file becomes 1.log, in place of the one before. It alone
 * waits for the disk; what a ring overwrote meanwhile is a line that says so.
 */
#ifndef CORACLE_SAVER_H
#define CORACLE_SAVER_H

#include <stddef.h>

struct pid1;
struct ring;

/* The process. Forked from PID 1. Ends on SIGTERM, having saved what is new. */
int saver_run(struct pid1 *p);

/* What is new in R goes to DIR/0.log (DIR is a directory's descriptor), at most CAP bytes a file. BUF holds a whole ring. 0 or -errno:
 * then it is tried again next time. */
int saver_save(struct ring *r, int dir, size_t cap, char *buf, size_t size);

#endif
