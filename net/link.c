/* SPDX-License-Identifier: MIT */
/* rtnetlink (link.h). */
#include "link.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void text_of(const struct nlattr *a, char *out, size_t size)
{
	out[0] = '\0';
	if (a)
		snprintf(out, size, "%.*s", (int)nl_len(a), (const char *)nl_data(a));
}

static void take_link(void *arg, int type, const struct nl_answer *a)
{
	const struct ifinfomsg *head = a->head;
	const struct nlattr *info[IFLA_INFO_MAX + 1];
	struct links *l = arg;
	struct link *k = &l->at[l->count];

	if (type != RTM_NEWLINK || l->count == LINKS_MAX)
		return;
	memset(k, 0, sizeof(*k));
	k->index = (uint32_t)head->ifi_index;
	k->is_up = head->ifi_flags & IFF_UP;
	k->has_carrier = head->ifi_flags & IFF_RUNNING;
	text_of(a->attr[IFLA_IFNAME], k->name, sizeof(k->name));
	k->group = nl_get32(a->attr[IFLA_GROUP]);
	k->mtu = nl_get32(a->attr[IFLA_MTU]);
	k->master = nl_get32(a->attr[IFLA_MASTER]);
	if (a->attr[IFLA_LINKINFO]) {
		nl_inside(a->attr[IFLA_LINKINFO], info, IFLA_INFO_MAX + 1);
		text_of(info[IFLA_INFO_KIND], k->kind, sizeof(k->kind));
	}
	l->count++;
}

static void take_route(void *arg, int type, const struct nl_answer *a)
{
	const struct rtmsg *head = a->head;
	struct links *l = arg;
	struct subnet *s = &l->subnet[l->subnets];
	uint32_t out = nl_get32(a->attr[RTA_OIF]);
	const struct link *k = link_at(l, out);
	size_t len = head->rtm_family == AF_INET ? 4 : 16;

	if (type != RTM_NEWROUTE || head->rtm_table != RT_TABLE_MAIN || head->rtm_type != RTN_UNICAST)
		return;
	if (head->rtm_dst_len == 0) {
		if (!l->uplink)
			l->uplink = out;
		return;
	}
	if (l->subnets == LINK_SUBNETS_MAX || !a->attr[RTA_DST] || nl_len(a->attr[RTA_DST]) != len || (k && k->group == LINK_GROUP))
		return;
	memset(s, 0, sizeof(*s));
	s->addr.len = (uint8_t)len;
	memcpy(s->addr.b, nl_data(a->attr[RTA_DST]), len);
	s->prefix = head->rtm_dst_len;
	if (len == 16 && s->addr.b[0] == 0xfe && (s->addr.b[1] & 0xc0) == 0x80)
		return;		/* link-local: on every link */
	l->subnet_link[l->subnets++] = out;
}

static int list_routes(struct nl *n, struct links *out, int family)
{
	struct rtmsg *r;
	int ret;

	nl_clear(n);
	r = nl_begin(n, RTM_GETROUTE, NLM_F_DUMP, sizeof(*r));
	r->rtm_family = (uint8_t)family;
	ret = nl_list(n, sizeof(*r), RTA_MAX + 1, take_route, out);
	return ret == -EAFNOSUPPORT || ret == -EOPNOTSUPP ? 0 : ret;
}

int link_read(struct nl *n, struct links *out)
{
	struct ifinfomsg *i;
	int r;

	memset(out, 0, sizeof(*out));
	nl_clear(n);
	i = nl_begin(n, RTM_GETLINK, NLM_F_DUMP, sizeof(*i));
	i->ifi_family = AF_UNSPEC;
	r = nl_list(n, sizeof(*i), IFLA_GROUP + 1, take_link, out);
	if (r == 0)
		r = list_routes(n, out, AF_INET);
	return r == 0 ? list_routes(n, out, AF_INET6) : r;
}

const struct link *link_find(const struct links *l, const char *name)
{
	for (unsigned i = 0; i < l->count; i++)
		if (strcmp(l->at[i].name, name) == 0)
			return &l->at[i];
	return NULL;
}

const struct link *link_at(const struct links *l, uint32_t index)
{
	for (unsigned i = 0; index && i < l->count; i++)
		if (l->at[i].index == index)
			return &l->at[i];
	return NULL;
}

static struct ifinfomsg *begin_link(struct nl *n, int type, int flags, uint32_t index)
{
	struct ifinfomsg *i;

	nl_clear(n);
	i = nl_begin(n, type, flags, sizeof(*i));
	i->ifi_index = (int)index;
	return i;
}

