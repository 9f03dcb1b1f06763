/* SPDX-License-Identifier: MIT */
/*
 * AES-GCM (NIST SP 800-38D) of whole TLS records by the processor's AES and carry-less multiplication, several blocks at a time: mbedTLS does one
 * after the other and takes ten times as long. Linked in front of mbedTLS's own function by fetch_main.c, which keeps that for every other case.
 */
#ifndef CORACLE_GCM_H
#define CORACLE_GCM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Is AES-GCM the fastest cipher here? Then TLS offers it first. */
bool gcm_is_fast(void);

/* Can gcm_open be called? x86_64 with AES, PCLMULQDQ and SSE 4.1. */
bool gcm_is_there(void);

/* KEYS: ROUNDS + 1 round keys of 16 bytes, as the standard writes them. IV: 12 bytes. IN and OUT may be one. False: the TAG of 16 bytes is
 * another, OUT is wiped. Takes the same time for every content. */
bool gcm_open(const uint8_t *keys, int rounds, const uint8_t *iv, const uint8_t *more, size_t more_len, const uint8_t *tag,
	const uint8_t *in, uint8_t *out, size_t len);

#endif
