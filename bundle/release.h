/* SPDX-License-Identifier: MIT */
/*
 * A release: a signed image of one layer that holds units/NAME.container with pinned digests and, where the policy lets it, policy.json and certs.d/. It
 * is let in like any image. What the board uses of it lies in its own folder of the store, made whole and renamed into place, never changed after:
 *
 *   releases/<32 hex digits of its digest>/units/NAME.container
 *                                          policy.json, certs.d/HOST:PORT/      in place of, or before, those of the initramfs
 *                                          pins       "NAME sha256:..." a line: the image in the store that stands for the unit's Image=
 *
 * Which one is in use says the line "unit @release" of state/slots: that is all that a switch or a rollback of all its units changes.
 */
#ifndef CORACLE_RELEASE_H
#define CORACLE_RELEASE_H

#include "slots.h"
#include "store.h"
#include "unit_file.h"

#define RELEASE_NAME UNIT_RELEASE_NAME
#define RELEASE_FOLDER "releases"
enum { RELEASE_DIR_MAX = 48, RELEASE_ID_LEN = 32 };

struct release_pins {
	uint32_t count;
	struct {
		char unit[UNIT_NAME_MAX];
		char digest[DIGEST_TEXT_LEN + 1];
	} at[CONFIG_UNITS_MAX];
};

bool release_is(const char *unit);
/* "releases/<id>" of the release with that digest, below the store. */
void release_dir(const char *digest, char out[RELEASE_DIR_MAX]);

/* -ENOENT where that release is not on the disk. */
int release_pins_read(struct store *s, const char *digest, struct release_pins *out, struct err *e);
int release_pins_write(struct store *s, const char *dir, const struct release_pins *p, struct err *e);
/* "" where the release pins no such unit. */
const char *release_pin(const struct release_pins *p, const char *unit);

/* Copies what concerns the board out of image DIGEST, which lies in the store, into the new folder DIR. -EKEYREJECTED where it changes trust and
 * whoever signed it may not; -EINVAL, -EFBIG for a release that is none. */
int release_copy(struct store *s, const struct digest *digest, const char *dir, struct err *e);

/* Calls VISIT for each unit in the release folder DIR (below the store), in no order, after checking that it is one a release may hold. */
int release_each(struct store *s, const char *dir, int (*visit)(void *to, const struct unit_file *u, struct span bytes, struct err *e), void *to,
	struct err *e);

/* Bundle and record of every unit of the release: it can be started by syscalls alone, or is refused naming the unit. */
int release_compile(struct store *s, const char *store_dir, const char *digest, struct err *e);

#endif