int link_add_bridge(struct nl *n, const char *name, const uint8_t mac[6], uint32_t mtu)
{
	size_t info, data;

	begin_link(n, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);
	nl_text(n, IFLA_IFNAME, name);
	nl_u32(n, IFLA_GROUP, LINK_GROUP);
	nl_u32(n, IFLA_MTU, mtu);
	nl_put(n, IFLA_ADDRESS, mac, 6);
	info = nl_nest(n, IFLA_LINKINFO);
	nl_text(n, IFLA_INFO_KIND, "bridge");
	data = nl_nest(n, IFLA_INFO_DATA);
	/* Without somebody who asks, snooping loses groups; there are no loops to find. */
	nl_u8(n, IFLA_BR_MCAST_SNOOPING, 0);
	nl_u32(n, IFLA_BR_STP_STATE, 0);
	nl_end(n, data);
	nl_end(n, info);
	return nl_ask(n, NULL);
}

int link_add_veth(struct nl *n, const struct link_veth *v)
{
	struct ifinfomsg none = { 0 };
	size_t info, data, peer;

	begin_link(n, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);
	nl_text(n, IFLA_IFNAME, v->name);
	nl_u32(n, IFLA_GROUP, LINK_GROUP);
	nl_u32(n, IFLA_MTU, v->mtu);
	nl_u32(n, IFLA_MASTER, v->bridge);
	info = nl_nest(n, IFLA_LINKINFO);
	nl_text(n, IFLA_INFO_KIND, "veth");
	data = nl_nest(n, IFLA_INFO_DATA);
	peer = nl_nest(n, VETH_INFO_PEER);
	nl_raw(n, &none, sizeof(none));
	nl_text(n, IFLA_IFNAME, v->inside);
	nl_u32(n, IFLA_MTU, v->mtu);
	nl_put(n, IFLA_ADDRESS, v->mac, 6);
	nl_u32(n, IFLA_NET_NS_FD, (uint32_t)v->ns);
	nl_end(n, peer);
	nl_end(n, data);
	nl_end(n, info);
	return nl_ask(n, NULL);
}

int link_tie(struct nl *n, uint32_t index, const uint8_t mac[6])
{
	struct ifinfomsg *i = begin_link(n, RTM_SETLINK, 0, index);
	struct ndmsg *d;
	size_t port;
	int r;

	i->ifi_family = AF_BRIDGE;
	port = nl_nest(n, IFLA_PROTINFO);
	nl_u8(n, IFLA_BRPORT_LEARNING, 0);
	nl_u8(n, IFLA_BRPORT_UNICAST_FLOOD, 0);
	nl_end(n, port);
	r = nl_ask(n, NULL);
	if (r < 0)
		return r;
	nl_clear(n);
	d = nl_begin(n, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*d));
	d->ndm_family = AF_BRIDGE;
	d->ndm_ifindex = (int)index;
	d->ndm_state = NUD_NOARP;
	d->ndm_flags = NTF_MASTER;
	nl_put(n, NDA_LLADDR, mac, 6);
	return nl_ask(n, NULL);
}

int link_set_up(struct nl *n, uint32_t index)
{
	struct ifinfomsg *i = begin_link(n, RTM_NEWLINK, 0, index);

	i->ifi_flags = i->ifi_change = IFF_UP;
	return nl_ask(n, NULL);
}

int link_delete(struct nl *n, uint32_t index)
{
	int r;

	begin_link(n, RTM_DELLINK, 0, index);
	r = nl_ask(n, NULL);
	return r == -ENODEV ? 0 : r;
}

int link_add_address(struct nl *n, uint32_t index, const struct addr *a, unsigned prefix)
{
	struct ifaddrmsg *m;

	nl_clear(n);
	m = nl_begin(n, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*m));
	m->ifa_family = a->len == 4 ? AF_INET : AF_INET6;
	m->ifa_prefixlen = (uint8_t)prefix;
	m->ifa_flags = a->len == 4 ? 0 : IFA_F_NODAD;
	m->ifa_index = index;
	nl_put(n, IFA_LOCAL, a->b, a->len);
	nl_put(n, IFA_ADDRESS, a->b, a->len);
	return nl_ask(n, NULL);
}

int link_add_default(struct nl *n, uint32_t index, const struct addr *gateway)
{
	struct rtmsg *m;

	nl_clear(n);
	m = nl_begin(n, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*m));
	m->rtm_family = gateway->len == 4 ? AF_INET : AF_INET6;
	m->rtm_table = RT_TABLE_MAIN;
	m->rtm_protocol = RTPROT_STATIC;
	m->rtm_scope = RT_SCOPE_UNIVERSE;
	m->rtm_type = RTN_UNICAST;
	nl_put(n, RTA_GATEWAY, gateway->b, gateway->len);
	nl_u32(n, RTA_OIF, index);
	return nl_ask(n, NULL);
}

uint32_t link_index(const char *name)
{
	return if_nametoindex(name);
}
