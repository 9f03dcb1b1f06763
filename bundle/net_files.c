/* SPDX-License-Identifier: MIT */
/* .network files (net_files.h). They come from the board's maker or a provisioning step; every value is checked before it is in the plan. */
#include "net_files.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "quadlet.h"
#include "record.h"

enum { PLAN_TEXT_MAX = 1 << 20, NEAR_MAX = 4 };

struct parse {
	struct net_file *n;
	const char *path;
	const struct unit_notices *notices;
	struct err *e;
	unsigned subnets, gateways;
};

struct key {
	const char *section, *name;
	/* NULL: text says why it has no effect, or, where is_refused, what instead. Else -EINVAL: text says what is taken. */
	int (*set)(struct parse *p, const char *value);
	bool is_refused;
	const char *text;
};

static int set_subnet(struct parse *p, const char *v)
{
	struct subnet s;

	if (!subnet_parse(v, &s) || (s.addr.len == 4 && s.prefix > 30) || (s.addr.len == 16 && s.prefix > 120))
		return -EINVAL;
	*(s.addr.len == 4 ? &p->n->net4 : &p->n->net6) = s;
	p->n->wants6 |= s.addr.len == 16;
	return 0;
}

static int set_gateway(struct parse *p, const char *v)
{
	struct addr a;

	if (!addr_parse(v, &a))
		return -EINVAL;
	*(a.len == 4 ? &p->n->gateway4 : &p->n->gateway6) = a;
	return 0;
}

/* Of the IPv4 subnet, which stands above it: a smaller subnet or FIRST-LAST. */
static int set_range(struct parse *p, const char *v)
{
	const struct subnet *net = &p->n->net4;
	const char *dash = strchr(v, '-');
	struct addr from, to;
	struct subnet s;
	char text[ADDR_TEXT_MAX];

	if (!net->addr.len)
		return err_set(p->e, -EINVAL, "it is a part of Subnet=, which comes before it");
	if (subnet_parse(v, &s)) {
		from = s.addr;
		to = subnet_at(&s, subnet_last(&s));
	} else if (!dash || !span_copy(span_of(v, (size_t)(dash - v)), text, sizeof(text)) || !addr_parse(text, &from) || !addr_parse(dash + 1, &to)) {
		return -EINVAL;
	}
	if (!subnet_has(net, &from) || !subnet_has(net, &to) || subnet_number(net, &from) > subnet_number(net, &to))
		return err_set(p->e, -EINVAL, "%s is no part of Subnet=", v);
	p->n->lo = subnet_number(net, &from) ? subnet_number(net, &from) : 1;
	p->n->hi = subnet_number(net, &to);
	return 0;
}

static int set_ipv6(struct parse *p, const char *v)
{
	return quadlet_bool(v, &p->n->wants6) ? 0 : -EINVAL;
}

static int set_internal(struct parse *p, const char *v)
{
	return quadlet_bool(v, &p->n->is_internal) ? 0 : -EINVAL;
}

static int set_dns(struct parse *p, const char *v)
{
	char word[64];
	int r;

	while ((r = quadlet_word(&v, word, sizeof(word))) == 1)
		if (p->n->dns_len == NET_DNS_MAX || !addr_parse(word, &p->n->dns[p->n->dns_len++]))
			return -EINVAL;
	return r == 0 ? 0 : -EINVAL;
}

static int set_options(struct parse *p, const char *v)
{
	char word[64];
	uint64_t n;
	int r;

	while ((r = quadlet_word(&v, word, sizeof(word))) == 1) {
		if (strncmp(word, "mtu=", 4) != 0 || !quadlet_u64(word + 4, 65535, &n) || n < 1280)
			return -EINVAL;
		p->n->mtu = (uint32_t)n;
	}
	return r == 0 ? 0 : -EINVAL;
}

static int set_driver(struct parse *p, const char *v)
{
	return strcmp(v, "bridge") == 0 ? 0 : -EINVAL;
}

static int set_ipam(struct parse *p, const char *v)
{
	return strcmp(v, "host-local") == 0 ? 0 : -EINVAL;
}

