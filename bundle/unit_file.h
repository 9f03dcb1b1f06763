/* SPDX-License-Identifier: MIT */
/*
 * One .container file, understood: what its keys say, checked one by one. Whatever a key table (unit_keys.c) does not
 * honour is an error or a notice, never skipped. Defaults are filled in before the first line is read.
 */
#ifndef CORACLE_UNIT_FILE_H
#define CORACLE_UNIT_FILE_H

#include <stdbool.h>

#include "unit_table.h"
#include "span.h"

enum { UNIT_LIST_MAX = 64, UNIT_FILE_TEXT_MAX = 64 * 1024, UNIT_NOTICE_MAX = 256 };

/* Texts in order; owned by the unit_file they are in. */
struct unit_list {
	uint32_t count;
	const char *at[UNIT_LIST_MAX];
};

/* SHOULD: without, with a word in the log, where the kernel cannot; MUST: refused then. */
enum unit_userns { UNIT_USERNS_SHOULD, UNIT_USERNS_MUST, UNIT_USERNS_HOST };
enum unit_confirms { UNIT_CONFIRMS_DEFAULT, UNIT_CONFIRMS_YES, UNIT_CONFIRMS_NO };	/* ConfirmRegistry= */
enum unit_network { UNIT_NETWORK_NONE, UNIT_NETWORK_HOST, UNIT_NETWORK_OWN };	/* OWN: a namespace that coracle-net makes */

struct unit_file {
	char name[UNIT_NAME_MAX];

	/* [Unit] */
	const char *description;
	struct unit_list after, requires, wants;	/* names of units, without .container or .service */
	uint32_t start_limit_burst, start_limit_interval_ms;

	/* [Container]; NULL: not said */
	const char *image, *container_name, *user, *group, *workdir, *hostname, *seccomp;
	bool has_exec, has_entrypoint;
	struct unit_list exec, entrypoint, environment, groups;
	enum unit_network network;
	struct unit_list networks;		/* OWN: "bridge" or names of .network files, without it */
	struct unit_list publish, dns, dns_search, dns_option, add_host, aliases;	/* PublishPort= as "ADDR|- LO HI TO tcp|udp"; AddHost= as "NAME ADDR" */
	const char *ip, *ip6;
	enum unit_userns userns;
	bool is_read_only, has_tmpfs, has_new_privileges, has_init;	/* has_tmpfs: ReadOnlyTmpfs=; has_init: RunInit= */
	struct unit_list tmpfs, volumes;	/* as written: PATH[:OPTIONS], SOURCE:PATH[:OPTIONS] */
	enum unit_confirms confirms_registry;
	uint64_t cap_add, cap_drop;
	struct unit_list secrets;		/* NAME[,target=NAME][,uid=N][,gid=N][,mode=OCTAL] */
	struct unit_list ulimits, devices, sysctls, mask, unmask, labels, annotations;
	uint64_t memory_max, memory_low, shm_size, pids_max;	/* bytes; pids: UINT64_MAX for no limit */
	int64_t swap_max;			/* bytes, -1: as much as there is */
	uint32_t pull;				/* enum unit_pull */
	uint32_t stop_signal;			/* 0: the image's, else SIGTERM */

	/* [Service] */
	uint32_t restart;			/* enum unit_restart */
	uint32_t restart_sec_ms, restart_max_sec_ms, timeout_start_ms, timeout_stop_ms;
	bool has_restart_max;
	struct unit_health health, startup;	/* as in struct unit_entry */
	uint32_t startup_success;
	uint32_t on_boot_ms;
	struct unit_calendar calendar;
	uint32_t log_burst, log_interval_ms, log_size_max;
	uint32_t on_failure;			/* enum unit_on_failure */
	uint32_t type, notify, watchdog_ms;	/* enum unit_type, unit_notify; 0: none */
	bool remains;				/* RemainAfterExit= */
	uint16_t exit_success[UNIT_EXITS_MAX], exit_prevent[UNIT_EXITS_MAX], exit_force[UNIT_EXITS_MAX];

	/* [X-Coracle] */
	bool is_critical, is_enabled, refuses_secrets;
	struct unit_update update;		/* is_auto is of [Container] */
	struct unit_list on_update;		/* VolumeOnUpdate=: [NAME:]copy|keep, later over earlier */
	struct unit_list pre_switch;		/* words of a command */
	uint32_t pre_switch_ms, switch_ms;	/* switch_ms: as unit_entry's */
	uint32_t cpu_percent, cpu_weight;	/* 0: no limit, the kernel's default */
	const char *cpu_set;
	int32_t oom_score_adj;
	bool has_oom_score_adj;

	size_t text_used;
	char text[UNIT_FILE_TEXT_MAX];
};

/* What the caller does with a notice ("FILE:LINE: Key= ..."). */
struct unit_notices {
	void (*say)(void *arg, const char *text);
	void *arg;
};

/* Parses TEXT of the file PATH (for messages; its last part gives the unit's name). *OUT is set in any case and to be freed, so that name and
 * description can be shown of a refused unit. NOTICES may be NULL. */
int unit_file_new(struct unit_file **out, struct span text, const char *path, const struct unit_notices *notices, struct err *e);
void unit_file_free(struct unit_file *u);

/* Reads PATH, then the same. *BYTES (may be NULL) are the file's bytes, from malloc(3). A file below STORE_DIR (may be NULL), which somebody may have written
 * while the board was off, is taken with a code of the store's key alone, where there is one: -EKEYREJECTED (bundle/seal.h). */
int unit_file_read(struct unit_file **out, const char *path, const char *store_dir, char **bytes, size_t *len, const struct unit_notices *notices,
	struct err *e);

/* The name that a unit file's code is made for. */
const char *unit_file_name(const char *path);
/* Of any file of units below STORE_DIR, whose TEXT was read: 0, also where there is no key; -EKEYREJECTED. */
int unit_file_check_seal(const char *path, const char *store_dir, struct span text, struct err *e);

/* Is the volume NAME copied before an update (VolumeOnUpdate=)? */
bool unit_file_copies(const struct unit_file *u, const char *name, size_t len);

/* Copies LEN bytes of TEXT and a NUL into the unit; NULL when it is full. */
const char *unit_file_text(struct unit_file *u, const char *text, size_t len);

#endif
