/* SPDX-License-Identifier: MIT */
/* The passphrase of the console: crypt(5)'s sha256crypt with a salt, as `openssl passwd -5` and mkpasswd write it, in board.conf. */
#ifndef CORACLE_LOCK_H
#define CORACLE_LOCK_H

#include <stdbool.h>

/* "$5$[rounds=N$]SALT$HASH"? Nothing else is taken. */
bool lock_is_hash(const char *text);

/* Is SECRET what HASH was made from? Takes as long as its rounds say. */
bool lock_opens(const char *hash, const char *secret);

#endif
