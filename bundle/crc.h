/* SPDX-License-Identifier: MIT */
/* The CRC-32 of gzip (RFC 1952, 8) by the processor's carry-less multiplication, for the decoder that has none (gzip_isal.c). x86_64 alone. */
#ifndef CORACLE_CRC_H
#define CORACLE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Of a text of CRC (0: none), and of LEN bytes behind it. Processors without PCLMULQDQ take ten times as long. */
uint32_t crc_add(uint32_t crc, const void *at, size_t len);

#endif
