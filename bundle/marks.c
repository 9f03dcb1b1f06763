/* SPDX-License-Identifier: MIT */
/* Paths come from the unpacker's own resolution of hostile names; the number and the bytes are capped. */
#include "marks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "unpack.h"

/* null, zero, full, random, urandom, tty, console, ptmx */
static const unsigned char devices[][2] = { { 1, 3 }, { 1, 5 }, { 1, 7 }, { 1, 8 }, { 1, 9 }, { 5, 0 }, { 5, 1 }, { 5, 2 } };

enum { DEVICES = sizeof(devices) / sizeof(*devices) };

int mark_device(unsigned major, unsigned minor)
{
	for (int i = 0; i < DEVICES; i++)
		if (devices[i][0] == major && devices[i][1] == minor)
			return MARK_DEVICE + i;
	return 0;
}

bool mark_device_number(char kind, unsigned *major, unsigned *minor)
{
	if (kind < MARK_DEVICE || kind >= MARK_DEVICE + DEVICES)
		return false;
	*major = devices[kind - MARK_DEVICE][0];
	*minor = devices[kind - MARK_DEVICE][1];
	return true;
}

static unsigned hash(const char *s)
{
	unsigned h = 2166136261u;

	while (*s)
		h = (h ^ (uint8_t)*s++) * 16777619u;
	return h % MARKS_BUCKETS;
}

bool marks_has(const struct marks *m, enum mark_kind kind, const char *path)
{
	if (!m->count)
		return false;
	for (const struct mark *at = m->bucket[hash(path)]; at; at = at->next)
		if (at->kind == (char)kind && strcmp(at->path, path) == 0)
			return true;
	return false;
}

int marks_add(struct marks *m, enum mark_kind kind, const char *path, struct err *e)
{
	size_t len = strlen(path);
	unsigned b = hash(path);
	struct mark *new;

	if (marks_has(m, kind, path))
		return 0;
	if (m->count >= UNPACK_MARKS_MAX || m->bytes + len + UNPACK_MARK_HEAD > UNPACK_MARK_BYTES_MAX)
		return err_set(e, -EFBIG, "more than %d whiteouts, or %d bytes of their names", UNPACK_MARKS_MAX, UNPACK_MARK_BYTES_MAX);
	new = malloc(sizeof(*new) + len + 1);
	if (!new)
		return err_sys(e, ENOMEM, "whiteouts");
	new->kind = (char)kind;
	memcpy(new->path, path, len + 1);
	new->next = m->bucket[b];
	m->bucket[b] = new;
	m->count++;
	m->bytes += (uint32_t)len + UNPACK_MARK_HEAD;
	return 0;
}

static struct mark *find_device(const struct marks *m, const char *path)
{
	if (!m->count)
		return NULL;
	for (struct mark *at = m->bucket[hash(path)]; at; at = at->next)
		if (at->kind >= MARK_DEVICE && at->kind <= MARK_DEVICE_END && strcmp(at->path, path) == 0)
			return at;
	return NULL;
}

bool marks_has_device(const struct marks *m, const char *path)
{
	return find_device(m, path) != NULL;
}

void marks_forget(struct marks *m, struct mark *mark)
{
	mark->kind = 0;
	m->count--;
	m->bytes -= (uint32_t)strlen(mark->path) + UNPACK_MARK_HEAD;
}

void marks_drop_device(struct marks *m, const char *path)
{
	struct mark *at = find_device(m, path);

	if (at)
		marks_forget(m, at);
}

void marks_free(struct marks *m)
{
	for (int b = 0; b < MARKS_BUCKETS; b++)
		while (m->bucket[b]) {
			struct mark *at = m->bucket[b];

			m->bucket[b] = at->next;
			free(at);
		}
	m->count = m->bytes = 0;
}
