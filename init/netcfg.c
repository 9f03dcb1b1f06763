/* SPDX-License-Identifier: MIT */
/*
 * Network set-up by rtnetlink(7): three kinds of message, each answered by an
 * acknowledgement of the kernel. Addresses come from board.conf, already
 * checked. Repeating it is harmless: what is there already is no error.
 */
#include "netcfg.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control.h"
#include "dir.h"
#include "file.h"
#include "job_child.h"

struct message {
	struct nlmsghdr head;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg addr;
		struct rtmsg route;
	} body;
	uint8_t attributes[64];
};

static void begin(struct message *m, int type, int flags, size_t body)
{
	memset(m, 0, sizeof(*m));
	m->head.nlmsg_len = NLMSG_LENGTH(body);
	m->head.nlmsg_type = (uint16_t)type;
	m->head.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
}

static void attribute(struct message *m, int type, const void *at, size_t len)
{
	struct rtattr *a = (struct rtattr *)((uint8_t *)m + NLMSG_ALIGN(m->head.nlmsg_len));

	a->rta_type = (uint16_t)type;
	a->rta_len = (uint16_t)RTA_LENGTH(len);
	memcpy(RTA_DATA(a), at, len);
	m->head.nlmsg_len = NLMSG_ALIGN(m->head.nlmsg_len) + RTA_ALIGN(a->rta_len);
}

/* 0 or -errno; -EEXIST counts as done. */
static int ask(int fd, const struct message *m)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		uint8_t rest[256];
	} answer;
	ssize_t n;

	if (send(fd, m, m->head.nlmsg_len, 0) < 0)
		return -errno;
	n = recv(fd, &answer, sizeof(answer), 0);
	if (n < 0)
		return -errno;
	if ((size_t)n < sizeof(answer.head) + sizeof(answer.error) || answer.head.nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return answer.error.error == -EEXIST ? 0 : answer.error.error;
}

static int link_up(int fd, unsigned index)
{
	struct message m;

	begin(&m, RTM_NEWLINK, 0, sizeof(m.body.link));
	m.body.link.ifi_family = AF_UNSPEC;
	m.body.link.ifi_index = (int)index;
	m.body.link.ifi_flags = m.body.link.ifi_change = IFF_UP;
	return ask(fd, &m);
}

static int add_address(int fd, unsigned index, const uint8_t addr[4], unsigned prefix)
{
	struct message m;

	begin(&m, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof(m.body.addr));
	m.body.addr.ifa_family = AF_INET;
	m.body.addr.ifa_prefixlen = (uint8_t)prefix;
	m.body.addr.ifa_index = index;
	attribute(&m, IFA_LOCAL, addr, 4);
	attribute(&m, IFA_ADDRESS, addr, 4);
	return ask(fd, &m);
}

static int add_default_route(int fd, unsigned index, const uint8_t gateway[4])
{
	struct message m;

	begin(&m, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(m.body.route));
	m.body.route.rtm_family = AF_INET;
	m.body.route.rtm_table = RT_TABLE_MAIN;
	m.body.route.rtm_protocol = RTPROT_STATIC;
	m.body.route.rtm_scope = RT_SCOPE_UNIVERSE;
	m.body.route.rtm_type = RTN_UNICAST;
	attribute(&m, RTA_GATEWAY, gateway, 4);
	attribute(&m, RTA_OIF, &index, sizeof(index));
	return ask(fd, &m);
}

static int add_name(const char *name, void *arg)
{
	char *seen = arg;
	size_t len = strlen(seen);

	snprintf(seen + len, 128 - len, "%s%.16s", len ? " " : "", name);
	return 0;
}

static int set_static(int fd, const struct board_conf *c, struct err *e)
{
	unsigned index = if_nametoindex(c->net_iface);
	char seen[128] = "";
	int ret;

	if (!index) {
		dir_walk("/sys/class/net", add_name, seen);
		return err_set(e, -ENODEV, "no interface %s (there are: %s); its driver may be missing in "
			"/etc/coracle/modules, or network= in board.conf names the wrong one", c->net_iface, seen);
	}
	ret = link_up(fd, index);
	if (ret < 0)
		return err_sys(e, -ret, "%s: not brought up", c->net_iface);
	ret = add_address(fd, index, c->net_addr, c->net_prefix);
	if (ret < 0)
		return err_sys(e, -ret, "%s: address not set", c->net_iface);
	ret = c->has_gateway ? add_default_route(fd, index, c->net_gateway) : 0;
	if (ret < 0)
		return err_sys(e, -ret, "%s: default route not set", c->net_iface);
	return c->dns_len ? netcfg_resolv(c->dns, c->dns_len, e) : 0;
}

int netcfg_resolv(const uint8_t (*dns)[4], unsigned len, struct err *e)
{
	int dir = open(CONTROL_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char text[BOARD_CONF_DNS * 32];
	size_t at = 0;
	int ret;

	if (dir < 0)
		return err_sys(e, errno, CONTROL_DIR);
	for (unsigned i = 0; i < len; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "nameserver %u.%u.%u.%u\n",
			dns[i][0], dns[i][1], dns[i][2], dns[i][3]);
	ret = file_replace(dir, "resolv.conf", span_of(text, at), 0644, e);
	close(dir);
	return ret;
}

int netcfg(const struct board_conf *c)
{
	struct err e = { "" };
	char text[JOB_TEXT_MAX];
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int ret;

	if (fd < 0) {
		err_sys(&e, errno, "netlink");
		return job_say(JOB_RETRY, e.text);
	}
	ret = link_up(fd, if_nametoindex("lo"));
	if (ret < 0)
		err_sys(&e, -ret, "lo: not brought up");
	else if (c->net == BOARD_NET_STATIC)
		ret = set_static(fd, c, &e);
	close(fd);
	if (ret < 0)
		return job_say(JOB_RETRY, e.text);
	if (c->net == BOARD_NET_STATIC)
		snprintf(text, sizeof(text), "%s %u.%u.%u.%u/%u (static)", c->net_iface, c->net_addr[0], c->net_addr[1],
			c->net_addr[2], c->net_addr[3], c->net_prefix);
	else
		snprintf(text, sizeof(text), "lo up");
	return job_say(JOB_DONE, text);
}
