/* SPDX-License-Identifier: MIT */
/* What the rules say (rules.h). All numbers come from checked files of our own. */
#include "rules.h"

#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link.h"
#include "nft.h"

/* netinet/in.h and linux/netfilter.h do not go together. */
enum { P_ICMP = 1, P_TCP = 6, P_UDP = 17, P_ICMP6 = 58 };
enum { R1 = NFT_REG_1, R2 = NFT_REG_2, ARP_RATE = 50, ARP_BURST = 200 };
/* Bits of NFT_CT_STATE and NFT_CT_STATUS (linux/netfilter/nf_conntrack_common.h). */
enum { CT_INVALID = 1 << 0, CT_ESTABLISHED_RELATED = 1 << 1 | 1 << 2, CT_DST_NAT = 1 << 5 };
/* nft's own numbers of key types, six bits each, for `nft list`. */
enum { T_IP = 7, T_IP6 = 8, T_ETHER = 9, T_IFINDEX = 20 };

struct rules {
	struct nft n;
	const struct up_list *ups;
	const struct up_link *net[NET_NETWORKS_MAX * 2];	/* one of each bridge */
	unsigned nets;
};

static const struct nft_set own4 = { "own4", 1, 0, (T_IFINDEX << 6 | T_ETHER) << 6 | T_IP, 16, 0 };
static const struct nft_set own6 = { "own6", 2, 0, (T_IFINDEX << 6 | T_ETHER) << 6 | T_IP6, 28, 0 };
static const struct nft_set arp = { "arp", 3, 0, ((T_IFINDEX << 6 | T_ETHER) << 6 | T_ETHER) << 6 | T_IP, 24, 0 };
static const struct nft_set asked = { "asked", 4, NFT_SET_EVAL, T_IFINDEX, 4, NET_UNITS_MAX * NET_JOINS_MAX };

static void name_is(struct nft *n, uint32_t key, uint32_t op, const char *name)
{
	char whole[16] = "";

	memcpy(whole, name, strlen(name));
	nft_meta(n, key, R1);
	nft_cmp(n, op, R1, whole, sizeof(whole));
}

static void group_is(struct nft *n, uint32_t key, uint32_t op)
{
	uint32_t group = LINK_GROUP;

	nft_meta(n, key, R1);
	nft_cmp(n, op, R1, &group, sizeof(group));
}

static void byte_is(struct nft *n, uint32_t key, uint8_t value)
{
	nft_meta(n, key, R1);
	nft_cmp(n, NFT_CMP_EQ, R1, &value, 1);
}

static void any_bit(struct nft *n, uint32_t key, uint32_t bits)
{
	static const uint32_t zero;

	nft_ct(n, key, R1);
	nft_mask(n, R1, &bits, sizeof(bits));
	nft_cmp(n, NFT_CMP_NEQ, R1, &zero, sizeof(zero));
}

