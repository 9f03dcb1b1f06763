/* SPDX-License-Identifier: MIT */
/*
 * Folders of .container files -> struct unit_table. Each unit that cannot be understood carries its error text; the others run.
 * Blocks on the disk; never fails as a whole, but for a release that is asked for: what concerns all is in table->error.
 */
#ifndef CORACLE_UNITS_H
#define CORACLE_UNITS_H

#include "store.h"
#include "unit_file.h"

/* Refuses each unit with UserNS=host that no userns-host= of BOARD, the text of board.conf, names. After units_compile. */
void units_judge_host(struct unit_table *t, const char *board);

/* Reads the COUNT folders DIRS in order; of files of one name the one in the later folder wins. STORE may be NULL (no data partition
 * yet, or a damaged one); what lies below STORE_DIR (may be NULL) is taken as unit_file_read does. Behind the first folder comes the one of the release
 * in use: RELEASE, or what state/slots names where that is NULL ("": none). NOTICES hear of keys without effect. -EUCLEAN where RELEASE is not on the disk
 * with all its units. */
/* PLAN (may be NULL): what units say of networks (lib/net_plan.h), from malloc(3), *PLAN_LEN bytes; NULL where none is in one. */
int units_compile(struct unit_table *t, const char *const *dirs, size_t count, struct store *store, const char *store_dir, const char *release,
	const struct unit_notices *notices, char **plan, size_t *plan_len);

#endif
