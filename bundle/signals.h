/* SPDX-License-Identifier: MIT */
/* Names of signals, as images and units write them: "SIGTERM", "TERM", "15", "SIGRTMIN+3". */
#ifndef CORACLE_SIGNALS_H
#define CORACLE_SIGNALS_H

/* The kernel's number (SIGRTMIN is 34 to the programs of images, glibc's and musl's meaning), or -1. */
int signals_number(const char *name);

#endif
