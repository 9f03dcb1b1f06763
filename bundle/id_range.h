/* SPDX-License-Identifier: MIT */
/*
 * Which ids of the board a unit's user namespace gets: CONFIG_USERNS_SIZE of them, no two units the same, the same at every start. Kept in state/ids
 * ("coracle-ids 1", then a line "unit NAME RANGE" each). Nothing on disk belongs to such an id, so a lost file costs nothing.
 */
#ifndef CORACLE_ID_RANGE_H
#define CORACLE_ID_RANGE_H

#include "store.h"

/* First id of UNIT's range; gives it one where it has none. A disk that is full or write-protected is a note: the range is found the same way
 * the next time. -EFBIG: more than ID_RANGE_UNITS_MAX names were ever seen. Blocks on the disk and on other jobs that do the same. */
enum { ID_RANGE_UNITS_MAX = 1024 };
int id_range_find(struct store *s, const char *unit, uint32_t *first, struct err *e);

#endif
