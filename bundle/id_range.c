/* SPDX-License-Identifier: MIT */
/* Ranges of ids. The wanted one follows from the unit's name, the next free one is taken: so that mostly no file is needed to say the same again. */
#include "id_range.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "compile_inner.h"
#include "file.h"
#include "quadlet.h"
#include "seal.h"
#include "unit_table.h"

enum { RANGES = (0x7ffe0000 - CONFIG_USERNS_FIRST) / CONFIG_USERNS_SIZE, FILE_SIZE = ID_RANGE_UNITS_MAX * (UNIT_NAME_MAX + 20) + SEAL_LINE_MAX };

static const char path[] = "state/ids", first_line[] = "coracle-ids 1\n";

struct ranges {
	uint32_t count;
	struct {
		char name[UNIT_NAME_MAX];
		uint32_t range;
	} at[ID_RANGE_UNITS_MAX];
};

/* A damaged line is forgotten: its unit gets a range as if it were new. */
static void take_line(struct ranges *all, char *line)
{
	char *name = line + 5, *number = strncmp(line, "unit ", 5) == 0 ? strchr(name, ' ') : NULL;
	uint64_t range;

	if (!number || all->count == ID_RANGE_UNITS_MAX)
		return;
	*number++ = '\0';
	if (!quadlet_u64(number, RANGES - 1, &range) || !span_copy(span_str(name), all->at[all->count].name, UNIT_NAME_MAX))
		return;
	all->at[all->count++].range = (uint32_t)range;
}

static void take_text(struct ranges *all, char *text)
{
	char *save = NULL;

	if (strncmp(text, first_line, strlen(first_line)) != 0)
		return;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		take_line(all, line);
}

static void read_ranges(struct store *s, struct ranges *all)
{
	char *text = NULL;
	size_t len;

	if (file_read(store_fd(s), path, FILE_SIZE, &text, &len, NULL) == 0 && seal_check(store_seal(s), "ids", "", span_of(text, len)) == 0)
		take_text(all, text);
	free(text);
}

static bool is_taken(const struct ranges *all, uint32_t range)
{
	for (uint32_t i = 0; i < all->count; i++)
		if (all->at[i].range == range)
			return true;
	return false;
}

static uint32_t wanted(const char *name)
{
	uint32_t hash = 0x811c9dc5u;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 0x01000193u;
	return hash % RANGES;
}

static void write_ranges(struct store *s, const struct ranges *all)
{
	char *text = malloc(FILE_SIZE), mac[SEAL_LINE_MAX];
	struct err e = { "no memory" };
	size_t at = 0;

	if (text) {
		at = (size_t)snprintf(text, FILE_SIZE, "%s", first_line);
		for (uint32_t i = 0; i < all->count; i++)
			at += (size_t)snprintf(text + at, FILE_SIZE - at, "unit %s %u\n", all->at[i].name, all->at[i].range);
		seal_line(store_seal(s), "ids", "", span_of(text, at), mac);
		at += (size_t)snprintf(text + at, FILE_SIZE - at, "%s", mac);
	}
	if (!text || file_replace(store_fd(s), path, span_of(text, at), 0644, &e) < 0)
		compile_note("%s: not written: %s", path, e.text);
	free(text);
}

static int find(struct store *s, struct ranges *all, const char *unit, uint32_t *range, struct err *e)
{
	read_ranges(s, all);
	for (uint32_t i = 0; i < all->count; i++)
		if (strcmp(all->at[i].name, unit) == 0) {
			*range = all->at[i].range;
			return 0;
		}
	if (all->count == ID_RANGE_UNITS_MAX)
		return err_set(e, -EFBIG, "%s: has %d names of units, no room for %s: remove the file", path, ID_RANGE_UNITS_MAX, unit);
	for (*range = wanted(unit); is_taken(all, *range); *range = (*range + 1) % RANGES)
		;
	span_copy(span_str(unit), all->at[all->count].name, UNIT_NAME_MAX);
	all->at[all->count++].range = *range;
	write_ranges(s, all);
	return 0;
}

int id_range_find(struct store *s, const char *unit, uint32_t *first, struct err *e)
{
	struct ranges *all = calloc(1, sizeof(*all));
	struct err note = { "" };
	uint32_t range = 0;
	int lock, r;

	if (!all)
		return err_sys(e, ENOMEM, "%s", path);
	if (file_make_dirs(store_fd(s), "state", 0755, &note) < 0)
		compile_note("%s", note.text);
	lock = file_open_beneath(store_fd(s), "state", O_RDONLY | O_DIRECTORY, 0);
	if (lock >= 0)
		flock(lock, LOCK_EX);
	r = find(s, all, unit, &range, e);
	*first = CONFIG_USERNS_FIRST + range * CONFIG_USERNS_SIZE;
	if (lock >= 0)
		close(lock);
	free(all);
	return r;
}
