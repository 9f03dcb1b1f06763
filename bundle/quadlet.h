/* SPDX-License-Identifier: MIT */
/*
 * The syntax of unit files (systemd.syntax(7)): sections, assignments, comments, continuation lines; and of the values in them (quoting of
 * systemd.syntax(7), time spans of systemd.time(7), sizes of podman). What a key means is in unit_keys.c.
 */
#ifndef CORACLE_QUADLET_H
#define CORACLE_QUADLET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

enum { QUADLET_FILE_MAX = 64 * 1024, QUADLET_VALUE_MAX = 8192 };

/* One assignment; the texts live until the callback returns. */
struct quadlet_line {
	const char *section, *key, *value;	/* value: continuation lines joined by a space, blanks at both ends cut */
	unsigned line;				/* where it begins, from 1 */
};

/* Calls EACH for every assignment, in order; stops at its first non-zero result and returns it. -EBADMSG for bad syntax, with "NAME:LINE: ". */
int quadlet_parse(struct span text, const char *name, int (*each)(void *arg, const struct quadlet_line *l), void *arg, struct err *e);

/* Takes the next word of *AT, unquoted, into OUT. 1 a word, 0 no more, -EBADMSG quoting without end or a bad escape, -EFBIG too long for OUT.
 * "..." and '...' quote; C escapes as in systemd.syntax(7) work in and out of quotes. */
int quadlet_word(const char **at, char *out, size_t size);

bool quadlet_bool(const char *text, bool *out);			/* 1 yes true on / 0 no false off */
bool quadlet_u64(const char *text, uint64_t max, uint64_t *out);	/* digits only */
bool quadlet_size(const char *text, uint64_t *out);		/* 64m, 1g, 512k, 1024b, 1024 */
bool quadlet_ms(const char *text, uint32_t *out);		/* 5, 5s, 1min 30s, 500ms; "infinity" is UINT32_MAX */

/* Edit distance of two short names, letters in any case; for "did you mean". */
unsigned quadlet_distance(const char *a, const char *b);

#endif