static int set_link(struct parse *p, const char *v)
{
	for (const char *c = v; *c; c++)
		if (!isalnum((unsigned char)*c) && (c == v || !strchr("-_.", *c)))
			return -EINVAL;
	return v[0] && span_copy(span_str(v), p->n->bridge, sizeof(p->n->bridge)) ? 0 : -EINVAL;
}

#define PEOPLE "it is for people"
#define ITSELF "networks are made as units need them"
#define NO_PODMAN "there is no podman here"

static const struct key keys[] = {
	{ "Network", "Subnet", set_subnet, false, "ADDRESS/PREFIX without a bit behind the prefix (IPv4 up to /30, IPv6 up to /120), one of each kind" },
	{ "Network", "Gateway", set_gateway, false, "the bridge's own address in Subnet=; default: its first" },
	{ "Network", "IPRange", set_range, false, "a part of Subnet=, as a subnet or FIRST-LAST: units get addresses of it alone" },
	{ "Network", "IPv6", set_ipv6, false, "yes: an IPv6 subnet too, without Subnet= one of fd00::/8 that stays; or no, the default" },
	{ "Network", "Internal", set_internal, false, "yes: no way to the world or from it; or no, the default" },
	{ "Network", "DNS", set_dns, false, "addresses of name servers, at most 3; default: the board's" },
	{ "Network", "Options", set_options, false, "mtu=N, 1280 to 65535; default: the uplink's" },
	{ "Network", "Driver", set_driver, false, "bridge, the only one" },
	{ "Network", "IPAMDriver", set_ipam, false, "host-local, the only one" },
	{ "Network", "InterfaceName", set_link, false, "a name of at most 15 letters, digits, '-', '_' and '.' for the bridge; default: c- and the network's name" },
	{ "Network", "Label", NULL, false, PEOPLE },
	{ "Network", "NetworkName", NULL, false, "a network has its file's name" },
	{ "Network", "DisableDNS", NULL, false, "names of units are in /etc/hosts" },
	{ "Network", "NetworkDeleteOnStop", NULL, false, "a network is gone with its last unit" },
	{ "Network", "PodmanArgs", NULL, true, NO_PODMAN },
	{ "Network", "GlobalArgs", NULL, true, NO_PODMAN },
	{ "Network", "ContainersConfModule", NULL, true, NO_PODMAN },
	{ "Unit", "Description", NULL, false, PEOPLE },
	{ "Unit", "Documentation", NULL, false, PEOPLE },
	{ "Unit", "After", NULL, false, ITSELF },
	{ "Unit", "Wants", NULL, false, ITSELF },
	{ "Unit", "Requires", NULL, false, ITSELF },
	{ "Install", "WantedBy", NULL, false, ITSELF },
	{ "Install", "RequiredBy", NULL, false, ITSELF },
};

enum { KEYS = sizeof(keys) / sizeof(*keys) };

static int unknown(struct parse *p, const struct quadlet_line *l)
{
	const char *best = NULL;
	unsigned least = NEAR_MAX;
	bool has_section = false;

	for (unsigned i = 0; i < KEYS; i++) {
		unsigned d = quadlet_distance(keys[i].name, l->key);

		has_section |= strcmp(keys[i].section, l->section) == 0;
		if (strcmp(keys[i].section, l->section) == 0 && d < least && d < strlen(l->key)) {
			least = d;
			best = keys[i].name;
		}
	}
	if (!has_section)
		return err_set(p->e, -EINVAL, "%s:%u: unknown section [%.40s]; there are [Unit], [Network] and [Install]", p->path, l->line, l->section);
	return err_set(p->e, -EINVAL, best ? "%s:%u: unknown key %.60s= in [%.20s]; did you mean %s=?" :
		"%s:%u: unknown key %.60s= in [%.20s]; docs/networking.md lists all", p->path, l->line, l->key, l->section, best);
}

