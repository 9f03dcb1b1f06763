/* SPDX-License-Identifier: MIT */
/* The compression function of SHA-256 (FIPS 180-4, 6.2.2) by the processor's own instructions, where there are any that mbedTLS does not use. */
#ifndef CORACLE_SHA256_BLOCKS_H
#define CORACLE_SHA256_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Does this processor have them? Asked once. */
bool sha256_blocks_is_there(void);

/* COUNT blocks of 64 bytes into STATE. Only where the above is true. */
void sha256_blocks(uint32_t state[8], const uint8_t *at, size_t count);

/* The same for two messages at a time, in little more than the time of one. */
void sha256_blocks_two(uint32_t *const state[2], const uint8_t *const at[2], size_t count);

#endif