static void family_is(struct nft *n, const struct addr *a)
{
	byte_is(n, NFT_META_NFPROTO, a->len == 4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
}

/* The source is in S; S's family is asked for too. */
static void source_in(struct nft *n, const struct subnet *s)
{
	uint8_t mask[16];

	for (unsigned i = 0; i < sizeof(mask); i++)
		mask[i] = s->prefix >= (i + 1) * 8 ? 0xff : s->prefix <= i * 8 ? 0 : (uint8_t)(0xff00 >> (s->prefix - i * 8));
	family_is(n, &s->addr);
	nft_payload(n, NFT_PAYLOAD_NETWORK_HEADER, s->addr.len == 4 ? 12 : 8, s->addr.len, R1);
	nft_mask(n, R1, mask, s->addr.len);
	nft_cmp(n, NFT_CMP_EQ, R1, s->addr.b, s->addr.len);
}

static void destination_is(struct nft *n, const struct addr *a)
{
	family_is(n, a);
	nft_payload(n, NFT_PAYLOAD_NETWORK_HEADER, a->len == 4 ? 16 : 24, a->len, R1);
	nft_cmp(n, NFT_CMP_EQ, R1, a->b, a->len);
}

static void end(struct nft *n, int verdict)
{
	nft_verdict(n, verdict, NULL);
	nft_rule_end(n);
}

/* Ports LO to HI of the board lead to those at TO of the unit; TO 0: to the same. */
static void publish_one(struct nft *n, const struct plan_publish *x, const struct addr *to, uint16_t lo, uint16_t hi, uint16_t port)
{
	uint16_t from = htobe16(lo), until = htobe16(hi), new = htobe16(port);

	nft_rule(n, "published");
	if (x->addr.len)
		destination_is(n, &x->addr);
	else
		family_is(n, to);
	byte_is(n, NFT_META_L4PROTO, x->is_udp ? P_UDP : P_TCP);
	nft_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, R1);
	nft_cmp(n, lo == hi ? NFT_CMP_EQ : NFT_CMP_GTE, R1, &from, 2);
	if (lo != hi)
		nft_cmp(n, NFT_CMP_LTE, R1, &until, 2);
	nft_load(n, R1, to->b, to->len);
	if (port)
		nft_load(n, R2, &new, 2);
	nft_dnat(n, to->len == 4 ? NFPROTO_IPV4 : NFPROTO_IPV6, port ? R2 : 0);
	nft_rule_end(n);
}

static void publish_to(struct nft *n, const struct plan_publish *x, const struct addr *to)
{
	if (!to->len || (x->addr.len && x->addr.len != to->len))
		return;
	if (x->lo == x->to) {
		publish_one(n, x, to, x->lo, x->hi, 0);
		return;
	}
	for (unsigned i = 0; i <= (unsigned)(x->hi - x->lo); i++)
		publish_one(n, x, to, (uint16_t)(x->lo + i), (uint16_t)(x->lo + i), (uint16_t)(x->to + i));
}

/* Of a unit in several networks the first that is not internal takes them. */
static const struct up_link *entrance(const struct up *u)
{
	for (unsigned i = 0; i < u->links; i++)
		if (!u->link[i].is_internal)
			return &u->link[i];
	return NULL;
}

static void published(struct rules *r)
{
	static const struct nft_hook pre = { "nat", NF_INET_PRE_ROUTING, -100, false, NULL, 0 }, out = { "nat", NF_INET_LOCAL_OUT, -100, false, NULL, 0 };
	static const struct addr loop6 = { 16, { [15] = 1 } };
	static const uint32_t local = RTN_LOCAL;
	struct nft *n = &r->n;

	nft_chain(n, "published", NULL);
	for (unsigned i = 0; i < r->ups->count; i++) {
		const struct up *u = &r->ups->at[i];
		const struct up_link *l = entrance(u);

		for (unsigned k = 0; l && k < u->publishes; k++) {
			publish_to(n, &u->publish[k], &l->addr4);
			publish_to(n, &u->publish[k], &l->addr6);
		}
	}
	nft_chain(n, "prerouting", &pre);
	nft_chain(n, "output", &out);
	/* From ::1 no packet leads to a link. */
	nft_rule(n, "output");
	destination_is(n, &loop6);
	end(n, NFT_RETURN);
	for (int i = 0; i < 2; i++) {
		nft_rule(n, i ? "output" : "prerouting");
		nft_fib_type(n);
		nft_cmp(n, NFT_CMP_EQ, R1, &local, sizeof(local));
		nft_verdict(n, NFT_JUMP, "published");
		nft_rule_end(n);
	}
}

