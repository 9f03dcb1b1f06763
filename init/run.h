/* SPDX-License-Identifier: MIT */
/* `coracle-init run BUNDLE`: one bundle in the foreground on any Linux host. */
#ifndef CORACLE_RUN_H
#define CORACLE_RUN_H

/* ARGV[0] is "run". Returns the exit status: the program's, 128 + signal, 125 ours, 126 not executable, 127 not found, 2 usage. */
int run_main(int argc, char **argv);

#endif
