/* SPDX-License-Identifier: MIT */
/*
 * nf_tables messages (linux/netfilter/nf_tables.h): tables, chains, sets, rules and the expressions they are made of, in one transaction that the kernel
 * takes whole or not at all. Written into the buffer of an nl.
 */
#ifndef CORACLE_NFT_H
#define CORACLE_NFT_H

#include <linux/netfilter/nf_tables.h>

#include "addr.h"
#include "err.h"
#include "nl.h"

enum { NFT_MESSAGES_MAX = 8192, NFT_WHAT_MAX = 72 };

/* For the sentence about a message that the kernel refused. */
struct nft_what {
	char text[NFT_WHAT_MAX];
};

struct nft {
	struct nl *nl;
	int family;			/* NFPROTO_* of what follows */
	const char *table, *chain;
	uint32_t first;			/* number of the first message */
	struct nft_what *what;		/* NFT_MESSAGES_MAX */
	size_t rule, list;		/* open nests */
};

int nft_begin(struct nft *n, struct nl *nl, struct err *e);
/* Sends all of it. 0, or -errno with what was refused. */
int nft_commit(struct nft *n, struct err *e);

/* Makes it empty, whether it was there or not; what follows goes into it. */
void nft_table(struct nft *n, int family, const char *name);
void nft_drop_table(struct nft *n, int family, const char *name);
bool nft_has_table(struct nl *nl, int family, const char *name);

/* TYPE NULL: one that rules jump to. DEVICES: of the netdev family. */
struct nft_hook {
	const char *type;
	uint32_t hook;
	int32_t priority;
	bool drops;			/* what no rule takes */
	const char *const *devices;
	unsigned devices_len;
};
void nft_chain(struct nft *n, const char *name, const struct nft_hook *h);

/* ID: of the set in this transaction; KEY_TYPE: nft's own number, for those who list it. */
struct nft_set {
	const char *name;
	uint32_t id, flags, key_type, key_len, size;
};
void nft_set(struct nft *n, const struct nft_set *s);
/* Between these two, keys of the set. */
struct nft_elements {
	size_t message, list;
	unsigned count;
};
void nft_elements(struct nft *n, const struct nft_set *s, struct nft_elements *x);
void nft_element(struct nft *n, struct nft_elements *x, const void *key, size_t len);
void nft_elements_end(struct nft *n, struct nft_elements *x);

void nft_rule(struct nft *n, const char *chain);
void nft_rule_end(struct nft *n);

/* Expressions; registers: 1 is all of 16 bytes, NFT_REG32_00 and on four bytes each. */
void nft_meta(struct nft *n, uint32_t key, uint32_t reg);
void nft_ct(struct nft *n, uint32_t key, uint32_t reg);
void nft_payload(struct nft *n, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg);
void nft_cmp(struct nft *n, uint32_t op, uint32_t reg, const void *at, size_t len);
void nft_mask(struct nft *n, uint32_t reg, const void *mask, size_t len);
void nft_load(struct nft *n, uint32_t reg, const void *at, size_t len);
void nft_lookup(struct nft *n, const struct nft_set *s, uint32_t reg, bool is_not);
/* Register 1: RTN_* of the destination. */
void nft_fib_type(struct nft *n);
void nft_verdict(struct nft *n, int code, const char *chain);
void nft_masquerade(struct nft *n);
/* Destination from register 1, its port from REG_PORT where that is not 0. */
void nft_dnat(struct nft *n, uint32_t family, uint32_t reg_port);
/* Goes on where the key in REG comes more often than RATE a second, BURST at once. */
void nft_over(struct nft *n, const struct nft_set *s, uint32_t reg, uint64_t rate, uint32_t burst);

#endif
