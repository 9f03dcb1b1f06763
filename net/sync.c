/* SPDX-License-Identifier: MIT */
/*
 * The order in which networks are made and taken away (sync.h). A link is up only after the rules that guard it are in force; a namespace gets its name,
 * by which the starter finds it, last.
 */
#include "sync.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "inside.h"
#include "lease.h"
#include "link.h"
#include "listen.h"
#include "names.h"
#include "rules.h"
#include "space.h"
#include "up.h"

enum { MTU_DEFAULT = 1500 };

struct job {
	const struct sync *s;
	struct err *e;
	struct nl route, nft;
	struct links links;
	struct plan plan;
	struct leases leases;
	struct up_list ups;
	const struct plan_unit *wanted;	/* of the plan */
	struct up *new;			/* the last of ups */
	int space;			/* the new namespace */
	bool has_plan, was_off4, was_off6;
};

static void note(const char *fmt, const char *a, const char *b)
{
	fprintf(stderr, "coracle-net: ");
	fprintf(stderr, fmt, a, b);
	fputc('\n', stderr);
}

static int make_dirs(const struct sync *s, struct err *e)
{
	static const char *const names[] = { "", "/ns", "/up", "/files" };
	char path[256];

	for (int i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%.200s%s", s->run, names[i]);
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return err_sys(e, errno, "%s", path);
	}
	return 0;
}

static int lock(const struct sync *s, struct err *e)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%.200s/lock", s->run);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || flock(fd, LOCK_EX) < 0) {
		int r = err_sys(e, errno, "%s", path);

		if (fd >= 0)
			close(fd);
		return r;
	}
	return fd;
}

static bool is_kept(const struct job *j, const char *unit)
{
	for (unsigned i = 0; i < j->ups.count; i++)
		if (strcmp(j->ups.at[i].unit, unit) == 0)
			return true;
	return false;
}

static void read_kept(struct job *j)
{
	for (int i = 0; i < j->s->keep_len && j->ups.count < NET_UNITS_MAX - 1; i++) {
		const char *unit = j->s->keep[i];
		int r;

		if (!plan_is_name(unit) || is_kept(j, unit) || (j->s->unit && strcmp(unit, j->s->unit) == 0))
			continue;
		r = up_read(j->s->run, unit, &j->ups.at[j->ups.count]);
		if (r == 0)
			j->ups.count++;
		else
			note("unit %s: what its network was is not known any more: %s", unit, strerror(-r));
	}
}

/* Names and files of units that have no network, or get a new one. */
static void sweep(const struct job *j, const char *folder, void (*forget)(const char *run, const char *unit))
{
	char path[256];
	struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof(path), "%.200s/%s", j->s->run, folder);
	dir = opendir(path);
	while (dir && (d = readdir(dir)))
		if (d->d_name[0] != '.' && !is_kept(j, d->d_name))
			forget(j->s->run, d->d_name);
	if (dir)
		closedir(dir);
}

static void forget_up(const char *run, const char *unit)
{
	char path[256];

	snprintf(path, sizeof(path), "%.150s/up/%.80s", run, unit);
	unlink(path);
}

static bool is_used(const struct job *j, const char *link)
{
	for (unsigned i = 0; i < j->ups.count; i++)
		for (unsigned k = 0; k < j->ups.at[i].links; k++)
			if (strcmp(j->ups.at[i].link[k].veth, link) == 0 || strcmp(j->ups.at[i].link[k].bridge, link) == 0)
				return true;
	return false;
}

static int drop_links(struct job *j)
{
	for (unsigned i = 0; i < j->links.count; i++) {
		const struct link *l = &j->links.at[i];
		int r = l->group == LINK_GROUP && !is_used(j, l->name) ? link_delete(&j->route, l->index) : 0;

		if (r < 0)
			return err_sys(j->e, -r, "link %s: not removed", l->name);
	}
	return 0;
}

