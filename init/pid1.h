/* SPDX-License-Identifier: MIT */
/*
 * All that PID 1 knows, in one static structure that loop.c owns and passes
 * on. Sizes are fixed at build time; nothing in it is allocated.
 */
#ifndef CORACLE_PID1_H
#define CORACLE_PID1_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "board_conf.h"
#include "config.h"
#include "control.h"
#include "events.h"
#include "health.h"
#include "helper.h"
#include "job_run.h"
#include "lines.h"
#include "resets.h"
#include "ring.h"
#include "status.h"
#include "unit.h"
#include "unit_table.h"
#include "watchdog.h"
#include "update.h"

enum { STRANGERS_KEPT = 32 };

/* One unit: what its file says, where it stands. Its published half is status->unit[same index]. */
struct unit {
	bool is_used;
	bool is_gone;			/* no longer in the table: dropped once inactive */
	bool has_booted;		/* OnBootSec= came */
	bool is_asked;			/* by hand, since boot */
	bool is_taken_back;		/* to its image from before, as it was critical and beyond its restarts, since boot */
	uint64_t noted;			/* what its starts said is weaker than asked and the log has: a bit for each text's checksum */
	bool has_done;			/* a oneshot: its last run ended well */
	struct unit_entry entry;
	enum unit_state state;
	uint64_t timer_ms;		/* 0: none */
	unsigned job_fails, starts_failed;	/* in a row */
	struct unit_limit limit;
	bool is_pulled;			/* this wish to start had its pull (Pull=always) */
	int record_fd;			/* sealed, -1: none */
	int image_stop_signal;		/* what prepare found, for a unit that names none; 0: not known */

	bool is_launched;		/* the fields down to started_ms are of a start not yet over */
	pid_t starter, pid;		/* 0: not there */
	int report_fd, pidfd;
	bool has_start_failed;		/* a report said so; start_text says why */
	enum unit_end_kind cause;	/* why we ended it: TIMEOUT, WATCHDOG, UNHEALTHY; UNIT_END_EXIT: we did not */
	bool has_end;
	bool is_term_due;		/* its stop signal is held back, see sup_terms() */
	struct unit_end end;		/* of the program's process */
	char start_text[UNIT_TEXT_MAX];
	uint64_t launched_ms, started_ms;
	struct health_run health;
	struct unit_health image_health;	/* what prepare found, for a unit that names none */
	int notify_fd;			/* -1: none */
	unsigned heard;			/* messages of the second that began at heard_ms */
	uint64_t heard_ms;
	uint64_t watchdog_ms, alive_ms;	/* WatchdogSec= of this run, 0: none; the last sign of life */

	bool is_dirty;			/* its cgroup may still be there */
	bool has_network;		/* a job made it, for this run or the one to come */
	struct update update;
	int out_fd[2], err_fd[2];	/* log pipes, both ends */
	int ring_fd, ring_read_fd;
};

/* Things the board itself wants done, each retried until it is. */
struct board_task {
	bool is_wanted, is_done;
	uint64_t due_ms;
	unsigned fails;
};

struct client {
	int fd;				/* -1: free */
	uint64_t since_ms;
};

struct reader {
	int fd;				/* of events; 0: free */
	uint32_t lost;			/* records since the last that it got */
};

struct pid1 {
	struct board_conf conf;
	bool is_board;			/* not in namespaces on a host */
	char bin_dir[128];		/* coracle-fetch, coracle-bundle, dhcpcd lie here */
	char etc_dir[128];		/* board.conf, policy.json, certs.d, auth.json */
	struct status *status;
	int status_read_fd;
	struct ring *log;
	int log_read_fd;
	int status_fd, log_fd, kmsg_fd;	/* what is mapped, for the program after this one; the kernel's log */
	bool is_reexec_due;
	int signal_fd, control_fd, console_fd;
	struct client clients[CONTROL_CLIENTS];
	struct reader readers[EVENTS_READERS];
	struct job jobs[JOBS_MAX];
	struct helper helpers[HELPERS];
	struct lines said[HELPER_METRICS - HELPER_HEARD];
	struct unit units[CONFIG_UNITS_MAX];
	unsigned units_len;
	unsigned release;		/* index + 1 of the entry that is the board's release, 0: none */
	bool is_switch_read;		/* the units job under way was told of it */
	bool is_release_switch;		/* the next table is of another release: units that it changes are restarted */
	char cgroup_dir[96];		/* the units' groups lie below it; "": no cgroup v2 here */
	struct board_task modules, mount, grow, verify, net, read_units;
	struct board_task networks;	/* what units that ended had is taken away, and names inside are brought up to date */
	char release_image[UNIT_IMAGE_MAX];	/* the release was ordered from elsewhere: where it is from while that is not committed */
	bool is_read_with_store;	/* the units job under way was given it */
	bool is_table_with_store;	/* the table in use was made with state/slots */
	bool is_net_begun;		/* what the data partition says of the network is known, or is not waited for */
	bool is_net_up;			/* static: set; dhcp: a lease came */
	char net_text[128];		/* what was last heard of the network */
	bool wants_gc;			/* an update has ended, or a pull found no room: collect garbage when nothing else uses the store */
	bool is_ready_said;
	struct watchdog watchdog;
	bool has_resets;		/* state/resets was taken in */
	uint32_t resets;		/* resets in a row that count */
	bool is_rescue;
	long long minute;		/* of the wall clock, for which OnCalendar= was looked at */
	int resets_job;			/* enum resets_job: what the job under way is */
	char reset_why[RESETS_TEXT_MAX];/* of the reset that comes, or "" */
	bool is_reset_bad, is_reset_said;
	uint64_t reset_due_ms;		/* the reset comes then, said or not */
	uint64_t healthy_ms;		/* since when all critical units are well */
	int power;			/* enum status_power */
	int power_step;			/* shutdown.c */
	uint64_t power_due_ms;
	bool is_umount_wanted;
	bool is_wipe_wanted;		/* factory reset: the sync job erases the data partition */
	uint64_t now_ms;		/* of this turn of the loop */
	bool has_unreaped;		/* children are left over from this turn */
	unsigned strangers;		/* unknown children reaped; the last ones: */
	struct {
		pid_t pid;
		int status;
	} stranger[STRANGERS_KEPT];
};

#endif
