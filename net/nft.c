/* SPDX-License-Identifier: MIT */
/* nf_tables messages (nft.h). */
#include "nft.h"

#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void begin(struct nft *n, int type, int flags, int family)
{
	struct nfgenmsg *g = nl_begin(n->nl, NFNL_SUBSYS_NFTABLES << 8 | type, flags, sizeof(*g));
	uint32_t i = n->nl->seq - n->first;

	g->nfgen_family = (uint8_t)family;
	g->version = NFNETLINK_V0;
	if (i < NFT_MESSAGES_MAX)
		n->what[i].text[0] = '\0';
}

static void note(struct nft *n, const char *word)
{
	uint32_t i = n->nl->seq - n->first;
	size_t len;

	if (i >= NFT_MESSAGES_MAX)
		return;
	len = strlen(n->what[i].text);
	snprintf(n->what[i].text + len, NFT_WHAT_MAX - len, "%s%s", len ? " " : "", word);
}

static void edge(struct nft *n, int type)
{
	struct nfgenmsg *g = nl_begin(n->nl, type, 0, sizeof(*g));

	g->res_id = htobe16(NFNL_SUBSYS_NFTABLES);
}

int nft_begin(struct nft *n, struct nl *nl, struct err *e)
{
	memset(n, 0, sizeof(*n));
	n->what = calloc(NFT_MESSAGES_MAX, sizeof(*n->what));
	if (!n->what)
		return err_sys(e, ENOMEM, "nf_tables");
	n->nl = nl;
	nl_clear(nl);
	n->first = nl->seq + 1;
	edge(n, NFNL_MSG_BATCH_BEGIN);
	return 0;
}

static int refused(const struct nft *n, int code, uint32_t seq, struct err *e)
{
	const char *what = seq - n->first < NFT_MESSAGES_MAX ? n->what[seq - n->first].text : "";

	if (code == -EMSGSIZE)
		return err_set(e, -EFBIG, "nf_tables: more rules than one transaction holds");
	if (code == -ENOENT || code == -EOPNOTSUPP || code == -EAFNOSUPPORT || code == -EINVAL)
		return err_set(e, -ENOTSUP, "nf_tables: this kernel lacks something of \"%s\" (%s): the modules nf_tables, nft_chain_nat, nft_nat, nft_masq, "
			"nft_ct, nft_fib_inet, nft_limit are needed", what, strerror(-code));
	return err_sys(e, -code, "nf_tables: \"%s\" is not taken", what);
}

int nft_commit(struct nft *n, struct err *e)
{
	size_t last = n->nl->at;
	uint32_t seq = n->nl->seq;
	int r;

	edge(n, NFNL_MSG_BATCH_END);
	/* The end of a batch is not answered: the last message before it is. */
	n->nl->at = last;
	n->nl->seq = seq;
	r = nl_ask(n->nl, &seq);
	if (r < 0)
		r = refused(n, r, seq, e);
	free(n->what);
	n->what = NULL;
	return r;
}

static void new_table(struct nft *n, int type, int flags, int family, const char *name)
{
	begin(n, type, flags, family);
	nl_text(n->nl, NFTA_TABLE_NAME, name);
	note(n, "table");
	note(n, family == NFPROTO_INET ? "inet" : "netdev");
}

void nft_drop_table(struct nft *n, int family, const char *name)
{
	new_table(n, NFT_MSG_NEWTABLE, NLM_F_CREATE, family, name);
	new_table(n, NFT_MSG_DELTABLE, 0, family, name);
}

void nft_table(struct nft *n, int family, const char *name)
{
	nft_drop_table(n, family, name);
	new_table(n, NFT_MSG_NEWTABLE, NLM_F_CREATE, family, name);
	n->family = family;
	n->table = name;
}

bool nft_has_table(struct nl *nl, int family, const char *name)
{
	struct nfgenmsg *g;

	nl_clear(nl);
	g = nl_begin(nl, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, 0, sizeof(*g));
	g->nfgen_family = (uint8_t)family;
	nl_text(nl, NFTA_TABLE_NAME, name);
	return nl_ask(nl, NULL) == 0;
}

void nft_chain(struct nft *n, const char *name, const struct nft_hook *h)
{
	size_t hook, devices;

	begin(n, NFT_MSG_NEWCHAIN, NLM_F_CREATE, n->family);
	note(n, "chain");
	note(n, name);
	nl_text(n->nl, NFTA_CHAIN_TABLE, n->table);
	nl_text(n->nl, NFTA_CHAIN_NAME, name);
	if (!h)
		return;
	nl_text(n->nl, NFTA_CHAIN_TYPE, h->type);
	note(n, h->type);
	hook = nl_nest(n->nl, NFTA_CHAIN_HOOK);
	nl_be32(n->nl, NFTA_HOOK_HOOKNUM, h->hook);
	nl_be32(n->nl, NFTA_HOOK_PRIORITY, (uint32_t)h->priority);
	if (h->devices_len) {
		devices = nl_nest(n->nl, NFTA_HOOK_DEVS);
		for (unsigned i = 0; i < h->devices_len; i++)
			nl_text(n->nl, NFTA_DEVICE_NAME, h->devices[i]);
		nl_end(n->nl, devices);
	}
	nl_end(n->nl, hook);
	nl_be32(n->nl, NFTA_CHAIN_POLICY, h->drops ? NF_DROP : NF_ACCEPT);
}

