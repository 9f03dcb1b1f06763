/* SPDX-License-Identifier: MIT */
/*
 * Helpers: small processes of PID 1's own that run as long as the board does
 * and are started again when they end: the logger, a console per serial line,
 * dhcpcd, the attendant (fetch/attend.h), the exporter of metrics. What ends at once is started again at growing intervals.
 */
#ifndef CORACLE_HELPER_H
#define CORACLE_HELPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "board_conf.h"

/* Those from HELPER_HEARD to the exporter are programs whose stderr is heard: p->said[which - HELPER_HEARD]. */
enum { HELPER_LOGGER, HELPER_SAVER, HELPER_DHCPCD, HELPER_ATTEND, HELPER_METRICS, HELPER_CONSOLE, HELPERS = HELPER_CONSOLE + BOARD_CONF_CONSOLES,
	HELPER_HEARD = HELPER_DHCPCD };

struct helper {
	bool is_wanted;
	bool is_replaced;		/* told to end, so that a new one takes over at once */
	bool is_kept_out;		/* no process for it; said once */
	pid_t pid;
	unsigned fails;			/* short lives in a row */
	uint64_t since_ms, due_ms;
};

struct pid1;

/* Starts what is wanted and due. Returns when to look again (0: never). */
uint64_t helper_scan(struct pid1 *p, uint64_t now_ms);

/* "dhcpcd" */
const char *helper_name(unsigned which);

/* PID is a helper: true, and it is started again later. */
bool helper_reaped(struct pid1 *p, pid_t pid, int status);

/* New log pipes and rings: logger and saver are replaced by ones that know them. */
void helper_renew_logger(struct pid1 *p);

/* In the child: closes all that PID 1 holds and a helper that works on log pipes and rings has no use for. */
void helper_close_others(struct pid1 *p);

#endif