static int take(void *arg, const struct quadlet_line *l)
{
	struct parse *p = arg;
	const struct key *k = NULL;
	char text[512], shown[100];
	int r;

	for (unsigned i = 0; i < KEYS && !k; i++)
		if (strcmp(keys[i].section, l->section) == 0 && strcmp(keys[i].name, l->key) == 0)
			k = &keys[i];
	if (!k)
		return unknown(p, l);
	if (k->is_refused)
		return err_set(p->e, -ENOTSUP, "%s:%u: %s= is not supported: %s", p->path, l->line, l->key, k->text);
	if (!k->set) {
		snprintf(text, sizeof(text), "%s:%u: %s= has no effect: %s", p->path, l->line, l->key, k->text);
		if (p->notices && strcmp(k->text, PEOPLE) != 0)
			p->notices->say(p->notices->arg, text);
		return 0;
	}
	r = k->set(p, l->value);
	if (r == 0)
		return 0;
	if (p->e->text[0])
		return err_prefix(p->e, r, "%s:%u: %s=", p->path, l->line, l->key);
	span_escape(span_str(l->value), shown, sizeof(shown));
	return err_set(p->e, r, "%s:%u: %s=%s: takes %s", p->path, l->line, l->key, shown, k->text);
}

static void name_bridge(struct net_file *n)
{
	if (strlen(n->name) <= sizeof(n->bridge) - 3)
		snprintf(n->bridge, sizeof(n->bridge), "c-%s", n->name);
	else
		snprintf(n->bridge, sizeof(n->bridge), "c-%.7s-%05x", n->name, record_crc32(0, n->name, strlen(n->name)) & 0xfffff);
}

void net_files_begin(struct net_files *f)
{
	memset(f, 0, sizeof(*f));
	snprintf(f->at[0].name, NET_NAME_MAX, "bridge");
	name_bridge(&f->at[0]);
	f->count = 1;
}

static int whole(struct net_file *n, struct err *e)
{
	if (!n->net4.addr.len && n->gateway4.len)
		return err_set(e, -EINVAL, "%s: Gateway= is an address of Subnet=, of which there is none", n->path);
	if (n->gateway4.len && (!subnet_has(&n->net4, &n->gateway4) || subnet_number(&n->net4, &n->gateway4) == 0 ||
	    subnet_number(&n->net4, &n->gateway4) >= subnet_last(&n->net4)))
		return err_set(e, -EINVAL, "%s: Gateway= is no address of Subnet=", n->path);
	if (n->gateway6.len && !(n->net6.addr.len && subnet_has(&n->net6, &n->gateway6)))
		return err_set(e, -EINVAL, "%s: the IPv6 Gateway= is no address of a Subnet= here", n->path);
	return 0;
}

int net_files_add(struct net_files *f, struct span text, const char *path, const struct unit_notices *notices)
{
	const char *last = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	struct err e = { "" };
	struct net_file *n = NULL;
	struct parse p = { .path = path, .notices = notices, .e = &e };
	char name[NET_NAME_MAX];
	bool is_good = strlen(last) > 8 && span_copy(span_of(last, strlen(last) - 8), name, sizeof(name)) && strlen(path) < sizeof(n->path);

	for (const char *c = is_good ? name : ""; *c; c++)
		is_good &= isalnum((unsigned char)*c) || (c != name && strchr("-_.", *c));
	if (!is_good)
		return -EINVAL;
	/* bridge.network is not what Network=bridge means: podman keeps them apart too. */
	for (unsigned i = 1; i < f->count && !n; i++)
		if (strcmp(f->at[i].name, name) == 0)
			n = &f->at[i];
	if (!n && f->count == NET_NETWORKS_MAX)
		return -EFBIG;
	if (!n)
		n = &f->at[f->count++];
	memset(n, 0, sizeof(*n));
	snprintf(n->path, sizeof(n->path), "%s", path);
	snprintf(n->name, sizeof(n->name), "%s", name);
	name_bridge(n);
	p.n = n;
	if (strcmp(name, "bridge") == 0)
		err_set(&e, -EINVAL, "%s: bridge is the network that needs no file: another name", path);
	else if (quadlet_parse(text, path, take, &p, &e) == 0)
		whole(n, &e);
	snprintf(n->error, sizeof(n->error), "%.380s", e.text);
	n->crc = record_crc32(0, text.at, text.len);
	return 0;
}

