/* SPDX-License-Identifier: MIT */
/* The commands of coracle-bundle; each takes its own name as argv[0] and returns the exit status: 0, 1 refused or failed, 2 usage. */
#ifndef CORACLE_COMMANDS_H
#define CORACLE_COMMANDS_H

#include "job.h"

/* What PID 1 is to make of a code of ours. */
enum job_code commands_outcome(int code);

int cmd_compile(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_grow(int argc, char **argv);
int cmd_gc(int argc, char **argv);
int cmd_ls(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_units(int argc, char **argv);
int cmd_create(int argc, char **argv);
int cmd_mount(int argc, char **argv);
int cmd_umount(int argc, char **argv);
int cmd_provision(int argc, char **argv);
int cmd_prepare(int argc, char **argv);
int cmd_seal(int argc, char **argv);
int cmd_slot(int argc, char **argv);
int cmd_release(int argc, char **argv);
int cmd_inflate(int argc, char **argv);	/* inside their jails only: bundle/unpack.h */
int cmd_unpack(int argc, char **argv);

#endif
