/* SPDX-License-Identifier: MIT */
/*
 * The control socket: /run/coracle/control, SOCK_SEQPACKET, one fixed-size
 * request and one fixed-size reply, which may carry a descriptor (a read-only
 * status record or log ring; two for EXEC). Whoever is not uid 0 may look, not change; with
 * read-group= of board.conf its members may look at more, others at nothing.
 */
#ifndef CORACLE_CONTROL_H
#define CORACLE_CONTROL_H

#include <stdint.h>

#include "unit_table.h"

#define CONTROL_DIR "/run/coracle"
#define CONTROL_PATH CONTROL_DIR "/control"

enum { CONTROL_MAGIC = 0x4c544e43, CONTROL_TEXT_MAX = 384, CONTROL_CLIENTS = 8, CONTROL_IDLE_MS = 5000 };

enum control_command {
	CONTROL_STATUS = 1,	/* -> status record */
	CONTROL_LOGS,		/* name: a unit's ring; "": PID 1's own */
	CONTROL_START,		/* name */
	CONTROL_STOP,
	CONTROL_RESTART,
	CONTROL_REBOOT,
	CONTROL_POWEROFF,
	CONTROL_RESET,		/* name: the board's own, as confirmation; erases the data partition, reboots */
	CONTROL_REEXEC,		/* the coracle-init that lies on disk now takes over */
	CONTROL_UPDATE,		/* name; text: "", or oci-archive:FILE */
	CONTROL_ROLLBACK,	/* name */
	CONTROL_NETWORK,	/* text: what happened; pulls that failed are tried again now */
	CONTROL_EXEC,		/* name -> run record, pidfd of the program; the text is its cgroup */
	CONTROL_EVENTS,		/* -> status record, and the connection stays: events.h */
};

struct control_request {
	uint32_t magic;
	uint32_t command;		/* enum control_command */
	char name[UNIT_NAME_MAX];
	char text[128];
};

struct control_reply {
	uint32_t magic;
	int32_t code;			/* 0 or -errno */
	char text[CONTROL_TEXT_MAX];	/* what was done or why not */
};

struct pid1;

/* PID 1: makes the socket, for everyone, or with GROUP not 0 for root and that group. A descriptor or -errno. Before the named line. */
int control_listen(const char *path, unsigned group);

/* PID 1: accepts whoever waits, drops the longest idle one where all places are taken. */
void control_accept(struct pid1 *p);

/* PID 1: client number I has something to say or left. */
void control_serve(struct pid1 *p, unsigned i);

/* PID 1: drops clients that said nothing for CONTROL_IDLE_MS. */
void control_expire(struct pid1 *p, uint64_t now_ms);

#endif