static void hide(struct nft *n, const struct up_link *l, const struct subnet *s)
{
	static const struct subnet loop = { { 4, { 127 } }, 8 };

	if (!s->addr.len)
		return;
	if (!l->is_internal) {
		nft_rule(n, "postrouting");
		source_in(n, s);
		name_is(n, NFT_META_OIFNAME, NFT_CMP_NEQ, l->bridge);
		nft_masquerade(n);
		nft_rule_end(n);
	}
	/* By way of the board's address to a neighbour, or to itself: the answer has to come back the same way. */
	nft_rule(n, "postrouting");
	source_in(n, s);
	name_is(n, NFT_META_OIFNAME, NFT_CMP_EQ, l->bridge);
	any_bit(n, NFT_CT_STATUS, CT_DST_NAT);
	nft_masquerade(n);
	nft_rule_end(n);
	if (s->addr.len != 4)
		return;
	/* The board itself, to a port published on 127.0.0.1. */
	nft_rule(n, "postrouting");
	source_in(n, &loop);
	name_is(n, NFT_META_OIFNAME, NFT_CMP_EQ, l->bridge);
	nft_masquerade(n);
	nft_rule_end(n);
}

static void masquerade(struct rules *r)
{
	static const struct nft_hook post = { "nat", NF_INET_POST_ROUTING, 100, false, NULL, 0 };

	nft_chain(&r->n, "postrouting", &post);
	for (unsigned i = 0; i < r->nets; i++) {
		hide(&r->n, r->net[i], &r->net[i]->net4);
		hide(&r->n, r->net[i], &r->net[i]->net6);
	}
}

static void forward(struct rules *r, bool closes4, bool closes6)
{
	static const struct nft_hook hook = { "filter", NF_INET_FORWARD, 0, false, NULL, 0 };
	struct nft *n = &r->n;

	nft_chain(n, "forward", &hook);
	nft_rule(n, "forward");
	any_bit(n, NFT_CT_STATE, CT_ESTABLISHED_RELATED);
	end(n, NF_ACCEPT);
	for (unsigned i = 0; i < r->nets; i++) {
		nft_rule(n, "forward");
		name_is(n, NFT_META_IIFNAME, NFT_CMP_EQ, r->net[i]->bridge);
		name_is(n, NFT_META_OIFNAME, NFT_CMP_EQ, r->net[i]->bridge);
		end(n, NF_ACCEPT);
	}
	nft_rule(n, "forward");
	group_is(n, NFT_META_IIFGROUP, NFT_CMP_EQ);
	group_is(n, NFT_META_OIFGROUP, NFT_CMP_EQ);
	end(n, NF_DROP);
	for (unsigned i = 0; i < r->nets; i++)
		for (unsigned k = 0; r->net[i]->is_internal && k < 2; k++) {
			nft_rule(n, "forward");
			name_is(n, k ? NFT_META_OIFNAME : NFT_META_IIFNAME, NFT_CMP_EQ, r->net[i]->bridge);
			end(n, NF_DROP);
		}
	/* What belongs to no connection would leave with the unit's own address. */
	nft_rule(n, "forward");
	group_is(n, NFT_META_IIFGROUP, NFT_CMP_EQ);
	any_bit(n, NFT_CT_STATE, CT_INVALID);
	end(n, NF_DROP);
	nft_rule(n, "forward");
	group_is(n, NFT_META_IIFGROUP, NFT_CMP_EQ);
	end(n, NF_ACCEPT);
	nft_rule(n, "forward");
	group_is(n, NFT_META_OIFGROUP, NFT_CMP_EQ);
	any_bit(n, NFT_CT_STATUS, CT_DST_NAT);
	end(n, NF_ACCEPT);
	nft_rule(n, "forward");
	group_is(n, NFT_META_OIFGROUP, NFT_CMP_EQ);
	end(n, NF_DROP);
	for (unsigned k = 0; k < 2; k++)
		if (k ? closes6 : closes4) {
			nft_rule(n, "forward");
			byte_is(n, NFT_META_NFPROTO, k ? NFPROTO_IPV6 : NFPROTO_IPV4);
			end(n, NF_DROP);
		}
}

