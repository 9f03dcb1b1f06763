/* SPDX-License-Identifier: MIT */
/* The text is hostile until a digest or signature covers it, and often after. */
#include "json.h"

#include <errno.h>
#include <stdbool.h>

#include "config.h"

enum { MEMBERS_MAX = 1024 };

/* Counts before anything is allocated. Upper bounds: every value has one of these characters before it. */
static int measure(struct span text, const char *what, struct err *e)
{
	size_t values = 1, depth = 0;
	bool is_text = false;

	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.at[i];

		if (is_text) {
			if (c == '\\')
				i++;
			is_text = c != '"';
			continue;
		}
		is_text = c == '"';
		values += c == ',' || c == ':' || c == '[' || c == '{';
		if (c == '[' || c == '{')
			depth++;
		else if ((c == ']' || c == '}') && depth)
			depth--;
		if (depth > CONFIG_JSON_DEPTH_MAX)
			return err_set(e, -EFBIG, "%s: JSON nested more than %d deep: refused", what, CONFIG_JSON_DEPTH_MAX);
		if (values > CONFIG_JSON_VALUES_MAX)
			return err_set(e, -EFBIG, "%s: JSON of more than %d values: refused", what, CONFIG_JSON_VALUES_MAX);
	}
	return 0;
}

/* Two members of one name: readers differ in which they take. Depth is bounded; so are members, as each is compared with all before it. */
static bool has_twins(yyjson_val *v)
{
	yyjson_val *key, *value, *other, *ignored;
	size_t at, max, at2, max2;

	if (yyjson_is_arr(v)) {
		yyjson_arr_foreach(v, at, max, value)
			if (has_twins(value))
				return true;
	} else if (yyjson_obj_size(v) > MEMBERS_MAX) {
		return true;
	} else if (yyjson_is_obj(v)) {
		yyjson_obj_foreach(v, at, max, key, value) {
			if (has_twins(value))
				return true;
			yyjson_obj_foreach(v, at2, max2, other, ignored) {
				if (at2 >= at)
					break;
				if (yyjson_equals(key, other))
					return true;
			}
		}
	}
	return false;
}

yyjson_doc *json_read(struct span text, const char *what, struct err *e)
{
	yyjson_read_err why;
	yyjson_doc *doc;

	if (measure(text, what, e) < 0)
		return NULL;
	doc = yyjson_read_opts((char *)text.at, text.len, 0, NULL, &why);
	if (!doc) {
		err_set(e, -EBADMSG, "%s: not JSON: %s at byte %zu: refused", what, why.msg, why.pos);
	} else if (has_twins(yyjson_doc_get_root(doc))) {
		err_set(e, -EBADMSG, "%s: an object with the same key twice, or more than %d keys: refused", what, MEMBERS_MAX);
		yyjson_doc_free(doc);
		doc = NULL;
	}
	return doc;
}
