/* SPDX-License-Identifier: MIT */
/*
 * Every key a .container file may hold, and what becomes of it: the single source of the parser and of docs/unit-keys.md
 * (`coracle-bundle units --keys` prints it; a test compares).
 */
#ifndef CORACLE_UNIT_KEYS_H
#define CORACLE_UNIT_KEYS_H

#include "unit_file.h"

enum unit_key_kind {
	UNIT_KEY_HONOURED,
	UNIT_KEY_ACCEPTED,	/* without effect; one notice */
	UNIT_KEY_REFUSED,
};

struct unit_key {
	const char *section, *name;
	enum unit_key_kind kind;
	/* HONOURED: puts VALUE into U. 0, -EINVAL for a bad value (then what is allowed is said by `text`), -EFBIG for too much, or -ENOTSUP
	 * with the reason in E. An empty VALUE resets the key. */
	int (*set)(struct unit_file *u, const char *value, struct err *e);
	const char *text;	/* HONOURED: the values taken. ACCEPTED: why it has no effect. REFUSED: why, and what instead */
};

/* NULL behind the last: index from 0. */
const struct unit_key *unit_keys_at(size_t index);
const struct unit_key *unit_keys_find(const char *section, const char *name);
/* The nearest known key of that section, or of any; NULL where nothing is near. */
const struct unit_key *unit_keys_near(const char *section, const char *name);
bool unit_keys_has_section(const char *section);

#endif
