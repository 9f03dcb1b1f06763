/* SPDX-License-Identifier: MIT */
/* Addresses of IPv4 and IPv6 and the subnets they are in, as unit files write them and netlink carries them. Pure. */
#ifndef CORACLE_ADDR_H
#define CORACLE_ADDR_H

#include <stdbool.h>
#include <stdint.h>

enum { ADDR_TEXT_MAX = 48, SUBNET_TEXT_MAX = 52 };

struct addr {
	uint8_t len;		/* bytes: 4, 16, or 0: none */
	uint8_t b[16];		/* network order, zero behind len */
};

struct subnet {
	struct addr addr;	/* its first address: no bit is set behind the prefix */
	uint8_t prefix;
};

bool addr_parse(const char *text, struct addr *out);
bool addr_equal(const struct addr *a, const struct addr *b);
const char *addr_text(const struct addr *a, char out[ADDR_TEXT_MAX]);

/* ADDR/PREFIX; false also where a bit is set behind the prefix: whoever wrote 10.1.2.3/24 meant something else than a subnet. */
bool subnet_parse(const char *text, struct subnet *out);
const char *subnet_text(const struct subnet *s, char out[SUBNET_TEXT_MAX]);
bool subnet_has(const struct subnet *s, const struct addr *a);
bool subnet_overlaps(const struct subnet *a, const struct subnet *b);

/* Its address number N, and the number of A in it (the low 32 bits). */
struct addr subnet_at(const struct subnet *s, uint32_t n);
uint32_t subnet_number(const struct subnet *s, const struct addr *a);
/* Number of its last address, at most 2^31: 255 for a /24. */
uint32_t subnet_last(const struct subnet *s);

#endif
