/* SPDX-License-Identifier: MIT */
/* PreSwitch=: a command of an image about to be tried, in a container as the unit's own but for the network, which it has none. */
#ifndef CORACLE_PRE_SWITCH_H
#define CORACLE_PRE_SWITCH_H

#include "bundle_make.h"

/* Runs it to its end, at most unit->pre_switch_ms. UNIT is changed on the way and is to be freed only. 0; -EINVAL where it failed or took too long, which is a
 * verdict; what bundle_make says. RECORD is overwritten. */
int pre_switch_run(struct store *s, const char *store_dir, const struct digest *digest, struct unit_file *unit, struct record_build *record, struct err *e);

#endif
