/* SPDX-License-Identifier: MIT */
/*
 * A JSON value with the path that leads to it, so that each complaint names
 * its place: "config.json: linux.resources.pids.limit: ...". A value that is absent or null has v == NULL,
 * and every reader below leaves its result as it was and returns 0 then. Errors: -EBADMSG with the path.
 */
#ifndef CORACLE_JV_H
#define CORACLE_JV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yyjson.h>

#include "err.h"

struct jv {
	yyjson_val *v;
	char path[144];
};

/* The root of DOC; NAME is the file's name in messages. */
struct jv jv_root(yyjson_doc *doc, const char *name);
struct jv jv_get(const struct jv *object, const char *key);
struct jv jv_at(const struct jv *array, size_t index);

/* *OUT points into the document. A string with a NUL inside is an error. */
int jv_str(const struct jv *j, const char **out, struct err *e);
int jv_u64(const struct jv *j, uint64_t max, uint64_t *out, struct err *e);
int jv_i64(const struct jv *j, int64_t min, int64_t max, int64_t *out, struct err *e);
int jv_u32(const struct jv *j, uint32_t *out, struct err *e);
int jv_bool(const struct jv *j, bool *out, struct err *e);
/* An array of at most MAX elements (-EFBIG). */
int jv_array(const struct jv *j, size_t max, size_t *count, struct err *e);
int jv_object(const struct jv *j, struct err *e);

/* -ENOTSUP with WHY where the value is there and says something (not false, 0, "", [] or {}). */
int jv_refuse(const struct jv *j, const char *why, struct err *e);

#endif
