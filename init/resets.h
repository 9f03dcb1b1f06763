/* SPDX-License-Identifier: MIT */
/*
 * Why the board was reset, kept over the reset in state/resets of the data partition, and what follows from it: a critical unit that is
 * beyond its restarts goes back to its image from before, and without one, or when that fails too, reboots the board; CONFIG_RESETS_MAX
 * such reboots (or watchdog resets) without CONFIG_HEALTHY_S of health in between end in rescue, where only critical units are tried, with
 * backoff, and nothing reboots any more. The file is read and written by jobs.
 */
#ifndef CORACLE_RESETS_H
#define CORACLE_RESETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RESETS_TEXT_MAX = 160 };

/* The content of state/resets. */
struct resets {
	uint32_t count;			/* bad ones in a row */
	bool is_bad;			/* WHY is of one that counts */
	char why[RESETS_TEXT_MAX];	/* said before the reset that comes; "": nothing was */
};

/* "count=N", "bad=0|1", "why=TEXT" lines; what is not understood counts as not said. Pure. */
void resets_parse(const char *text, struct resets *out);
size_t resets_write(const struct resets *r, char *out, size_t size);

/* At boot: takes the file in as the last run left it: counts, and tells in CAUSE why the board came up. Pure. */
void resets_boot(struct resets *r, bool has_bitten, char *cause, size_t size);

struct pid1;

enum resets_job { RESETS_BOOT, RESETS_SAY, RESETS_CLEAR };

/* The job, in its own process. RESETS_SAY writes why the next reset comes. Final message: bytes_done is the count, text the cause. */
int resets_job(const struct pid1 *p, enum resets_job what);

/* The same as a part of the sync job: the orderly way down leaves its reason too. */
void resets_note(const struct pid1 *p);

/* The job's end: code is enum job_code. */
struct job_result;
void resets_ended(struct pid1 *p, unsigned code, const struct job_result *r, const char *text);

/* A critical unit is beyond its restarts: the image from before gets its turn, else the board reboots. */
void resets_escalate(struct pid1 *p, unsigned i, const char *reason);

/* Once per turn. Returns when to look again (0: never). */
uint64_t resets_scan(struct pid1 *p, uint64_t now_ms);

#endif
