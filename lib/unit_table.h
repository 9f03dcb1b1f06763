/* SPDX-License-Identifier: MIT */
/*
 * The compiled unit table: what `coracle-bundle units` makes out of the
 * .container files and state/slots, and PID 1 copies into static storage. Fixed
 * size, checksummed; texts are NUL-terminated, PID 1 forces it.
 */
#ifndef CORACLE_UNIT_TABLE_H
#define CORACLE_UNIT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "err.h"

#define UNIT_TABLE_MAGIC "CORUNIT\1"
enum { UNIT_TABLE_FORMAT = 10, UNIT_NAME_MAX = 64, UNIT_IMAGE_MAX = 256, UNIT_TEXT_MAX = 384, UNIT_DEPS_MAX = 8, UNIT_EXITS_MAX = 8,
	UNIT_REFUSED_MAX = 4 };

/* The entry of the table that is no unit: the board's release, which is updated as a unit is, and never started. */
#define UNIT_RELEASE_NAME "@release"

enum unit_origin {
	UNIT_ORIGIN_BOARD,	/* initramfs or provisioning */
	UNIT_ORIGIN_RELEASE,
};

/* systemd.service(5), Restart= */
enum unit_restart {
	UNIT_RESTART_NO,
	UNIT_RESTART_ON_SUCCESS,
	UNIT_RESTART_ON_FAILURE,
	UNIT_RESTART_ON_ABNORMAL,
	UNIT_RESTART_ON_ABORT,
	UNIT_RESTART_ALWAYS,
	UNIT_RESTART_ON_WATCHDOG,
};

enum unit_type {		/* systemd.service(5), Type=; notify is UNIT_NOTIFY_YES */
	UNIT_TYPE_EXEC,		/* active once its program was executed (or ready, see enum unit_notify) */
	UNIT_TYPE_ONESHOT,	/* active once its program has ended well */
};

enum unit_notify {		/* Quadlet Notify= */
	UNIT_NOTIFY_NO,
	UNIT_NOTIFY_YES,	/* ready when it says READY=1 */
	UNIT_NOTIFY_HEALTHY,	/* ready when its health command or probe first succeeds */
};

/* Where the socket of sd_notify(3) lies: OUTSIDE/NAME/socket on the board, INSIDE/socket in the container. */
#define UNIT_NOTIFY_OUTSIDE "/run/coracle/notify"
#define UNIT_NOTIFY_INSIDE "/dev/notify"

enum unit_health_kind {
	UNIT_HEALTH_UNSAID,	/* the image's HEALTHCHECK, where it has one */
	UNIT_HEALTH_OFF,	/* HealthCmd=none */
	UNIT_HEALTH_CMD,	/* arg: argv, each ended by NUL, an empty one ends it; run inside the container */
	UNIT_HEALTH_TCP,	/* port: connects on 127.0.0.1 of the unit's network */
	UNIT_HEALTH_HTTP,	/* port, arg: the path; 200 to 399 is healthy */
};

enum unit_on_failure {		/* HealthOnFailure= */
	UNIT_ON_FAILURE_NONE,
	UNIT_ON_FAILURE_KILL,	/* SIGKILL; Restart= decides then */
	UNIT_ON_FAILURE_RESTART,/* ended in order, and started again whatever Restart= says */
	UNIT_ON_FAILURE_STOP,	/* ended in order, and failed */
};

enum { UNIT_HEALTH_ARG_MAX = 256, UNIT_HEALTH_WORDS_MAX = 32 };

struct unit_health {
	uint32_t kind;			/* enum unit_health_kind */
	uint32_t port;
	uint32_t interval_ms, timeout_ms, retries, start_period_ms;	/* 0: not said */
	char arg[UNIT_HEALTH_ARG_MAX];
};

/* Appends WORD to ARG's list; false where it does not fit. */
bool unit_health_add(struct unit_health *h, const char *word);

/* OnCalendar=: bit N of a mask is the value N. In UTC. No months: none. */
struct unit_calendar {
	uint64_t minutes;
	uint32_t hours, days;		/* days of the month: bits 1 to 31 */
	uint16_t months;		/* bits 1 to 12 */
	uint16_t weekdays;		/* bit 0 is Sunday */
};

enum unit_dep_kind { UNIT_DEP_AFTER = 1, UNIT_DEP_REQUIRES = 2, UNIT_DEP_WANTS = 4 };

struct unit_dep {
	uint16_t unit;		/* index + 1 in the same table, 0: none */
	uint16_t kinds;		/* enum unit_dep_kind */
};

