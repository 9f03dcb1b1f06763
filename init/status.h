/* SPDX-License-Identifier: MIT */
/*
 * The status record: one memfd that PID 1 keeps up to date and hands out
 * read-only over the control socket. A reader copies it while the sequence
 * counter is even and unchanged. PID 1 is the only writer; the fields are also where it keeps these texts.
 */
#ifndef CORACLE_STATUS_H
#define CORACLE_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "unit_table.h"

enum { STATUS_MAGIC = 0x54535243, STATUS_FORMAT = 4, STATUS_CGROUP_MAX = 128, STATUS_ENDS = 4, STATUS_END_MAX = 96 };

enum status_net { STATUS_NET_NONE, STATUS_NET_DHCP, STATUS_NET_STATIC, STATUS_NET_HOST };
enum status_power { STATUS_POWER_ON, STATUS_POWER_OFF, STATUS_POWER_REBOOT };

enum status_update_end { STATUS_UPDATE_NONE, STATUS_UPDATE_COMMITTED, STATUS_UPDATE_ROLLED_BACK, STATUS_UPDATE_FAILED };

struct status_update {
	uint32_t state;			/* enum update_state */
	uint32_t tries;			/* attempts of the image on trial */
	uint32_t ended;			/* how many came to an end since boot; the last one: */
	uint32_t end;			/* enum status_update_end */
	uint64_t since_ms, due_ms;	/* of the state; when the tag is looked at again, 0: never by itself */
	uint64_t bytes_done, bytes_total;
	char digest[72];		/* of the image that is coming, or "" */
	char previous[72];		/* what `coracle rollback` goes back to, or "" */
	char refused[72];		/* the last that failed here, or "" */
	char why[160];			/* what the last update came to, or "" */
};

struct status_unit {
	char name[UNIT_NAME_MAX];
	char image[UNIT_IMAGE_MAX];
	char digest[72];		/* in use, or "" */
	char version[32];		/* what the image calls itself, or "" */
	char signer[128];		/* the key that admitted it, as far as this boot knows */
	char reason[UNIT_TEXT_MAX];	/* why it is where it is, or "" */
	char note[UNIT_TEXT_MAX];	/* what is weaker than asked, or "" */
	char cgroup[STATUS_CGROUP_MAX];	/* absolute path, or "" */
	uint32_t state;			/* enum unit_state */
	uint32_t restarts;
	int32_t pid;			/* of the program, 0: none */
	uint32_t is_enabled;
	uint64_t since_ms;		/* of the state; boot time clock */
	uint64_t due_ms;		/* when backoff or refused looks again, 0: not waiting for a time */
	uint64_t bytes_done, bytes_total;	/* of the job under way */
	uint32_t is_critical;
	struct status_update update;
	uint32_t ends;			/* ever; the last ones, number N at [N % STATUS_ENDS]: */
	struct {
		uint64_t at_ms;
		char text[STATUS_END_MAX];
	} end[STATUS_ENDS];
	uint32_t health;		/* enum health */
	char health_text[128];		/* what the last check printed, or "" */
	char said[128];			/* STATUS= of sd_notify, or "" */
};

struct status {
	uint32_t magic, format, size;
	uint32_t sequence;		/* odd: being written */
	uint32_t count;			/* of unit[] */
	uint32_t power;			/* enum status_power: what it is on its way to */
	uint32_t net;			/* enum status_net */
	uint32_t is_data_there;
	uint32_t is_clock_floor;	/* the clock was behind the build and set to it; the mount job may have set it on to state/clock */
	uint32_t is_host;		/* in namespaces on a host */
	uint64_t boot_ms;		/* when PID 1 began */
	uint32_t watchdog_s;		/* the hardware watchdog's time-out, 0: none */
	uint32_t resets;		/* in a row that count towards rescue */
	uint32_t is_rescue;
	char reset_cause[160];		/* why the board came up, or "" (not known yet) */
	char hostname[64];
	char version[32];
	char data[UNIT_TEXT_MAX];	/* "/data ext4 vda1", or why not */
	char data_dir[128];
	char network[UNIT_TEXT_MAX];	/* an error or the last event, or "" */
	char units_error[UNIT_TEXT_MAX];/* of the unit table as a whole, or "" */
	char ready[UNIT_TEXT_MAX];	/* the line at the prompt; "" until there is something to say */
	char bin_dir[128];		/* where the programs lie */
	struct status_unit unit[CONFIG_UNITS_MAX];
};

/* Makes and maps it; *FD is it, *READ_FD for handing out. NULL with errno set. Once, at boot. */
struct status *status_make(int *fd, int *read_fd);

/* Maps one that is there already; NULL where it is none of this version. */
struct status *status_map(int fd);

/* "committed" and so on. */
const char *status_update_end_name(unsigned end);

/* PID 1: around every change. */
void status_begin(struct status *s);
void status_end(struct status *s);

/* A client: a consistent copy of the record behind FD into OUT. 0, -EBADMSG for one of another version, -EAGAIN when it never held still. */
int status_copy(int fd, struct status *out);

#endif