static void input(struct nft *n)
{
	static const struct nft_hook hook = { "filter", NF_INET_LOCAL_IN, 0, false, NULL, 0 };
	static const uint8_t let[] = { P_ICMP, P_ICMP6 };

	nft_chain(n, "input", &hook);
	nft_rule(n, "input");
	group_is(n, NFT_META_IIFGROUP, NFT_CMP_NEQ);
	end(n, NF_ACCEPT);
	nft_rule(n, "input");
	any_bit(n, NFT_CT_STATE, CT_ESTABLISHED_RELATED);
	end(n, NF_ACCEPT);
	for (unsigned i = 0; i < sizeof(let); i++) {
		nft_rule(n, "input");
		byte_is(n, NFT_META_L4PROTO, let[i]);
		end(n, NF_ACCEPT);
	}
	nft_rule(n, "input");
	end(n, NF_DROP);
}

/* Ethernet's type. A tag of a VLAN counts as its type, and is let through nowhere. */
static void type_is(struct nft *n, uint16_t type)
{
	uint16_t want = htobe16(type);

	nft_payload(n, NFT_PAYLOAD_LL_HEADER, 12, 2, R1);
	nft_cmp(n, NFT_CMP_EQ, R1, &want, 2);
}

/* Link and Ethernet source into the first three registers. */
static void who(struct nft *n)
{
	nft_meta(n, NFT_META_IIF, NFT_REG32_00);
	nft_payload(n, NFT_PAYLOAD_LL_HEADER, 6, 6, NFT_REG32_01);
}

static void not_too_often(struct nft *n)
{
	nft_meta(n, NFT_META_IIF, NFT_REG32_00);
	nft_over(n, &asked, NFT_REG32_00, ARP_RATE, ARP_BURST);
}

static void icmp6_is(struct nft *n, uint8_t type)
{
	type_is(n, 0x86dd);
	byte_is(n, NFT_META_L4PROTO, P_ICMP6);
	nft_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, R1);
	nft_cmp(n, NFT_CMP_EQ, R1, &type, 1);
}

static void at_links(struct nft *n)
{
	enum { ROUTER_ADVERTISEMENT = 134, NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT, REDIRECT };
	static const uint8_t limited[] = { NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT }, never[] = { ROUTER_ADVERTISEMENT, REDIRECT };

	nft_rule(n, "ingress");
	type_is(n, 0x0806);
	not_too_often(n);
	end(n, NF_DROP);
	nft_rule(n, "ingress");
	type_is(n, 0x0806);
	who(n);
	nft_payload(n, NFT_PAYLOAD_NETWORK_HEADER, 8, 6, NFT_REG32_03);
	nft_payload(n, NFT_PAYLOAD_NETWORK_HEADER, 14, 4, NFT_REG32_05);
	nft_lookup(n, &arp, NFT_REG32_00, false);
	end(n, NF_ACCEPT);
	nft_rule(n, "ingress");
	type_is(n, 0x0800);
	who(n);
	nft_payload(n, NFT_PAYLOAD_NETWORK_HEADER, 12, 4, NFT_REG32_03);
	nft_lookup(n, &own4, NFT_REG32_00, false);
	end(n, NF_ACCEPT);
	for (unsigned i = 0; i < sizeof(never); i++) {
		nft_rule(n, "ingress");
		icmp6_is(n, never[i]);
		end(n, NF_DROP);
	}
	for (unsigned i = 0; i < sizeof(limited); i++) {
		nft_rule(n, "ingress");
		icmp6_is(n, limited[i]);
		not_too_often(n);
		end(n, NF_DROP);
	}
	/* RFC 4861, 4.4: the address that is claimed is behind type, code, checksum and flags. */
	nft_rule(n, "ingress");
	icmp6_is(n, NEIGHBOUR_ADVERTISEMENT);
	who(n);
	nft_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, 8, 16, NFT_REG32_03);
	nft_lookup(n, &own6, NFT_REG32_00, true);
	end(n, NF_DROP);
	nft_rule(n, "ingress");
	type_is(n, 0x86dd);
	who(n);
	nft_payload(n, NFT_PAYLOAD_NETWORK_HEADER, 8, 16, NFT_REG32_03);
	nft_lookup(n, &own6, NFT_REG32_00, false);
	end(n, NF_ACCEPT);
}

