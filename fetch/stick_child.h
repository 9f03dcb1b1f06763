/* SPDX-License-Identifier: MIT */
/* The child that mounts one stick and looks at what is on it. */
#ifndef CORACLE_STICK_CHILD_H
#define CORACLE_STICK_CHILD_H

#include "attend.h"

#define STICK_MEDIA "/media"

enum { STICK_TEXT_MAX = 3072 };

/* Mounts /dev/NAME and writes to OUT a line for each archive, or the one that says why not. Blocks on a disk that may be broken or hostile: the caller kills it
 * after a deadline. Returns the exit status. */
int stick_child(const struct attend *a, const char *name, int out);

#endif