void nft_set(struct nft *n, const struct nft_set *s)
{
	size_t desc;

	begin(n, NFT_MSG_NEWSET, NLM_F_CREATE, n->family);
	note(n, "set");
	note(n, s->name);
	nl_text(n->nl, NFTA_SET_TABLE, n->table);
	nl_text(n->nl, NFTA_SET_NAME, s->name);
	nl_be32(n->nl, NFTA_SET_ID, s->id);
	nl_be32(n->nl, NFTA_SET_FLAGS, s->flags);
	nl_be32(n->nl, NFTA_SET_KEY_TYPE, s->key_type);
	nl_be32(n->nl, NFTA_SET_KEY_LEN, s->key_len);
	if (s->size) {
		desc = nl_nest(n->nl, NFTA_SET_DESC);
		nl_be32(n->nl, NFTA_SET_DESC_SIZE, s->size);
		nl_end(n->nl, desc);
	}
}

void nft_elements(struct nft *n, const struct nft_set *s, struct nft_elements *x)
{
	begin(n, NFT_MSG_NEWSETELEM, NLM_F_CREATE, n->family);
	note(n, "elements of");
	note(n, s->name);
	nl_text(n->nl, NFTA_SET_ELEM_LIST_TABLE, n->table);
	nl_text(n->nl, NFTA_SET_ELEM_LIST_SET, s->name);
	nl_be32(n->nl, NFTA_SET_ELEM_LIST_SET_ID, s->id);
	x->list = nl_nest(n->nl, NFTA_SET_ELEM_LIST_ELEMENTS);
	x->count = 0;
}

static void data(struct nft *n, int type, const void *at, size_t len)
{
	size_t nest = nl_nest(n->nl, type);

	nl_put(n->nl, NFTA_DATA_VALUE, at, len);
	nl_end(n->nl, nest);
}

void nft_element(struct nft *n, struct nft_elements *x, const void *key, size_t len)
{
	size_t one = nl_nest(n->nl, NFTA_LIST_ELEM);

	data(n, NFTA_SET_ELEM_KEY, key, len);
	nl_end(n->nl, one);
	x->count++;
}

void nft_elements_end(struct nft *n, struct nft_elements *x)
{
	nl_end(n->nl, x->list);
}

void nft_rule(struct nft *n, const char *chain)
{
	begin(n, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, n->family);
	note(n, chain);
	note(n, "rule:");
	nl_text(n->nl, NFTA_RULE_TABLE, n->table);
	nl_text(n->nl, NFTA_RULE_CHAIN, chain);
	n->rule = nl_nest(n->nl, NFTA_RULE_EXPRESSIONS);
}

void nft_rule_end(struct nft *n)
{
	nl_end(n->nl, n->rule);
}

struct expr {
	size_t one, data;
};

static struct expr open_expr(struct nft *n, int type, const char *name)
{
	struct expr x = { nl_nest(n->nl, type), 0 };

	note(n, name);
	nl_text(n->nl, NFTA_EXPR_NAME, name);
	x.data = nl_nest(n->nl, NFTA_EXPR_DATA);
	return x;
}

static void close_expr(struct nft *n, struct expr x)
{
	nl_end(n->nl, x.data);
	nl_end(n->nl, x.one);
}

void nft_meta(struct nft *n, uint32_t key, uint32_t reg)
{
	struct expr x = open_expr(n, NFTA_LIST_ELEM, "meta");

	nl_be32(n->nl, NFTA_META_DREG, reg);
	nl_be32(n->nl, NFTA_META_KEY, key);
	close_expr(n, x);
}

void nft_ct(struct nft *n, uint32_t key, uint32_t reg)
{
	struct expr x = open_expr(n, NFTA_LIST_ELEM, "ct");

	nl_be32(n->nl, NFTA_CT_DREG, reg);
	nl_be32(n->nl, NFTA_CT_KEY, key);
	close_expr(n, x);
}

void nft_payload(struct nft *n, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg)
{
	struct expr x = open_expr(n, NFTA_LIST_ELEM, "payload");

	nl_be32(n->nl, NFTA_PAYLOAD_DREG, reg);
	nl_be32(n->nl, NFTA_PAYLOAD_BASE, base);
	nl_be32(n->nl, NFTA_PAYLOAD_OFFSET, offset);
	nl_be32(n->nl, NFTA_PAYLOAD_LEN, len);
	close_expr(n, x);
}

