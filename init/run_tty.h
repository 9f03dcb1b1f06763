/* SPDX-License-Identifier: MIT */
/* The caller's end of a container's terminal (process.terminal): bytes both ways between it and our own 0 and 1, sizes handed on. */
#ifndef CORACLE_RUN_TTY_H
#define CORACLE_RUN_TTY_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <termios.h>

enum { RUN_TTY_POLLS = 3 };

struct run_tty {
	int master;			/* or -1: no terminal */
	bool has_before, is_input_over;
	struct termios before;		/* of our own terminal */
	char to[1024], from[4096];	/* read and not yet written */
	size_t to_len, from_len;
};

/* Takes MASTER over. Our own terminal, if 0 is one, goes raw until the end. */
void run_tty_begin(struct run_tty *t, int master);
/* Output to the last byte, our own terminal as it was. */
void run_tty_end(struct run_tty *t);

/* Our own terminal as it was, while we are stopped; and raw again, at its size by now. */
void run_tty_yield(const struct run_tty *t);
void run_tty_take(struct run_tty *t);

/* What poll(2) is to wait for, into P; then what came of it. */
void run_tty_wait(const struct run_tty *t, struct pollfd p[RUN_TTY_POLLS]);
void run_tty_move(struct run_tty *t, const struct pollfd p[RUN_TTY_POLLS]);

/* SIGWINCH: the size of our own terminal becomes its. */
void run_tty_resize(const struct run_tty *t);

#endif
