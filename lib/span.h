/* SPDX-License-Identifier: MIT */
/*
 * Bytes with a length. Everything that comes from outside (a peer, a file, a
 * guest of the container) is carried as a span until something has checked
 * it; a span is not NUL-terminated and may hold any byte. It owns nothing.
 */
#ifndef CORACLE_SPAN_H
#define CORACLE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const uint8_t *at;
	size_t len;
};

static inline struct span span_of(const void *at, size_t len)
{
	return (struct span){ at, len };
}

static inline struct span span_str(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static inline bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool span_is(struct span a, const char *s)
{
	return span_equal(a, span_str(s));
}

/* Is WORD one of the words of A, between blanks and ends of lines (cgroup.controllers)? */
bool span_has_word(struct span a, const char *word);

/* Copies A and a NUL into OUT of SIZE bytes. false (OUT is "") where it does
 * not fit or where A holds a NUL: a truncated name is never produced. */
bool span_copy(struct span a, char *out, size_t size);

/* Copies A into OUT with every byte that is not printable ASCII written as
 * \xNN, cut to fit; for log lines and messages that show a peer's bytes. */
void span_escape(struct span a, char *out, size_t size);

#endif
