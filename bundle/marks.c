/* SPDX-License-Identifier: MIT */
/* Paths come from the unpacker's own resolution of hostile names; the number and the bytes are capped. Never allocates. */
#include "marks.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "file.h"

/* A slot: place in the file + 1, and above it that much of the path's hash. */
enum { PLACE_BITS = 26 };

_Static_assert(UNPACK_MARK_BYTES_MAX < 1 << PLACE_BITS, "a slot holds every place");

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

uint32_t marks_size(const struct mark *m)
{
	return UNPACK_MARK_HEAD + (uint32_t)strlen(m->path);
}

int marks_read(struct marks *all, struct mark *m)
{
	char record[UNPACK_MARK_HEAD + UNPACK_PATH_MAX];
	uint16_t len;
	ssize_t n;

	if (m->at >= all->bytes)
		return 0;
	n = pread(all->fd, record, sizeof(record), m->at);
	memcpy(&len, record, sizeof(len));
	if (n < UNPACK_MARK_HEAD || len >= UNPACK_PATH_MAX || n < UNPACK_MARK_HEAD + (ssize_t)len)
		return n < 0 ? -errno : -EIO;
	m->kind = record[2];
	memcpy(m->path, record + UNPACK_MARK_HEAD, len);
	m->path[len] = '\0';
	return 1;
}

/* Seeded, so that no archive can be made whose paths all meet. */
static uint32_t hash(const char *s)
{
	uint32_t h = 2166136261u;

	memcpy(&h, (const void *)getauxval(AT_RANDOM), sizeof(h));
	while (*s)
		h = (h ^ (uint8_t)*s++) * 16777619u;
	return h ^ h >> 15;
}

/* The mark of PATH whose kind is from FIRST to LAST into *FOUND. Without one: false, and *SLOT is where it would be. */
static bool find(struct marks *m, const char *path, char first, char last, struct mark *found, uint32_t *slot)
{
	uint32_t h = hash(path);

	for (*slot = h % MARKS_SLOTS; m->slot[*slot]; *slot = (*slot + 1) % MARKS_SLOTS) {
		int r;

		if ((m->slot[*slot] ^ h) >> PLACE_BITS)
			continue;
		found->at = (m->slot[*slot] & ((1u << PLACE_BITS) - 1)) - 1;
		r = marks_read(m, found);
		if (r <= 0 && m->code == 0)
			m->code = r ? r : -EIO;
		if (r > 0 && found->kind >= first && found->kind <= last && strcmp(found->path, path) == 0)
			return true;
	}
	*slot |= h >> PLACE_BITS << PLACE_BITS;
	return false;
}

bool marks_has(struct marks *m, enum mark_kind kind, const char *path)
{
	struct mark found;
	uint32_t slot;

	return m->count && find(m, path, (char)kind, (char)kind, &found, &slot);
}

static int put(struct marks *m, const void *at, size_t len, uint32_t place)
{
	return lseek(m->fd, place, SEEK_SET) < 0 ? -errno : file_write_all(m->fd, at, len);
}

int marks_turn(struct marks *all, const struct mark *m, char kind)
{
	return put(all, &kind, 1, m->at + UNPACK_MARK_HEAD - 1);
}

int marks_add(struct marks *m, enum mark_kind kind, const char *path, struct err *e)
{
	char record[UNPACK_MARK_HEAD + UNPACK_PATH_MAX];
	size_t size = strlen(path);
	uint16_t len = (uint16_t)size;
	struct mark found;
	uint32_t slot;
	int r;

	if (size >= UNPACK_PATH_MAX)
		return err_set(e, -ENAMETOOLONG, "a path of more than %d bytes", UNPACK_PATH_MAX - 1);
	if (find(m, path, (char)kind, (char)kind, &found, &slot))
		return 0;
	if (find(m, path, 0, 0, &found, &slot)) {	/* was one, and is one again */
		r = marks_turn(m, &found, (char)kind);
		return r < 0 ? err_sys(e, -r, "whiteouts") : 0;
	}
	if (m->count >= UNPACK_MARKS_MAX || m->bytes + len + UNPACK_MARK_HEAD > UNPACK_MARK_BYTES_MAX)
		return err_set(e, -EFBIG, "more than %d whiteouts, or %d bytes of their names", UNPACK_MARKS_MAX, UNPACK_MARK_BYTES_MAX);
	memcpy(record, &len, sizeof(len));
	record[2] = (char)kind;
	memcpy(record + UNPACK_MARK_HEAD, path, len);
	r = put(m, record, UNPACK_MARK_HEAD + len, m->bytes);
	if (r < 0)
		return err_sys(e, -r, "whiteouts");
	m->slot[slot % MARKS_SLOTS] = (slot >> PLACE_BITS << PLACE_BITS) | (m->bytes + 1);
	m->count++;
	m->bytes += UNPACK_MARK_HEAD + len;
	return 0;
}

bool marks_has_device(struct marks *m, const char *path)
{
	struct mark found;
	uint32_t slot;

	return m->count && find(m, path, MARK_DEVICE, MARK_DEVICE_END, &found, &slot);
}

int marks_drop_device(struct marks *m, const char *path)
{
	struct mark found;
	uint32_t slot;

	return m->count && find(m, path, MARK_DEVICE, MARK_DEVICE_END, &found, &slot) ? marks_turn(m, &found, 0) : 0;
}
