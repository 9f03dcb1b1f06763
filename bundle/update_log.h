/* SPDX-License-Identifier: MIT */
/*
 * state/updates: what became of the last updates of each unit, for people; nothing is decided by it. One line each, oldest first, replaced whole:
 *
 *   2026-11-25T10:00:00Z hello committed sha256:... 12340 READY=1
 *   (time, unit, outcome, image, milliseconds it took, why)
 */
#ifndef CORACLE_UPDATE_LOG_H
#define CORACLE_UPDATE_LOG_H

#include "store.h"

#define UPDATE_LOG_PATH "state/updates"
enum { UPDATE_LOG_KEPT = 4, UPDATE_LOG_WHY_MAX = 200 };

/* Adds a line and drops the unit's oldest above UPDATE_LOG_KEPT; the same outcome of the same image again replaces the line before. OUTCOME is one
 * word. The caller holds slots_lock. 0, or a negative code with E. Blocks on the disk. */
int update_log_add(struct store *s, const char *unit, const char *outcome, const char *digest, uint64_t took_ms, const char *why, struct err *e);

#endif