int net_files_read(struct net_files *f, const char *path, const char *store_dir, const struct unit_notices *notices)
{
	char *text = NULL;
	size_t size = 0;
	struct err e = { "" };
	int r = file_read(AT_FDCWD, path, QUADLET_FILE_MAX, &text, &size, &e);

	if (r == 0)
		r = net_files_add(f, span_of(text, size), path, notices);
	if (r == 0 && unit_file_check_seal(path, store_dir, span_of(text, size), &e) < 0)
		for (unsigned i = 1; i < f->count; i++)
			if (strcmp(f->at[i].path, path) == 0)
				snprintf(f->at[i].error, sizeof(f->at[i].error), "%.380s", e.text);
	free(text);
	return r;
}

int net_files_try(struct span text, const char *path, struct err *e)
{
	struct net_files *f = malloc(sizeof(*f));
	int r = f ? 0 : err_sys(e, ENOMEM, "%s", path);

	if (r == 0) {
		net_files_begin(f);
		r = net_files_add(f, text, path, NULL);
		if (r < 0)
			err_set(e, r, "%s: no name of a network", path);
		else if (f->at[1].error[0])
			r = err_set(e, -EINVAL, "%s", f->at[1].error);
	}
	free(f);
	return r;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct net_file *)a)->name, ((const struct net_file *)b)->name);
}

void net_files_check(struct net_files *f)
{
	char a[SUBNET_TEXT_MAX], b[SUBNET_TEXT_MAX], text[UNIT_TEXT_MAX];

	/* Whichever way the folders listed them; the network `bridge` stays first. */
	qsort(f->at + 1, f->count - 1, sizeof(f->at[0]), by_name);
	for (unsigned i = 0; i < f->count; i++)
		for (unsigned k = 0; k < i; k++) {
			struct net_file *n = &f->at[i];
			const struct net_file *o = &f->at[k];
			bool is_4 = subnet_overlaps(&n->net4, &o->net4), is_6 = subnet_overlaps(&n->net6, &o->net6);

			if (n->error[0] || o->error[0])
				continue;
			if (is_4 || is_6)
				snprintf(text, sizeof(text), "%s: Subnet=%s overlaps with %s of %s.network", n->path,
					subnet_text(is_4 ? &n->net4 : &n->net6, a), subnet_text(is_4 ? &o->net4 : &o->net6, b), o->name);
			else if (strcmp(n->bridge, o->bridge) == 0)
				snprintf(text, sizeof(text), "%s: its link %s is that of network %s too: InterfaceName= takes another", n->path,
					n->bridge, o->name);
			else
				continue;
			memcpy(n->error, text, sizeof(n->error));
		}
}

static const struct net_file *find(const struct net_files *f, const char *name)
{
	for (unsigned i = 0; i < f->count; i++)
		if (strcmp(f->at[i].name, name) == 0)
			return &f->at[i];
	return NULL;
}

int net_files_unit(const struct net_files *f, const struct unit_file *u, struct err *e)
{
	bool is_internal = true;

	for (uint32_t i = 0; i < u->networks.count; i++) {
		const struct net_file *n = find(f, u->networks.at[i]);

		if (!n)
			return err_set(e, -EINVAL, "Network=%s.network: there is no such file here", u->networks.at[i]);
		if (n->error[0])
			return err_set(e, -EINVAL, "Network=%s.network: %s", n->name, n->error);
		for (uint32_t k = 0; k < i; k++)
			if (strcmp(u->networks.at[k], u->networks.at[i]) == 0)
				return err_set(e, -EINVAL, "Network=%s is there twice", u->networks.at[i]);
		is_internal &= n->is_internal;
	}
	if (u->networks.count && is_internal && u->publish.count)
		return err_set(e, -EINVAL, "PublishPort=: nothing comes into an Internal=yes network");
	return 0;
}

uint32_t net_files_crc(const struct net_files *f, const struct unit_file *u, uint32_t crc)
{
	for (uint32_t i = 0; i < u->networks.count; i++) {
		const struct net_file *n = find(f, u->networks.at[i]);

		if (n && n->path[0])
			crc = record_crc32(crc, &n->crc, sizeof(n->crc));
	}
	return crc;
}

struct plan_text {
	char *at;
	size_t len;
};

static void put(struct plan_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct plan_text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->at + t->len, PLAN_TEXT_MAX - t->len, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < PLAN_TEXT_MAX - t->len)
		t->len += (size_t)n;
}