static int read_links(struct job *j)
{
	int r = link_read(&j->route, &j->links);

	if (r < 0)
		return err_sys(j->e, -r, "rtnetlink: links");
	for (unsigned i = 0; i < j->ups.count; i++)
		for (unsigned k = 0; k < j->ups.at[i].links; k++) {
			const struct link *l = link_find(&j->links, j->ups.at[i].link[k].veth);

			j->ups.at[i].link[k].index = l && l->group == LINK_GROUP ? l->index : 0;
		}
	return 0;
}

/* What a file_replace that was killed left in our directories. */
static void sweep_aside(const struct sync *s)
{
	char path[256];

	for (int i = 0; i < 3; i++) {
		int fd;

		snprintf(path, sizeof(path), "%.200s%s", i == 2 ? s->state : s->run, i == 1 ? "/up" : "");
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			continue;
		file_sweep_aside(fd);
		close(fd);
	}
}

/* Everything that is of none of the units kept. */
static int clear(struct job *j)
{
	int r;

	sweep_aside(j->s);
	sweep(j, "ns", space_forget);
	sweep(j, "up", forget_up);
	sweep(j, "files", names_remove);
	r = read_links(j);
	if (r == 0)
		r = drop_links(j);
	return r == 0 ? read_links(j) : r;
}

/* Both copies of the leases: this boot's own is newer where the disk takes nothing. */
static void leases(struct job *j)
{
	char path[2][256];
	bool is_up[NET_NETWORKS_MAX] = { false };
	struct err e = { "" };

	snprintf(path[0], sizeof(path[0]), "%.200s/leases", j->s->run);
	snprintf(path[1], sizeof(path[1]), "%.200s/net", j->s->state);
	if (leases_read(&j->leases, path[0], NULL) < 0 && leases_read(&j->leases, path[1], &e) == -EUCLEAN)
		note("%s%s", e.text, "");
	for (unsigned i = 0; i < j->plan.networks; i++)
		is_up[i] = is_used(j, j->plan.network[i].bridge);
	if (!lease_assign(&j->leases, &j->plan, j->links.subnet, j->links.subnets, is_up))
		return;
	e.text[0] = '\0';
	if (leases_write(&j->leases, j->s->state, "net", &e) < 0)
		note("%s: addresses may be others after the next boot%s", e.text, "");
	leases_write(&j->leases, j->s->run, "leases", NULL);
}

static int read_plan(struct job *j)
{
	char path[256];
	int r;

	snprintf(path, sizeof(path), "%.200s/plan", j->s->run);
	r = plan_read(&j->plan, path, j->s->unit ? j->e : NULL);
	j->has_plan = r == 0;
	if (r < 0)
		return j->s->unit ? r : 0;
	leases(j);
	j->wanted = j->s->unit ? plan_find(&j->plan, j->s->unit) : NULL;
	if (j->s->unit && (!j->wanted || !j->wanted->joins))
		return err_set(j->e, -EINVAL, "unit %s: is in no network of %s", j->s->unit, path);
	return 0;
}

/* Another subnet of the board, or another network's, in the way of L. */
static int check_subnets(struct job *j, const struct up_link *l)
{
	char a[SUBNET_TEXT_MAX], b[SUBNET_TEXT_MAX];

	for (unsigned i = 0; i < j->links.subnets; i++) {
		const struct subnet *s = &j->links.subnet[i];
		const struct link *k = link_at(&j->links, j->links.subnet_link[i]);

		if (subnet_overlaps(s, &l->net4) || subnet_overlaps(s, &l->net6))
			return err_set(j->e, -EADDRINUSE, "network %s: its subnet %s overlaps with %s, to which the board has a route over %s: another Subnet=",
				l->network, subnet_text(s->addr.len == 4 ? &l->net4 : &l->net6, a), subnet_text(s, b), k ? k->name : "another link");
	}
	for (unsigned i = 0; i + 1 < j->ups.count; i++)
		for (unsigned k = 0; k < j->ups.at[i].links; k++) {
			const struct up_link *o = &j->ups.at[i].link[k];

			if (strcmp(o->network, l->network) != 0 && (subnet_overlaps(&o->net4, &l->net4) || subnet_overlaps(&o->net6, &l->net6)))
				return err_set(j->e, -EADDRINUSE, "network %s: its subnet %s overlaps with %s of network %s: another Subnet=", l->network,
					subnet_text(&l->net4, a), subnet_text(&o->net4, b), o->network);
			if (strcmp(o->network, l->network) == 0 &&
			    (memcmp(&o->net4, &l->net4, sizeof(o->net4)) != 0 || memcmp(&o->net6, &l->net6, sizeof(o->net6)) != 0 ||
			     !addr_equal(&o->gateway4, &l->gateway4) || strcmp(o->bridge, l->bridge) != 0 || o->is_internal != l->is_internal))
				/* A release restarts them all: this one waits for the last to be out. */
				return err_set(j->e, -EBUSY, "network %s: was changed while unit %s is in it, as it was: waits until that is stopped",
					l->network, j->ups.at[i].unit);
		}
	return 0;
}

