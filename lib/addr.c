/* SPDX-License-Identifier: MIT */
/* Addresses and subnets (addr.h). Texts come from unit files; nothing of them is believed but what inet_pton(3) takes. */
#include "addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool addr_parse(const char *text, struct addr *out)
{
	memset(out, 0, sizeof(*out));
	out->len = inet_pton(AF_INET, text, out->b) == 1 ? 4 : inet_pton(AF_INET6, text, out->b) == 1 ? 16 : 0;
	if (!out->len)
		memset(out, 0, sizeof(*out));
	return out->len;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return a->len == b->len && memcmp(a->b, b->b, a->len) == 0;
}

const char *addr_text(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	if (!a->len || !inet_ntop(a->len == 4 ? AF_INET : AF_INET6, a->b, out, ADDR_TEXT_MAX))
		snprintf(out, ADDR_TEXT_MAX, "-");
	return out;
}

/* A with every bit behind PREFIX as in FILL (all 0 or all 1). */
static struct addr masked(const struct addr *a, unsigned prefix, uint8_t fill)
{
	struct addr out = *a;

	for (unsigned i = 0; i < a->len; i++) {
		unsigned kept = prefix > i * 8 ? prefix - i * 8 : 0;
		uint8_t mask = kept >= 8 ? 0xff : (uint8_t)(0xff00 >> kept);

		out.b[i] = (uint8_t)((a->b[i] & mask) | (fill & ~mask));
	}
	return out;
}

bool subnet_parse(const char *text, struct subnet *out)
{
	const char *slash = strchr(text, '/');
	char part[ADDR_TEXT_MAX], *end;
	struct addr first;
	unsigned long n;

	memset(out, 0, sizeof(*out));
	if (!slash || (size_t)(slash - text) >= sizeof(part) || slash[1] < '0' || slash[1] > '9')
		return false;
	memcpy(part, text, (size_t)(slash - text));
	part[slash - text] = '\0';
	n = strtoul(slash + 1, &end, 10);
	if (*end || !addr_parse(part, &out->addr) || n > out->addr.len * 8UL)
		return false;
	out->prefix = (uint8_t)n;
	first = masked(&out->addr, out->prefix, 0);
	return addr_equal(&first, &out->addr);
}

const char *subnet_text(const struct subnet *s, char out[SUBNET_TEXT_MAX])
{
	char text[ADDR_TEXT_MAX];

	snprintf(out, SUBNET_TEXT_MAX, s->addr.len ? "%s/%u" : "-", addr_text(&s->addr, text), s->prefix);
	return out;
}

bool subnet_has(const struct subnet *s, const struct addr *a)
{
	struct addr first = masked(a, s->prefix, 0);

	return a->len && addr_equal(&first, &s->addr);
}

bool subnet_overlaps(const struct subnet *a, const struct subnet *b)
{
	return a->addr.len && (a->prefix <= b->prefix ? subnet_has(a, &b->addr) : subnet_has(b, &a->addr));
}

struct addr subnet_at(const struct subnet *s, uint32_t n)
{
	struct addr out = s->addr;

	for (unsigned i = out.len; i-- > (out.len ? out.len - 4U : 0); n >>= 8)
		out.b[i] |= (uint8_t)n;
	return out;
}

uint32_t subnet_number(const struct subnet *s, const struct addr *a)
{
	struct addr net = masked(a, s->prefix, 0);
	uint32_t n = 0;

	for (unsigned i = a->len ? a->len - 4U : 0; i < a->len; i++)
		n = n << 8 | (uint8_t)(a->b[i] ^ net.b[i]);
	return n;
}

uint32_t subnet_last(const struct subnet *s)
{
	unsigned bits = s->addr.len * 8U - s->prefix;

	return bits > 30 ? UINT32_MAX >> 1 : (1U << bits) - 1;
}