/* The link-local address that the kernel makes of a MAC (RFC 4291, appendix A). */
static struct addr link_local(const uint8_t mac[6])
{
	return (struct addr){ 16, { 0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5] } };
}

static void own(struct rules *r, const struct nft_set *s, int which)
{
	struct nft_elements x;

	nft_elements(&r->n, s, &x);
	for (unsigned i = 0; i < r->ups->count; i++)
		for (unsigned k = 0; k < r->ups->at[i].links; k++) {
			const struct up_link *l = &r->ups->at[i].link[k];
			struct addr local = link_local(l->mac);
			uint8_t key[28] = { 0 };

			if (!l->index)
				continue;
			memcpy(key, &l->index, 4);
			memcpy(key + 4, l->mac, 6);
			if (which == 4) {
				memcpy(key + 12, l->addr4.b, 4);
			} else if (which == 6) {
				memcpy(key + 12, local.b, 16);
				nft_element(&r->n, &x, key, s->key_len);
				memcpy(key + 12, l->addr6.b, 16);
			} else {
				memcpy(key + 12, l->mac, 6);
				memcpy(key + 20, l->addr4.b, 4);
			}
			if (which != 6 || l->addr6.len)
				nft_element(&r->n, &x, key, s->key_len);
		}
	nft_elements_end(&r->n, &x);
}

static void links(struct rules *r)
{
	static const char *names[NET_UNITS_MAX * NET_JOINS_MAX];
	struct nft_hook hook = { "filter", NF_NETDEV_INGRESS, 0, true, names, 0 };

	for (unsigned i = 0; i < r->ups->count; i++)
		for (unsigned k = 0; k < r->ups->at[i].links; k++)
			if (r->ups->at[i].link[k].index)
				names[hook.devices_len++] = r->ups->at[i].link[k].veth;
	nft_table(&r->n, NFPROTO_NETDEV, RULES_TABLE);
	if (!hook.devices_len)
		return;
	nft_set(&r->n, &own4);
	nft_set(&r->n, &own6);
	nft_set(&r->n, &arp);
	nft_set(&r->n, &asked);
	own(r, &own4, 4);
	own(r, &own6, 6);
	own(r, &arp, 0);
	nft_chain(&r->n, "ingress", &hook);
	at_links(&r->n);
}

static void find_networks(struct rules *r)
{
	for (unsigned i = 0; i < r->ups->count; i++)
		for (unsigned k = 0; k < r->ups->at[i].links; k++) {
			const struct up_link *l = &r->ups->at[i].link[k];
			bool is_known = false;

			for (unsigned j = 0; j < r->nets; j++)
				is_known |= strcmp(r->net[j]->bridge, l->bridge) == 0;
			if (!is_known && r->nets < sizeof(r->net) / sizeof(r->net[0]))
				r->net[r->nets++] = l;
		}
}

int rules_set(struct nl *nl, const struct up_list *ups, bool closes4, bool closes6, struct err *e)
{
	struct rules r = { .ups = ups };
	int ret = nft_begin(&r.n, nl, e);

	if (ret < 0)
		return ret;
	find_networks(&r);
	nft_table(&r.n, NFPROTO_INET, RULES_TABLE);
	published(&r);
	masquerade(&r);
	forward(&r, closes4, closes6);
	input(&r.n);
	links(&r);
	return nft_commit(&r.n, e);
}

int rules_remove(struct nl *nl, struct err *e)
{
	static const int families[] = { NFPROTO_INET, NFPROTO_NETDEV };
	bool is_there[2];
	struct nft n;
	int r;

	for (int i = 0; i < 2; i++)
		is_there[i] = nft_has_table(nl, families[i], RULES_TABLE);
	if (!is_there[0] && !is_there[1])
		return 0;
	r = nft_begin(&n, nl, e);
	for (int i = 0; r == 0 && i < 2; i++)
		if (is_there[i])
			nft_drop_table(&n, families[i], RULES_TABLE);
	return r == 0 ? nft_commit(&n, e) : r;
}