static int check_ports(struct job *j)
{
	static struct listener listeners[LISTENERS_MAX];
	unsigned count = j->new->publishes ? listen_read(listeners, LISTENERS_MAX) : 0;
	char owner[160];

	for (unsigned i = 0; i < j->ups.count; i++) {
		const struct plan_publish *x = up_conflict(j->new, &j->ups.at[i]);

		if (x)
			return err_set(j->e, -EADDRINUSE, "unit %s: PublishPort=: port %u/%s of the board is that of unit %s%s", j->new->unit, x->lo,
				x->is_udp ? "udp" : "tcp", j->ups.at[i].unit, &j->ups.at[i] == j->new ? " twice" : " already");
	}
	for (unsigned i = 0; i < j->new->publishes; i++) {
		const struct listener *l = listen_conflict(listeners, count, &j->new->publish[i]);

		if (!l)
			continue;
		listen_owner(l->inode, owner, sizeof(owner));
		return err_set(j->e, -EADDRINUSE, "unit %s: PublishPort=: port %u/%s of the board is taken by %s", j->new->unit, l->port,
			l->is_udp ? "udp" : "tcp", owner);
	}
	return 0;
}

static int check(struct job *j)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < j->new->links; i++)
		r = check_subnets(j, &j->new->link[i]);
	return r == 0 ? check_ports(j) : r;
}

/* Of a bridge's own; the addresses of units begin alike, and no unit has the gateway's. */
static void bridge_mac(const struct up_link *l, uint8_t mac[6])
{
	mac[0] = 0x02;
	mac[1] = 0xc0;
	memcpy(mac + 2, l->gateway4.b, 4);
}

static void bridge_sysctls(const struct up_link *l)
{
	static const struct { const char *path, *value; } list[] = {
		/* The board reaches ports published on 127.0.0.1; what comes from there the rules drop. */
		{ "net/ipv4/conf/%s/route_localnet", "1" },
		{ "net/ipv6/conf/%s/accept_ra", "0" },
		{ "net/ipv6/conf/%s/disable_ipv6", NULL },
	};
	char path[96];

	for (unsigned i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), list[i].path, l->bridge);
		space_sysctl(path, list[i].value ? list[i].value : l->net6.addr.len ? "0" : "1");
	}
}

static int make_bridge(struct job *j, struct up_link *l)
{
	const struct link *have = link_find(&j->links, l->bridge), *uplink = link_at(&j->links, j->links.uplink);
	uint32_t index, mtu = l->mtu ? l->mtu : uplink && uplink->mtu >= 1280 && uplink->mtu <= 65535 ? uplink->mtu : MTU_DEFAULT;
	uint8_t mac[6];
	int r;

	if (have && (have->group != LINK_GROUP || strcmp(have->kind, "bridge") != 0))
		return err_set(j->e, -EEXIST, "network %s: the board has a link %s already that is not of coracle: InterfaceName= takes another name, or "
			"remove that link", l->network, l->bridge);
	if (have) {
		l->mtu = have->mtu;
		return 0;
	}
	l->mtu = mtu;
	bridge_mac(l, mac);
	r = link_add_bridge(&j->route, l->bridge, mac, mtu);
	if (r == -EOPNOTSUPP)
		return err_set(j->e, -ENOTSUP, "network %s: this kernel has no bridges (module bridge)", l->network);
	index = r == 0 ? link_index(l->bridge) : 0;
	if (r == 0)
		bridge_sysctls(l);
	if (r == 0)
		r = link_add_address(&j->route, index, &l->gateway4, l->net4.prefix);
	if (r == 0 && l->net6.addr.len) {
		r = link_add_address(&j->route, index, &l->gateway6, l->net6.prefix);
		if (r < 0)
			return err_set(j->e, -ENOTSUP, "network %s: this kernel gives it no IPv6 address: %s; IPv6=no does without", l->network, strerror(-r));
	}
	if (r == 0)
		r = link_set_up(&j->route, index);
	if (r < 0)
		return err_sys(j->e, -r, "network %s: bridge %s", l->network, l->bridge);
	r = link_read(&j->route, &j->links);
	return r < 0 ? err_sys(j->e, -r, "rtnetlink: links") : 0;
}