/* An end of a program in a list: 0 ends the list. */
enum { UNIT_EXIT_CODE = 0x100, UNIT_EXIT_SIGNAL = 0x200 };	/* | code or signal */

enum unit_pull {		/* Quadlet Pull= */
	UNIT_PULL_MISSING,	/* the default: only where no admitted image is in the store */
	UNIT_PULL_ALWAYS,
	UNIT_PULL_NEVER,
};

/* How it is updated; times 0: not said. */
struct unit_update {
	uint32_t is_auto;			/* AutoUpdate=registry */
	uint32_t interval_ms, confirm_ms, confirm_window_ms;	/* UpdateInterval=, ConfirmSec=, ConfirmWindowSec= */
	uint16_t window_from, window_to;	/* UpdateWindow=, minutes of the day (UTC); the same: always */
};

/* What state/slots says of its updates (bundle/slots.h), for this image reference. */
struct unit_slot {
	char next[72], previous[72];		/* digests or "" */
	char refused[UNIT_REFUSED_MAX][72];
	char floor[24];				/* a number or "" */
	uint32_t tries;
};

struct unit_entry {
	char name[UNIT_NAME_MAX];		/* file name less .container */
	char description[128];
	char path[256];				/* of the .container file */
	char image[UNIT_IMAGE_MAX];		/* as written, without docker:// */
	char current[72];			/* digest in use according to state/slots for this image reference, or "" */
	char error[UNIT_TEXT_MAX];		/* file:line: why the unit is refused, or "" */
	uint32_t restart;			/* enum unit_restart */
	uint32_t pull;				/* enum unit_pull */
	uint32_t restart_sec_ms;		/* first backoff */
	uint32_t restart_max_sec_ms;		/* cap of the exponential backoff */
	uint32_t start_limit_burst;		/* 0: none */
	uint32_t start_limit_interval_ms;
	uint32_t timeout_start_ms, timeout_stop_ms;
	uint32_t stop_signal;			/* 0: not said, job_result.stop_signal of prepare counts */
	uint32_t is_critical;
	uint32_t refuses_secrets;		/* RefuseSecrets= */
	uint32_t is_enabled;			/* started at boot */
	uint32_t type;				/* enum unit_type */
	uint32_t remains;			/* oneshot: RemainAfterExit= */
	uint32_t notify;			/* enum unit_notify */
	uint32_t watchdog_ms;			/* WatchdogSec=, 0: none */
	uint16_t exit_success[UNIT_EXITS_MAX];	/* SuccessExitStatus=, RestartPreventExitStatus=, RestartForceExitStatus= */
	uint16_t exit_prevent[UNIT_EXITS_MAX];
	uint16_t exit_force[UNIT_EXITS_MAX];
	struct unit_update update;
	struct unit_slot slot;
	struct unit_dep dep[UNIT_DEPS_MAX];
	uint32_t on_boot_ms;			/* OnBootSec=, 0: none; with either the unit is not started at boot */
	uint32_t origin;			/* enum unit_origin */
	struct unit_calendar calendar;
	uint32_t file_crc;			/* of the file and its networks': has it changed? */
	uint32_t skips_registry;		/* ConfirmRegistry=no, and units that do not say yes and could not cut the board off */
	uint32_t has_network;			/* a namespace by coracle-net comes before each start */
	uint32_t has_host_users;		/* UserNS=host */
	uint32_t log_burst, log_interval_ms;	/* lines in so much time; 0: no limit */
	uint32_t log_size_max;			/* bytes of a file of saved log, of which there are two; 0: not saved */
	uint32_t on_failure;			/* enum unit_on_failure */
	uint32_t switch_ms;			/* what copying volumes and PreSwitch= may take before the first start of a new image */
	struct unit_health health;
	struct unit_health startup;		/* HealthStartupCmd=, which comes before HEALTH; retries 0: tried for ever */
	uint32_t startup_success;		/* so many times; 0: once */
};

struct unit_table {
	uint8_t magic[8];
	uint32_t format;
	uint32_t size;				/* sizeof(struct unit_table) */
	uint32_t crc32;				/* with this field 0 */
	uint32_t count;
	char error[UNIT_TEXT_MAX];		/* about the whole (too many units, unreadable folder), or "" */
	struct unit_entry unit[CONFIG_UNITS_MAX];
};

/* Fills magic, format, size and checksum. */
void unit_table_seal(struct unit_table *t);

/* 0, or -EBADMSG with the reason. SIZE is what was read. Forces every text to end in NUL. */
int unit_table_check(struct unit_table *t, size_t size, struct err *e);

#endif
