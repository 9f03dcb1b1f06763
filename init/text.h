/* SPDX-License-Identifier: MIT */
/* Small text helpers without allocation: numbers, times, copies that never leave a text without its end. */
#ifndef CORACLE_TEXT_H
#define CORACLE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Copies, cut to fit, always ended. */
void text_copy(char *out, size_t size, const char *in);

/* As text_copy, with control characters and bytes above 0x7e as '?': for texts on their way to a terminal. */
void text_printable(char *out, size_t size, const char *in);

/* "2026-11-24T10:00:00.123456789Z" (31 bytes with the NUL). */
void text_time(const struct timespec *t, char *out, size_t size);

/* A decimal number that is the whole of S and at most MAX. */
bool text_u64(const char *s, uint64_t max, uint64_t *out);

/* The digits at *AT, blanks before them passed over; *AT is behind them then. 0 where there are none. */
uint64_t text_number(char **at);

/* "00:01:23", "3d 04:05:06" for a number of milliseconds. */
void text_span(uint64_t ms, char *out, size_t size);

/* "1.2M", "640K" for bytes. */
void text_bytes(uint64_t bytes, char *out, size_t size);

/* Reads a small file (procfs, sysfs, /etc) into OUT, ended by NUL, without a trailing newline. Count or -errno; -EFBIG where it
 * does not fit. */
long text_file(const char *path, char *out, size_t size);

/* Monotonic milliseconds since boot, also while suspended (CLOCK_BOOTTIME). */
uint64_t text_now_ms(void);

#endif
