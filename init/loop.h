/* SPDX-License-Identifier: MIT */
/* PID 1's loop. Begins at the named line: from there on nothing exits, allocates or blocks. */
#ifndef CORACLE_LOOP_H
#define CORACLE_LOOP_H

struct pid1;

_Noreturn void loop_run(struct pid1 *p);

#endif
