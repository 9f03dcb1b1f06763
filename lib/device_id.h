/* SPDX-License-Identifier: MIT */
/*
 * Which board this is: a name that the hardware gives and that stays over a reflash, for inventories and staged rollouts. The first that there is of
 * the device tree's serial number ("serial-10000000c0ffee00"), the firmware's UUID ("uuid-4c4c4544-..."), the lowest burnt-in
 * address of a network card ("mac-525400123456"); placeholders of careless makers count as none.
 */
#ifndef CORACLE_DEVICE_ID_H
#define CORACLE_DEVICE_ID_H

#include <stdbool.h>
#include <stddef.h>

/* Where the job that reads the units publishes it, one line; PID 1's client and other jobs read it there. */
#define DEVICE_ID_PATH "/run/coracle/device-id"

enum { DEVICE_ID_MAX = 72 };

/* Asks the hardware beneath SYS ("/sys") and PROC ("/proc"). KNOWN (may be NULL): the id of the last boot, which stays where it is of a network card that
 * is still there, whatever cards were added. Only [a-z0-9-]. False where nothing tells one board from another (yet). */
bool device_id_find(const char *sys, const char *proc, const char *known, char out[DEVICE_ID_MAX]);

/* What was published, else what the hardware says. */
bool device_id(char out[DEVICE_ID_MAX]);

/* Publishes it, by rename; and keeps it in DATA/state/device-id (DATA may be NULL). What fails is left out: it is found anew at each boot. */
void device_id_publish(const char *data);

#endif
