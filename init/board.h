/* SPDX-License-Identifier: MIT */
/* What the board itself wants done: data partition, network, units read. Each a job, each tried again until it is done. */
#ifndef CORACLE_BOARD_H
#define CORACLE_BOARD_H

#include <stdint.h>

#include "job_run.h"

struct pid1;

/* Before the loop: what is wanted, as board.conf says. */
void board_begin(struct pid1 *p);

/* Once per turn: starts what is due, says the ready line. Returns when to look again (0: never). */
uint64_t board_scan(struct pid1 *p, uint64_t now_ms);

/* One of these jobs ended; J->memfd is -1, the table's descriptor is TABLE_FD (the caller's). */
void board_job_ended(struct pid1 *p, const struct job *j, unsigned code, const char *text, int table_fd);

/* Some unit's network is not wanted any more, or what units see of others has changed. */
void board_wants_networks(struct pid1 *p);

/* dhcp-script or a technician says that the network changed. */
void board_net_changed(struct pid1 *p, const char *text);

#endif
