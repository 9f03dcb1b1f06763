/* SPDX-License-Identifier: MIT */
/* The plan of lib/net_plan.h in memory. Texts point into the file's bytes, which the plan owns. */
#ifndef CORACLE_PLAN_H
#define CORACLE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "err.h"
#include "net_plan.h"

struct plan_network {
	const char *name;
	char bridge[16];
	uint32_t mtu;			/* 0: the uplink's */
	bool is_internal, wants6;
	struct subnet net4, net6;	/* not said: filled in by lease_assign */
	struct addr gateway4, gateway6;
	uint32_t lo, hi;		/* numbers in net4 that units get; 0, 0: all */
	struct addr dns[NET_DNS_MAX];
	unsigned dns_len;
	bool is_fixed4, is_fixed6;	/* its file says so */
};

struct plan_join {
	unsigned network;		/* index */
	struct addr ip4, ip6;		/* not said: filled in by lease_assign */
	char refused[160];		/* why it cannot be given an address, or "" */
};

struct plan_publish {
	struct addr addr;		/* of the board; none: any */
	uint16_t lo, hi, to;
	bool is_udp;
};

struct plan_unit {
	const char *name;
	struct plan_join join[NET_JOINS_MAX];
	struct plan_publish publish[NET_PUBLISH_MAX];
	const char *alias[NET_ALIASES_MAX], *search[NET_WORDS_MAX], *option[NET_WORDS_MAX];
	struct addr dns[NET_DNS_MAX];
	struct { const char *name; struct addr addr; } host[NET_HOSTS_MAX];
	struct { const char *path, *value; } sysctl[NET_SYSCTLS_MAX];
	unsigned joins, publishes, aliases, searches, options, dns_len, hosts, sysctls;
	bool has_no_dns;		/* dns none */
};

struct plan {
	char *text;
	struct plan_network network[NET_NETWORKS_MAX];
	unsigned networks;
	struct plan_unit *unit;		/* NET_UNITS_MAX */
	unsigned units;
};

/* Reads PATH. -ENOENT, -EUCLEAN (the line is named). The caller frees with plan_free in any case. */
int plan_read(struct plan *p, const char *path, struct err *e);
/* The same of TEXT, from malloc(3), which the plan owns from now on; NAME for messages. */
int plan_parse(struct plan *p, char *text, const char *name, struct err *e);
void plan_free(struct plan *p);

struct plan_unit *plan_find(struct plan *p, const char *unit);

/* "NAME": letters, digits, - _ . and nothing that leads out of a directory. */
bool plan_is_name(const char *s);

#endif
