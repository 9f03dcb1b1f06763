/* SPDX-License-Identifier: MIT */
/*
 * Going down in order: units (reverse After=), then every other process, then
 * sync and umount in a job with a deadline, then reboot(2). Every step has a time after
 * which the next one begins: a board that was told to reboot reboots.
 */
#ifndef CORACLE_SHUTDOWN_H
#define CORACLE_SHUTDOWN_H

#include <stdint.h>

struct pid1;

/* POWER is enum status_power. Later calls may turn one into the other. */
void shutdown_begin(struct pid1 *p, int power, const char *why);

/* Once per turn. Returns when to look again (0: never, nothing is going down). */
uint64_t shutdown_scan(struct pid1 *p, uint64_t now_ms);

#endif
