/* SPDX-License-Identifier: MIT */
/*
 * .network files (podman-systemd.unit(5)) and what units say of networks -> the plan of lib/net_plan.h. A network that cannot be understood, or whose
 * subnet is another's too, refuses the units that are in it, by name; the others run.
 */
#ifndef CORACLE_NET_FILES_H
#define CORACLE_NET_FILES_H

#include "addr.h"
#include "net_plan.h"
#include "unit_file.h"

struct net_file {
	char path[256];			/* "": the network `bridge`, which needs no file */
	char name[NET_NAME_MAX];
	char bridge[16];
	char error[UNIT_TEXT_MAX];	/* FILE:LINE: why it is no network, or "" */
	struct subnet net4, net6;
	struct addr gateway4, gateway6;
	uint32_t lo, hi;		/* IPRange=: numbers in net4; 0, 0: all */
	uint32_t mtu;
	bool is_internal, wants6;
	struct addr dns[NET_DNS_MAX];
	unsigned dns_len;
	uint32_t crc;			/* of the file */
};

struct net_files {
	struct net_file at[NET_NETWORKS_MAX];
	unsigned count;
};

/* Begins with the network `bridge`. */
void net_files_begin(struct net_files *f);
/* The file PATH; one of the same name that was read before is replaced. -EFBIG: there are too many. What is wrong with it is in its error, also that it is
 * below STORE_DIR (may be NULL) and not written under the store's key (unit_file_check_seal). */
int net_files_read(struct net_files *f, const char *path, const char *store_dir, const struct unit_notices *notices);
/* The same of TEXT, for its tests. */
int net_files_add(struct net_files *f, struct span text, const char *path, const struct unit_notices *notices);

/* TEXT by itself, as a release or a stick brings it: -EINVAL with the line that is no good. */
int net_files_try(struct span text, const char *path, struct err *e);

/* Once all are read: what networks say against each other. */
void net_files_check(struct net_files *f);

/* May U run? -EINVAL with the reason where it names a network that is not there or no good. */
int net_files_unit(const struct net_files *f, const struct unit_file *u, struct err *e);

/* CRC, of the file of U, goes on over those of its networks: has what U is made of changed? */
uint32_t net_files_crc(const struct net_files *f, const struct unit_file *u, uint32_t crc);

/* The plan of the networks and of COUNT units (those that are NULL are left out), from malloc(3). NULL: no memory. */
char *net_files_plan(const struct net_files *f, struct unit_file *const *units, size_t count, size_t *len);

#endif
