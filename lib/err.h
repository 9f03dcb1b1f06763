/* SPDX-License-Identifier: MIT */
/*
 * The human half of a failure. A function returns 0 or a negative code and,
 * where it is the one that knows the object's name, fills the struct err that
 * its caller supplied: what failed, on which object, why, what to do next.
 * Layers above may prefix, never replace.
 *
 * Codes: -EBADMSG malformed, -EKEYREJECTED signature or policy, -EFBIG over a
 * limit, -EPROTO the peer broke the protocol, -EUCLEAN local store damaged,
 * -ENOENT not there, -ECONNABORTED the link failed (worth another try), -EINVAL caller's
 * request, -ENOTSUP known and not supported, else the errno of the system call.
 */
#ifndef CORACLE_ERR_H
#define CORACLE_ERR_H

#include <stddef.h>

enum { ERR_TEXT_MAX = 512 };

struct err {
	char text[ERR_TEXT_MAX];
};

/* Writes the text if none is there yet; returns CODE, so that
 * `return err_set(e, -EFBIG, "...")` reads as one thought. E may be NULL. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As err_set, with ": " and the text of errno value ERRNUM behind; returns -ERRNUM. */
int err_sys(struct err *e, int errnum, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts a prefix before the text that is there; cuts the end if need be. Returns CODE. */
int err_prefix(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
