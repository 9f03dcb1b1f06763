/* SPDX-License-Identifier: MIT */
/*
 * What changes, told to whoever asked (CONTROL_EVENTS): one fixed-size record a change, on the connection that asked. A reader that does not
 * keep up loses records, never the count of them; PID 1 waits for none.
 */
#ifndef CORACLE_EVENTS_H
#define CORACLE_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "unit_table.h"

enum { EVENTS_MAGIC = 0x544e5645, EVENTS_READERS = 4 };

enum event_kind {
	EVENT_STATE,		/* value: enum unit_state */
	EVENT_GONE,		/* the unit is no longer one of the board's */
	EVENT_HEALTH,		/* enum health */
	EVENT_UPDATE,		/* enum update_state */
	EVENT_POWER,		/* enum status_power */
};

struct control_event {
	uint32_t magic;
	uint32_t kind;			/* enum event_kind */
	uint32_t value;
	uint32_t sequence;		/* of the status record: a copy with this number or a later one has the change in it */
	uint32_t lost;			/* records just before this one that this reader did not get */
	uint32_t pad;
	int64_t seconds, nanoseconds;	/* the wall clock */
	char unit[UNIT_NAME_MAX];	/* or "" */
	char reason[UNIT_TEXT_MAX];
};

struct pid1;

/* Keeps the connection FD, which is the stream's from then on. False where all places are taken. */
bool events_add(struct pid1 *p, int fd);

/* To all readers. UNIT: its index, or -1. */
void events_say(struct pid1 *p, enum event_kind kind, int unit, uint32_t value, const char *reason);

/* Reader number I said something, which no reader does, or left. */
void events_hear(struct pid1 *p, unsigned i);

#endif
