/* SPDX-License-Identifier: MIT */
/*
 * What a unit's volumes held before an image or a release is tried (VolumeOnUpdate=copy), and whether its PreSwitch= was done:
 *
 *   volumes/.before/UNIT.KEY/NAME     the copy, taken while no program of the unit runs; there whole or not at all (made as .before/.UNIT, renamed)
 *   volumes/.before/UNIT.KEY/.done    PreSwitch= ended well
 *
 * KEY is the first 32 hex digits of the digest that is tried. At each preparation of a start: the copy of what is started on trial is taken where it is
 * missing; one of what was committed goes; any other is of a trial that was given up, and is put back. Each step can be cut, and is done again.
 */
#ifndef CORACLE_VOLUME_SAVED_H
#define CORACLE_VOLUME_SAVED_H

#include <stdbool.h>

#include "slots.h"
#include "unit_file.h"

enum { VOLUME_KEY_LEN = 32 };

/* Before a start of UNIT as what KEY names: 1 where that is on trial and PreSwitch= is to be run, else 0. -ENOSPC and the like: worth another try. */
int volume_saved_settle(struct store *s, const struct slots *slots, const struct unit_file *unit, const char *key, bool is_of_release, struct err *e);

/* PreSwitch= ended well. */
int volume_saved_done(struct store *s, const struct unit_file *unit, const char *key, struct err *e);

/* NAME (a unit's, or the release's: all its units) committed DIGEST: its copies go. A failure is made good at the next start. */
void volume_saved_drop(struct store *s, const char *name, const char *digest);

/* Adds to *NEED what copies of UNIT's volumes take. -ENOSPC where that is more than there is room for. */
int volume_saved_room(struct store *s, const struct unit_file *unit, uint64_t *need, struct err *e);

#endif
