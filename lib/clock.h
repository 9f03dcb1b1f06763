/* SPDX-License-Identifier: MIT */
/*
 * The last time that a peer confirmed, for boards whose own clock forgets it. The file state/clock of the store, seconds since
 * 1970 in decimal: written when a time server confirmed the clock's time, or a registry did, whose certificate was valid at it and whose answer's Date was no
 * earlier, so a clock that is ahead is not kept; read when the data partition is mounted, where the clock is never set back. Blocks on the disk.
 */
#ifndef CORACLE_CLOCK_H
#define CORACLE_CLOCK_H

#include <stdint.h>

#include "err.h"

#define CLOCK_FILE "state/clock"

/* A saved time later than this many seconds after the build is noise, not a time. */
enum { CLOCK_LIFE_S = 30 * 365 * 86400 };

/* Writes the clock's time into state/clock beneath the store's root DIR where it is later than what stands there. */
int clock_save(int dir, struct err *e);

/* What stands there, or 0 where nothing does, or nothing that is a time between the build and CLOCK_LIFE_S after it. */
int64_t clock_saved(int dir);

#endif
