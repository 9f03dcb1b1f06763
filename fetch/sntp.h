/* SPDX-License-Identifier: MIT */
/*
 * The clock of a board. chronyd, a program of its own in a jail with CAP_SYS_TIME and the network and nothing else, sets it by NTP servers; this
 * starts it, starts it again, and judges what it set: no time before the last confirmed one (or the build), none that is CLOCK_LIFE_S after the build.
 * A time that stands is kept in state/clock. ATTEND_RUN/clock tells everyone: "wait MS" (boot time clock: until then whoever needs the time should
 * wait for it), "confirmed", "unconfirmed"; absent where nobody is asked for the time.
 */
#ifndef CORACLE_SNTP_H
#define CORACLE_SNTP_H

#include "attend.h"

#define SNTP_FILE ATTEND_RUN "/clock"

/* Looks at servers, chronyd and the clock, does what is due. Blocks on the disk only to keep the time. */
void sntp_look(const struct attend *a, uint64_t now_ms);

/* Keeps the time, ends chronyd. */
void sntp_end(const struct attend *a);

/* chrony.conf for the servers in LIST ("HOST[:PORT]", one a line, or "none"), into OUT of SIZE bytes. Their number; each line that is no server is passed
 * over and named in BAD (SIZE BAD_SIZE). */
unsigned sntp_config(const char *list, char *out, size_t size, char *bad, size_t bad_size);

/* Waits for the time to be confirmed where somebody is asked for it, CONFIG_CLOCK_WAIT_S at most in all since then; for jobs that judge certificates. SAY is
 * told once, where it waits at all. True where it is confirmed, or nobody is asked. */
bool sntp_wait(void (*say)(void *to, const char *line), void *to);

#endif
