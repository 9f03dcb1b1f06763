/* SPDX-License-Identifier: MIT */
/* The CRC-32 of gzip (RFC 1952, 8) over long texts by the processor's carry-less multiplication, where zlib's tables take ten times as long. Linked in
 * front of zlib's own function by bundle_main.c, which keeps that for the rest. */
#ifndef CORACLE_CRC_H
#define CORACLE_CRC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CRC_MIN = 64 };

/* x86_64 with PCLMULQDQ. Asked once. */
bool crc_is_there(void);

/* LEN bytes, a multiple of 16 and at least CRC_MIN, behind a text whose CRC is CRC: 16 bytes into OUT that have, as a text behind nothing with an
 * initial value of 0, the same remainder. */
void crc_fold(uint32_t crc, const uint8_t *at, size_t len, uint8_t out[16]);

#endif
