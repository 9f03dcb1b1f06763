/* SPDX-License-Identifier: MIT */
/*
 * The steps of stage 2, in the order enter.c takes them. Each returns 0 or a
 * negative number with the report already sent.
 */
#ifndef CORACLE_ENTER_H
#define CORACLE_ENTER_H

#include "start_inner.h"

/* Attaches the rootfs, refuses what may not be in it, places every mount of the record, masks paths. */
int enter_mounts(struct start_context *c);

/* Masked and read-only paths; after all mounts, before the pivot. */
int enter_mask(struct start_context *c);

/* namespaced sysctls of the record, through a procfs that only we can see. */
int enter_sysctls(struct start_context *c);

/* Makes the rootfs the only thing left, read-only where the record says so. */
int enter_pivot(struct start_context *c);

/* 0, 1, 2. After the pivot: -1 is the container's own /dev/null. */
int enter_stdio(struct start_context *c);

/* The same where the record has a terminal: a pty of the container, whose other end goes to the caller. */
int enter_terminal(struct start_context *c);

/* rlimits, umask, cwd, groups, gid, uid, capability sets, no_new_privs and, where that has to come before, seccomp. */
int enter_drop(struct start_context *c);

/* RECORD_INIT: returns in a child of the process, which itself never does. */
int enter_init(struct start_context *c);

/* Looks the program up in the record's PATH and executes it. Returns only on failure. */
int enter_exec(struct start_context *c);

#endif