static int make_veth(struct job *j, const struct up_link *l, unsigned number)
{
	char inside[16];
	struct link_veth v = { .name = l->veth, .inside = inside, .mac = l->mac, .mtu = l->mtu, .bridge = link_index(l->bridge), .ns = j->space };
	int r;

	snprintf(inside, sizeof(inside), "eth%u", number);
	r = link_add_veth(&j->route, &v);
	if (r == -EOPNOTSUPP)
		return err_set(j->e, -ENOTSUP, "unit %s: this kernel has no veth (module veth)", j->new->unit);
	if (r == 0)
		r = link_tie(&j->route, link_index(l->veth), l->mac);
	return r < 0 ? err_sys(j->e, -r, "unit %s: link %s to network %s", j->new->unit, l->veth, l->network) : 0;
}

/* Its user namespace has no power over this network: what programs usually may there is let in by sysctl. */
static int inside_sysctls(const struct job *j)
{
	static const struct { const char *path, *value; } list[] = {
		{ "net/ipv4/ip_unprivileged_port_start", "0" }, { "net/ipv4/ping_group_range", "0 2147483647" },
		{ "net/ipv6/conf/all/accept_ra", "0" }, { "net/ipv6/conf/default/accept_ra", "0" },
		{ "net/ipv6/conf/default/dad_transmits", "0" }, { "net/ipv6/conf/default/addr_gen_mode", "0" },
	};
	const struct plan_unit *u = j->wanted;

	for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		space_sysctl(list[i].path, list[i].value);
	for (unsigned i = 0; i < u->sysctls; i++) {
		int r = space_sysctl(u->sysctl[i].path, u->sysctl[i].value);

		if (r < 0)
			return err_set(j->e, -EINVAL, "unit %s: Sysctl=: /proc/sys/%s is not set to \"%s\": %s", u->name, u->sysctl[i].path,
				u->sysctl[i].value, strerror(-r));
	}
	return 0;
}

/* In the new namespace. IPv6 of links that are there already keeps what `default` said before: eth0 comes after. */
static int inside(struct job *j)
{
	struct nl n;
	int r = nl_open(&n, NETLINK_ROUTE);

	if (r == 0)
		r = inside_links(&n, j->new);
	nl_close(&n);
	return r < 0 ? err_sys(j->e, -r, "unit %s: addresses and routes", j->new->unit) : 0;
}

static int make_space(struct job *j)
{
	int home, r;

	j->space = r = space_new(&home);
	if (r < 0)
		return err_sys(j->e, -r, "unit %s: network namespace", j->new->unit);
	r = inside_sysctls(j);
	if (space_leave(home) < 0)
		return err_set(j->e, -EIO, "unit %s: no way back out of its network namespace", j->new->unit);
	return r;
}

static int enter_inside(struct job *j)
{
	int home, r = space_join(j->space, &home);

	if (r < 0)
		return err_sys(j->e, -r, "unit %s: network namespace", j->new->unit);
	r = inside(j);
	space_leave(home);
	return r;
}

