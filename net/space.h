/* SPDX-License-Identifier: MIT */
/* Network namespaces by name (ns/UNIT, a bind of nsfs; man 7 network_namespaces) and the board's sysctls, which go back to what they were. */
#ifndef CORACLE_SPACE_H
#define CORACLE_SPACE_H

#include <stdbool.h>

#include "err.h"
#include "span.h"

/* A new namespace, that this process is in from now on; *HOME is the one it came from. The new one's descriptor or -errno. */
int space_new(int *home);
/* Back into HOME, which is closed. */
int space_leave(int home);
int space_join(int fd, int *home);
int space_enter(const char *run, const char *unit, int *home);
/* FD gets the name UNIT. */
int space_name(const char *run, const char *unit, int fd, struct err *e);
void space_forget(const char *run, const char *unit);

/* /proc/sys/PATH of the namespace this process is in. 0 or -errno. */
int space_sysctl(const char *path, const char *value);

/* Turns on forwarding, IPv6 where WANTS6; what was there before is kept in the file `old`. *WAS_OFF4, *WAS_OFF6: it was not on before us. */
int space_route(const char *run, bool wants6, bool *was_off4, bool *was_off6, struct err *e);
/* Back to what `old` says. */
void space_unroute(const char *run);

/* file_replace of NAME in the directory DIR. */
int space_replace(const char *dir, const char *name, struct span data, struct err *e);

#endif
