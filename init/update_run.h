/* SPDX-License-Identifier: MIT */
/*
 * The updates of PID 1's units: events into the table of update.c, actions as jobs (update_child.c). Everything here returns at once. One update a
 * unit at a time; what a unit runs is changed by its entry's `current` and a restart, in sup.c's own ways.
 */
#ifndef CORACLE_UPDATE_RUN_H
#define CORACLE_UPDATE_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "job_run.h"
#include "update.h"

struct pid1;
struct unit_entry;

/* Asked for over the control socket. 0 with what begins in TEXT, or -errno with why not. SOURCE: "" for the unit's own Image=. */
int update_ask(struct pid1 *p, unsigned i, const char *source, char *text, size_t size);
int update_back(struct pid1 *p, unsigned i, char *text, size_t size);

/* sup: the unit's entry is about to be replaced by E of a new table. Keeps in E what PID 1 knows better: after the first table that was made with the
 * store, PID 1 alone changes the slots. */
void update_adopt(struct pid1 *p, unsigned i, struct unit_entry *e, bool is_with_store);

/* Is unit I the board's release? */
bool update_is_release(const struct pid1 *p, unsigned i);

/* sup: why the unit must not start yet, or NULL. */
const char *update_obstacle(const struct pid1 *p, unsigned i);

/* sup: a run of the unit's program ended which nobody asked to end; the unit was told to stop. */
void update_ended(struct pid1 *p, unsigned i);
void update_stopped(struct pid1 *p, unsigned i);

/* One event of unit I's update; what people are told of it from now on. */
void update_event(struct pid1 *p, unsigned i, enum update_event e);
void update_say(struct pid1 *p, unsigned i, const char *why);

enum { UPDATE_RETRY_MS = 2000, UPDATE_PLACE_MS = 500 };	/* a job that failed for now; no place for a job */

/* The trial of unit I, watched (update_watch.c). Returns when to look again. */
uint64_t update_watch(struct pid1 *p, unsigned i, uint64_t now_ms);

/* Once per turn of the loop, before the units' turn. Returns when to look again (0: never). */
uint64_t update_scan(struct pid1 *p, uint64_t now_ms);

/* A job of update_child.c ended, or told of its progress. */
void update_job_ended(struct pid1 *p, const struct job *j, unsigned code, const char *text);
void update_progress(struct pid1 *p, unsigned i, const struct job_result *r);

#endif
