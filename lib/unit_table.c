/* SPDX-License-Identifier: MIT */
/* Seals and checks a unit table. The checking half runs in PID 1: it never allocates and believes nothing. */
#include "unit_table.h"

#include <errno.h>
#include <string.h>

#include "record.h"

#define END(text) ((text)[sizeof(text) - 1] = '\0')

void unit_table_seal(struct unit_table *t)
{
	memcpy(t->magic, UNIT_TABLE_MAGIC, sizeof(t->magic));
	t->format = UNIT_TABLE_FORMAT;
	t->size = sizeof(*t);
	t->crc32 = 0;
	t->crc32 = record_crc32(0, t, sizeof(*t));
}

bool unit_health_add(struct unit_health *h, const char *word)
{
	size_t at = 0, len = strlen(word) + 1;

	while (at < sizeof(h->arg) && h->arg[at])
		at += strlen(h->arg + at) + 1;
	/* An empty word would end the list. */
	if (len == 1 || at + len >= sizeof(h->arg))
		return false;
	memcpy(h->arg + at, word, len);
	h->arg[at + len] = '\0';
	return true;
}

static void end_texts(struct unit_entry *u)
{
	END(u->name);
	END(u->description);
	END(u->path);
	END(u->image);
	END(u->current);
	END(u->error);
	END(u->health.arg);
	END(u->slot.next);
	END(u->slot.previous);
	END(u->slot.floor);
	for (int i = 0; i < UNIT_REFUSED_MAX; i++)
		END(u->slot.refused[i]);
}

int unit_table_check(struct unit_table *t, size_t size, struct err *e)
{
	uint32_t claimed;

	if (size != sizeof(*t) || memcmp(t->magic, UNIT_TABLE_MAGIC, sizeof(t->magic)) != 0 ||
	    t->format != UNIT_TABLE_FORMAT || t->size != sizeof(*t))
		return err_set(e, -EBADMSG, "unit table: not one of this version (%zu bytes, expected %zu): are "
			"coracle-init and coracle-bundle of one build?", size, sizeof(*t));
	claimed = t->crc32;
	t->crc32 = 0;
	if (record_crc32(0, t, sizeof(*t)) != claimed)
		return err_set(e, -EBADMSG, "unit table: checksum does not match");
	if (t->count > CONFIG_UNITS_MAX)
		return err_set(e, -EBADMSG, "unit table: %u units, at most %u", t->count, CONFIG_UNITS_MAX);
	END(t->error);
	for (uint32_t i = 0; i < t->count; i++) {
		end_texts(&t->unit[i]);
		for (int k = 0; k < UNIT_DEPS_MAX; k++)
			if (t->unit[i].dep[k].unit > t->count)
				return err_set(e, -EBADMSG, "unit table: %s depends on a unit that is not there",
					t->unit[i].name);
	}
	return 0;
}
