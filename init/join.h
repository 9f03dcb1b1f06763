/* SPDX-License-Identifier: MIT */
/* The way into a running container, for health commands and `coracle exec`. */
#ifndef CORACLE_JOIN_H
#define CORACLE_JOIN_H

#include "start_inner.h"

/* Executes a sealed copy of this program with ARGV. Returns 0 in such a copy, else -1 with errno. */
int join_sealed(char **argv);

/* All namespaces of the program behind PIDFD; in its user namespace, where it has one of its own, that one's root. The pid namespace
 * counts for children from now on, who then take the record's rights (enter_drop). 0, or -1 with errno set. */
int join_container(const struct start_context *c, int pidfd);

#endif
