/* SPDX-License-Identifier: MIT */
/*
 * A key that lies outside the data partition: /etc/coracle/store.key of the initramfs, or the file that CORACLE_STORE_KEY names. Where there is one, what
 * decides about what runs carries a code made with it (HMAC-SHA256, RFC 2104), and nothing without a right one is used: who writes to the
 * partition while the board is off cannot make one. The last line of such a text is "mac=HEX" ("#mac=HEX" in a unit file).
 */
#ifndef CORACLE_SEAL_H
#define CORACLE_SEAL_H

#include <stdbool.h>

#include "digest.h"
#include "err.h"
#include "span.h"

struct seal {
	bool is_there;
	struct digest key;	/* of the file's bytes, at least 16 of them */
};

/* The room that seal_line needs. */
enum { SEAL_LINE_MAX = 72 };

/* An absent file is no key, and 0. One that is too short, or cannot be read, is an error: never a store that checks nothing by accident. */
int seal_load(struct seal *s, struct err *e);
void seal_wipe(struct seal *s);

/* "mac=HEX\n" for TEXT, which is of the kind KIND ("layer", "image", "slots", "unit", "ids") and called NAME; "" without a key. */
void seal_line(const struct seal *s, const char *kind, const char *name, struct span text, char out[SEAL_LINE_MAX]);

/* The same of TEXT with its line at the end. 0, also without a key; -EKEYREJECTED. */
int seal_check(const struct seal *s, const char *kind, const char *name, struct span text);

/* TEXT without that line; all of it where there is none. */
struct span seal_body(struct span text);

#endif