static int make_unit(struct job *j)
{
	int r;

	j->new = &j->ups.at[j->ups.count++];
	r = up_make(j->new, &j->plan, j->wanted, j->e);
	if (r == 0)
		r = check(j);
	for (unsigned i = 0; r == 0 && i < j->new->links; i++)
		r = make_bridge(j, &j->new->link[i]);
	if (r == 0)
		r = make_space(j);
	for (unsigned i = 0; r == 0 && i < j->new->links; i++)
		r = make_veth(j, &j->new->link[i], i);
	if (r == 0)
		r = enter_inside(j);
	return r == 0 ? read_links(j) : r;
}

static int open_nft(struct job *j)
{
	int r = nl_open(&j->nft, NETLINK_NETFILTER);

	return r == -EPROTONOSUPPORT ? err_set(j->e, -ENOTSUP, "this kernel has no nf_tables (modules nfnetlink, nf_tables): Network=bridge and .network files need it") :
		r < 0 ? err_sys(j->e, -r, "netlink: nf_tables") : 0;
}

static bool has_6(const struct job *j)
{
	for (unsigned i = 0; i < j->ups.count; i++)
		for (unsigned k = 0; k < j->ups.at[i].links; k++)
			if (j->ups.at[i].link[k].net6.addr.len)
				return true;
	return false;
}

static int rules(struct job *j)
{
	int r = open_nft(j);

	if (j->ups.count == 0) {
		/* Where there is no nf_tables there is nothing of ours in it. */
		if (r == 0)
			r = rules_remove(&j->nft, j->e);
		else if (r == -ENOTSUP)
			r = 0;
		if (r == 0)
			space_unroute(j->s->run);
		return r;
	}
	if (r == 0)
		r = space_route(j->s->run, has_6(j), &j->was_off4, &j->was_off6, j->e);
	return r == 0 ? rules_set(&j->nft, &j->ups, j->was_off4, j->was_off6, j->e) : r;
}

static int names(struct job *j)
{
	int r = 0;

	for (unsigned i = 0; j->has_plan && r == 0 && i < j->ups.count; i++) {
		const struct plan_unit *u = plan_find(&j->plan, j->ups.at[i].unit);

		if (u && u->joins)
			r = names_write(j->s->run, &j->plan, u, j->e);
	}
	return r;
}

static int open_unit(struct job *j)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < j->new->links; i++)
		r = link_set_up(&j->route, j->new->link[i].index);
	if (r < 0)
		return err_sys(j->e, -r, "unit %s: its link", j->new->unit);
	r = up_write(j->s->run, j->new, j->e);
	return r == 0 ? space_name(j->s->run, j->new->unit, j->space, j->e) : r;
}

static int all(struct job *j)
{
	int r = clear(j);

	if (r == 0)
		r = read_plan(j);
	if (r == 0 && j->wanted)
		r = make_unit(j);
	if (r == 0)
		r = rules(j);
	if (r == 0)
		r = names(j);
	return r == 0 && j->wanted ? open_unit(j) : r;
}

static int once(const struct sync *s, struct err *e)
{
	struct job *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return err_sys(e, ENOMEM, "networks");
	j->s = s;
	j->e = e;
	j->space = j->nft.fd = -1;
	r = nl_open(&j->route, NETLINK_ROUTE);
	if (r < 0)
		err_sys(e, -r, "netlink: links");
	if (r == 0) {
		read_kept(j);
		r = all(j);
	}
	if (j->space >= 0)
		close(j->space);
	nl_close(&j->route);
	nl_close(&j->nft);
	plan_free(&j->plan);
	free(j);
	return r;
}

int sync_run(const struct sync *s, struct err *e)
{
	int fd, r = s->unit && !plan_is_name(s->unit) ? err_set(e, -EINVAL, "no name of a unit") : make_dirs(s, e);

	if (r < 0)
		return r;
	fd = lock(s, e);
	if (fd < 0)
		return fd;
	r = once(s, e);
	if (r < 0 && s->unit) {
		struct sync others = *s;
		struct err second = { "" };

		others.unit = NULL;
		if (once(&others, &second) < 0)
			note("what was begun is not all taken back: %s%s", second.text, "");
	}
	close(fd);
	return r;
}
