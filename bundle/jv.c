/* SPDX-License-Identifier: MIT */
/* Typed reads out of a parsed JSON document; see jv.h. Never allocates. */
#include "jv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct jv jv_root(yyjson_doc *doc, const char *name)
{
	struct jv j = { .v = yyjson_doc_get_root(doc) };

	snprintf(j.path, sizeof(j.path), "%s:", name);
	return j;
}

static yyjson_val *present(yyjson_val *v)
{
	return yyjson_is_null(v) ? NULL : v;
}

struct jv jv_get(const struct jv *object, const char *key)
{
	struct jv j = { .v = present(yyjson_obj_get(object->v, key)) };
	size_t len = strlen(object->path);
	bool is_root = len && object->path[len - 1] == ':';

	snprintf(j.path, sizeof(j.path), "%s%s%s", object->path, is_root ? " " : ".", key);
	return j;
}

struct jv jv_at(const struct jv *array, size_t index)
{
	struct jv j = { .v = present(yyjson_arr_get(array->v, index)) };

	snprintf(j.path, sizeof(j.path), "%.120s[%zu]", array->path, index);
	return j;
}

int jv_str(const struct jv *j, const char **out, struct err *e)
{
	if (!j->v)
		return 0;
	if (!yyjson_is_str(j->v))
		return err_set(e, -EBADMSG, "%s: is no string", j->path);
	if (strlen(yyjson_get_str(j->v)) != yyjson_get_len(j->v))
		return err_set(e, -EBADMSG, "%s: has a NUL byte in it", j->path);
	*out = yyjson_get_str(j->v);
	return 0;
}

int jv_u64(const struct jv *j, uint64_t max, uint64_t *out, struct err *e)
{
	if (!j->v)
		return 0;
	if (!yyjson_is_uint(j->v) || yyjson_get_uint(j->v) > max)
		return err_set(e, -EBADMSG, "%s: is no whole number from 0 to %llu", j->path, (unsigned long long)max);
	*out = yyjson_get_uint(j->v);
	return 0;
}

int jv_i64(const struct jv *j, int64_t min, int64_t max, int64_t *out, struct err *e)
{
	bool is_good;

	if (!j->v)
		return 0;
	if (yyjson_is_uint(j->v))
		is_good = yyjson_get_uint(j->v) <= (uint64_t)INT64_MAX;
	else
		is_good = yyjson_is_sint(j->v);
	if (!is_good || yyjson_get_sint(j->v) < min || yyjson_get_sint(j->v) > max)
		return err_set(e, -EBADMSG, "%s: is no whole number from %lld to %lld", j->path, (long long)min,
			(long long)max);
	*out = yyjson_get_sint(j->v);
	return 0;
}

int jv_u32(const struct jv *j, uint32_t *out, struct err *e)
{
	uint64_t n = *out;
	int r = jv_u64(j, UINT32_MAX, &n, e);

	if (r == 0)
		*out = (uint32_t)n;
	return r;
}

int jv_bool(const struct jv *j, bool *out, struct err *e)
{
	if (!j->v)
		return 0;
	if (!yyjson_is_bool(j->v))
		return err_set(e, -EBADMSG, "%s: is neither true nor false", j->path);
	*out = yyjson_get_bool(j->v);
	return 0;
}

int jv_array(const struct jv *j, size_t max, size_t *count, struct err *e)
{
	*count = 0;
	if (!j->v)
		return 0;
	if (!yyjson_is_arr(j->v))
		return err_set(e, -EBADMSG, "%s: is no array", j->path);
	if (yyjson_arr_size(j->v) > max)
		return err_set(e, -EFBIG, "%s: has %zu elements, at most %zu are taken", j->path,
			yyjson_arr_size(j->v), max);
	*count = yyjson_arr_size(j->v);
	return 0;
}

int jv_object(const struct jv *j, struct err *e)
{
	if (j->v && !yyjson_is_obj(j->v))
		return err_set(e, -EBADMSG, "%s: is no object", j->path);
	return 0;
}

int jv_refuse(const struct jv *j, const char *why, struct err *e)
{
	yyjson_val *v = j->v;

	if (!v || yyjson_is_false(v) || (yyjson_is_uint(v) && yyjson_get_uint(v) == 0) ||
	    (yyjson_is_str(v) && yyjson_get_len(v) == 0) || (yyjson_is_ctn(v) && yyjson_get_len(v) == 0))
		return 0;
	return err_set(e, -ENOTSUP, "%s: not supported: %s", j->path, why);
}
