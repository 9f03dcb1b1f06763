/* SPDX-License-Identifier: MIT */
/*
 * A new coracle-init in place of the running one, while units go on: PID 1 writes all it knows into a memfd, lets the new program look at it
 * in a child first (`coracle-init --check-state FD`), and executes it. Children, pipes, rings, sockets and the watchdog stay open
 * throughout; nobody but the kernel notices. A program that cannot read this state is not executed: it takes a reboot.
 */
#ifndef CORACLE_REEXEC_H
#define CORACLE_REEXEC_H

#include <stdbool.h>

struct pid1;

/* The look, in a job's process: hands the state to the program that lies there now. Returns only where it could not be executed. */
int reexec_job(const struct pid1 *p);

/* The look ended: code is enum job_code. */
void reexec_checked(struct pid1 *p, unsigned code, const char *text);

/* At the end of a turn of the loop: executes, where everything is ready for it. Returns where it did not. */
void reexec_now(struct pid1 *p);

/* In the look's child, ends it: exit status 0 where the state behind FD can be read by this program. */
int reexec_check(int fd);

/* Beginning of the new program: takes the state in. False where it cannot: then PID 1 boots from the ground. */
bool reexec_resume(struct pid1 *p, int fd);

#endif
