/* SPDX-License-Identifier: MIT */
/*
 * Settings of the one device: files that a technician put on the FAT partition of the board's own disk (or into a folder) are checked, moved into
 * config/ of the data partition, and wiped where they came from. boards/README.md has the names.
 */
#ifndef CORACLE_PROVISION_H
#define CORACLE_PROVISION_H

#include "err.h"
#include "job.h"

struct provision {
	int data;			/* the data partition, open */
	struct err error;		/* the first: "FILE:LINE: what is wrong", or "" */
	unsigned taken, errors;
};

/* Takes what lies in FROM (open; may be read-only): each file by itself is checked, put into config/ durably, and then wiped from WIPE (the same
 * folder, writable; -1: the caller wipes later), or, with a mistake in it, left where it is. Every step is a line on stderr. */
void provision_take(struct provision *p, int from, int wipe);

/* Whether there is something in FROM that provision_take would look at. */
bool provision_has_work(int from);

/* One KEY=VALUE of board.conf (commas in VALUE may stand for blanks; an empty one takes the key away) into config/board.conf.
 * -EINVAL with its mistake. */
int provision_set(struct provision *p, const char *assignment, struct err *e);

/* The lines of config/board.conf without comments, for PID 1, which parses them anew; "" where there is none. */
void provision_conf(int data, char out[JOB_TEXT_MAX]);

/* The job's part: takes what lies on the provisioning partition of the disk of the data partition, mounted at DATA. */
void provision_board(struct provision *p, const char *data);

/* provision_part.c: the partition of the disk that DATA is mounted from. With IS_WRITABLE its files can be wiped. A descriptor of its root, mounted
 * nowhere; -ENOENT where the disk has none; else what the kernel says. PATH: its device, for messages. */
int provision_part(const char *data, bool is_writable, char path[64], struct err *e);

#endif