static void put_network(struct plan_text *t, const struct net_file *n)
{
	char a[SUBNET_TEXT_MAX];

	put(t, "network %s bridge=%s", n->name, n->bridge);
	if (n->mtu)
		put(t, " mtu=%u", n->mtu);
	if (n->is_internal)
		put(t, " internal");
	if (n->net4.addr.len)
		put(t, " subnet=%s", subnet_text(&n->net4, a));
	if (n->gateway4.len)
		put(t, " gateway=%s", addr_text(&n->gateway4, a));
	if (n->hi)
		put(t, " range=%u-%u", n->lo, n->hi);
	if (n->wants6)
		put(t, " subnet6=%s", n->net6.addr.len ? subnet_text(&n->net6, a) : "auto");
	if (n->gateway6.len)
		put(t, " gateway6=%s", addr_text(&n->gateway6, a));
	put(t, "\n");
	for (unsigned i = 0; i < n->dns_len; i++)
		put(t, " dns %s\n", addr_text(&n->dns[i], a));
}

static void put_list(struct plan_text *t, const char *what, const struct unit_list *l)
{
	for (uint32_t i = 0; i < l->count; i++)
		put(t, " %s %s\n", what, l->at[i]);
}

static bool is_name(const char *s)
{
	for (const char *c = s; c && *c; c++)
		if (!isalnum((unsigned char)*c) && (c == s || !strchr("-_.", *c)))
			return false;
	return s && s[0] && strlen(s) < NET_NAME_MAX;
}

/* Of one name the last counts; a blank in a value is a tab, which the kernel reads the same. */
static void put_sysctls(struct plan_text *t, const struct unit_list *l)
{
	for (uint32_t i = 0; i < l->count; i++) {
		char line[256];
		char *equals;

		if (strncmp(l->at[i], "net.", 4) != 0 || !span_copy(span_str(l->at[i]), line, sizeof(line)))
			continue;
		equals = strchr(line, '=');
		*equals = '\0';
		for (char *c = line; *c; c++)
			*c = *c == '.' ? '/' : *c;
		for (char *c = equals + 1; *c; c++)
			*c = *c == ' ' ? '\t' : *c;
		put(t, " sysctl %s %s\n", line, equals + 1);
	}
}

static void put_unit(struct plan_text *t, const struct unit_file *u)
{
	put(t, "unit %s\n", u->name);
	for (uint32_t i = 0; i < u->networks.count; i++)
		put(t, " join %s%s%s%s%s\n", u->networks.at[i], i == 0 && u->ip ? " ip=" : "", i == 0 && u->ip ? u->ip : "",
			i == 0 && u->ip6 ? " ip6=" : "", i == 0 && u->ip6 ? u->ip6 : "");
	if (is_name(u->hostname) && strcmp(u->hostname, u->name) != 0)
		put(t, " alias %s\n", u->hostname);
	if (is_name(u->container_name) && strcmp(u->container_name, u->name) != 0)
		put(t, " alias %s\n", u->container_name);
	put_list(t, "alias", &u->aliases);
	put_list(t, "publish", &u->publish);
	put_list(t, "dns", &u->dns);
	put_list(t, "search", &u->dns_search);
	put_list(t, "option", &u->dns_option);
	put_list(t, "host", &u->add_host);
	put_sysctls(t, &u->sysctls);
}

char *net_files_plan(const struct net_files *f, struct unit_file *const *units, size_t count, size_t *len)
{
	struct plan_text t = { malloc(PLAN_TEXT_MAX), sizeof(NET_PLAN_FIRST) - 1 + 9 };
	char first[64];

	if (!t.at)
		return NULL;
	for (unsigned i = 0; i < f->count; i++)
		if (!f->at[i].error[0])
			put_network(&t, &f->at[i]);
	for (size_t i = 0; i < count; i++)
		if (units[i] && units[i]->network == UNIT_NETWORK_OWN)
			put_unit(&t, units[i]);
	snprintf(first, sizeof(first), NET_PLAN_FIRST "%08x\n", record_crc32(0, t.at + sizeof(NET_PLAN_FIRST) + 8, t.len - sizeof(NET_PLAN_FIRST) - 8));
	memcpy(t.at, first, strlen(first));
	*len = t.len;
	return t.at;
}
