/* SPDX-License-Identifier: MIT */
/*
 * Writes one JSON document (RFC 8259), indented by two blanks, into growing memory. No call fails in the middle: what went wrong (no memory, a text that
 * is not UTF-8) is remembered and told by json_out_end. KEY is NULL for elements of an array and for the root.
 */
#ifndef CORACLE_JSON_OUT_H
#define CORACLE_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_out {
	char *at;
	size_t len, room;
	unsigned depth;
	bool has_element;	/* the next one needs a comma */
	int failed;
};

void json_out_object(struct json_out *o, const char *key);
void json_out_array(struct json_out *o, const char *key);
/* Ends the innermost object or array: '}' or ']'. */
void json_out_close(struct json_out *o, char bracket);

void json_out_text(struct json_out *o, const char *key, const char *text);
void json_out_uint(struct json_out *o, const char *key, uint64_t n);
void json_out_int(struct json_out *o, const char *key, int64_t n);
void json_out_bool(struct json_out *o, const char *key, bool value);
/* An array of the texts up to NULL. */
void json_out_texts(struct json_out *o, const char *key, const char *const *texts);
/* LEN bytes that are JSON already. */
void json_out_raw(struct json_out *o, const char *key, const char *json, size_t len);

/* 0 and the document in *TEXT (malloc, ended by a newline and a NUL that *LEN does not count), or -ENOMEM, -EILSEQ. O is empty again. */
int json_out_end(struct json_out *o, char **text, size_t *len);

#endif
