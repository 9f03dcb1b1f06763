/* SPDX-License-Identifier: MIT */
/* `coracle-init run BUNDLE`: one bundle in the foreground on any Linux host. */
#ifndef CORACLE_RUN_H
#define CORACLE_RUN_H

#include <sys/types.h>

/* ARGV[0] is "run". Returns the exit status: the program's, 128 + signal, 125 ours, 126 not executable, 127 not found, 2 usage. */
int run_main(int argc, char **argv);

/* For `coracle exec`. Every signal that asks something of the program is blocked from now on and comes by this descriptor; faults, and
 * reaching for a terminal that is not ours now, stay ours. */
int run_signals(void);

/* Attends the child PID, which reports as start.h has it (but for CREATED), until it ends: signals, its terminal, complaints that begin
 * with NAME. Returns as run_main. */
int run_attend(const char *name, pid_t pid, int report_fd, int signals);

#endif