void nft_cmp(struct nft *n, uint32_t op, uint32_t reg, const void *at, size_t len)
{
	struct expr x = open_expr(n, NFTA_LIST_ELEM, "cmp");

	nl_be32(n->nl, NFTA_CMP_SREG, reg);
	nl_be32(n->nl, NFTA_CMP_OP, op);
	data(n, NFTA_CMP_DATA, at, len);
	close_expr(n, x);
}

void nft_mask(struct nft *n, uint32_t reg, const void *mask, size_t len)
{
	static const uint8_t zero[16];
	struct expr x = open_expr(n, NFTA_LIST_ELEM, "bitwise");

	nl_be32(n->nl, NFTA_BITWISE_SREG, reg);
	nl_be32(n->nl, NFTA_BITWISE_DREG, reg);
	nl_be32(n->nl, NFTA_BITWISE_LEN, (uint32_t)len);
	data(n, NFTA_BITWISE_MASK, mask, len);
	data(n, NFTA_BITWISE_XOR, zero, len);
	close_expr(n, x);
}

void nft_load(struct nft *n, uint32_t reg, const void *at, size_t len)
{
	struct expr x = open_expr(n, NFTA_LIST_ELEM, "immediate");

	nl_be32(n->nl, NFTA_IMMEDIATE_DREG, reg);
	data(n, NFTA_IMMEDIATE_DATA, at, len);
	close_expr(n, x);
}

void nft_lookup(struct nft *n, const struct nft_set *s, uint32_t reg, bool is_not)
{
	struct expr x = open_expr(n, NFTA_LIST_ELEM, "lookup");

	nl_text(n->nl, NFTA_LOOKUP_SET, s->name);
	nl_be32(n->nl, NFTA_LOOKUP_SET_ID, s->id);
	nl_be32(n->nl, NFTA_LOOKUP_SREG, reg);
	if (is_not)
		nl_be32(n->nl, NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
	close_expr(n, x);
}

void nft_fib_type(struct nft *n)
{
	struct expr x = open_expr(n, NFTA_LIST_ELEM, "fib");

	nl_be32(n->nl, NFTA_FIB_DREG, NFT_REG_1);
	nl_be32(n->nl, NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	nl_be32(n->nl, NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
	close_expr(n, x);
}

void nft_verdict(struct nft *n, int code, const char *chain)
{
	struct expr x = open_expr(n, NFTA_LIST_ELEM, "immediate");
	size_t outer, inner;

	nl_be32(n->nl, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	outer = nl_nest(n->nl, NFTA_IMMEDIATE_DATA);
	inner = nl_nest(n->nl, NFTA_DATA_VERDICT);
	nl_be32(n->nl, NFTA_VERDICT_CODE, (uint32_t)code);
	if (chain)
		nl_text(n->nl, NFTA_VERDICT_CHAIN, chain);
	nl_end(n->nl, inner);
	nl_end(n->nl, outer);
	close_expr(n, x);
}

void nft_masquerade(struct nft *n)
{
	close_expr(n, open_expr(n, NFTA_LIST_ELEM, "masq"));
}

void nft_dnat(struct nft *n, uint32_t family, uint32_t reg_port)
{
	struct expr x = open_expr(n, NFTA_LIST_ELEM, "nat");

	nl_be32(n->nl, NFTA_NAT_TYPE, NFT_NAT_DNAT);
	nl_be32(n->nl, NFTA_NAT_FAMILY, family);
	nl_be32(n->nl, NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
	if (reg_port)
		nl_be32(n->nl, NFTA_NAT_REG_PROTO_MIN, reg_port);
	close_expr(n, x);
}

void nft_over(struct nft *n, const struct nft_set *s, uint32_t reg, uint64_t rate, uint32_t burst)
{
	struct expr x = open_expr(n, NFTA_LIST_ELEM, "dynset"), limit;

	nl_text(n->nl, NFTA_DYNSET_SET_NAME, s->name);
	nl_be32(n->nl, NFTA_DYNSET_SET_ID, s->id);
	nl_be32(n->nl, NFTA_DYNSET_OP, NFT_DYNSET_OP_ADD);
	nl_be32(n->nl, NFTA_DYNSET_SREG_KEY, reg);
	limit = open_expr(n, NFTA_DYNSET_EXPR, "limit");
	nl_be64(n->nl, NFTA_LIMIT_RATE, rate);
	nl_be64(n->nl, NFTA_LIMIT_UNIT, 1);
	nl_be32(n->nl, NFTA_LIMIT_BURST, burst);
	nl_be32(n->nl, NFTA_LIMIT_TYPE, NFT_LIMIT_PKTS);
	nl_be32(n->nl, NFTA_LIMIT_FLAGS, NFT_LIMIT_F_INV);
	close_expr(n, limit);
	close_expr(n, x);
}
