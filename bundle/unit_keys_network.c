/* SPDX-License-Identifier: MIT */
/* Readers of the keys of [Container] about networks (podman-systemd.unit(5)). What networks there are is looked at once all files were read (net_files.c). */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"
#include "net_plan.h"
#include "quadlet.h"
#include "unit_keys_inner.h"

#ifdef CONFIG_NETWORKS
enum { HAS_NETWORKS = 1 };
#else
enum { HAS_NETWORKS = 0 };
#endif
enum { SPREAD_MAX = 64 };

static const char suffix[] = ".network";

/* A name of hosts, networks, search domains: nothing in it has a meaning in a line of words. */
static bool is_name(const char *s)
{
	for (const char *p = s; *p; p++)
		if (!isalnum((unsigned char)*p) && (p == s || !strchr("-_.", *p)))
			return false;
	return s[0] && strlen(s) < NET_NAME_MAX;
}

static bool is_word(const char *s)
{
	for (const char *p = s; *p; p++)
		if (*p <= ' ' || *p > '~')
			return false;
	return s[0] && strlen(s) < 200;
}

int unit_keys_network(struct unit_file *u, const char *v, struct err *e)
{
	size_t len = strlen(v), tail = sizeof(suffix) - 1;
	bool is_file = len > tail && strcmp(v + len - tail, suffix) == 0;
	char name[NET_NAME_MAX];

	if (!v[0] || strcmp(v, "none") == 0 || strcmp(v, "host") == 0) {
		u->networks.count = 0;
		u->network = strcmp(v, "host") == 0 ? UNIT_NETWORK_HOST : UNIT_NETWORK_NONE;
		return 0;
	}
	if (!HAS_NETWORKS)
		return err_set(e, -ENOTSUP, "%.80s: built without networks (CONFIG_NETWORKS): none or host", v);
	if (strchr(v, ':'))
		return err_set(e, -ENOTSUP, "%.80s: options of a network are keys of their own here: IP=, IP6=, NetworkAlias=", v);
	if (strcmp(v, "bridge") != 0 && (!is_file || !span_copy(span_of(v, len - tail), name, sizeof(name)) || !is_name(name)))
		return err_set(e, -ENOTSUP, "%.80s: takes none, host, bridge, or NAME.network of a file beside this one", v);
	if (is_file && strcmp(name, "bridge") == 0)
		return err_set(e, -EINVAL, "%s: bridge is the network that needs no file: Network=bridge, or a file of another name", v);
	if (u->network == UNIT_NETWORK_HOST)
		u->networks.count = 0;
	u->network = UNIT_NETWORK_OWN;
	if (u->networks.count == NET_JOINS_MAX)
		return err_set(e, -EFBIG, "%.80s: more than %d networks", v, NET_JOINS_MAX);
	return unit_value_line(u, &u->networks, is_file ? name : v);
}

/* LO[-HI] */
static bool ports(const char *s, uint64_t *lo, uint64_t *hi)
{
	const char *dash = strchr(s, '-');
	char first[8];

	if (!span_copy(span_of(s, dash ? (size_t)(dash - s) : strlen(s)), first, sizeof(first)) || !quadlet_u64(first, 65535, lo) || *lo == 0)
		return false;
	*hi = *lo;
	return !dash || (quadlet_u64(dash + 1, 65535, hi) && *hi >= *lo);
}

int unit_keys_publish_port(struct unit_file *u, const char *v, struct err *e)
{
	char text[128], line[160], *slash, *colon, *inside, *outside, *address = NULL, shown[ADDR_TEXT_MAX] = "-";
	uint64_t lo, hi, to, to_hi;
	const char *protocol = "tcp";
	struct addr a;

	if (!v[0]) {
		u->publish.count = 0;
		return 0;
	}
	if (!span_copy(span_str(v), text, sizeof(text)))
		return -EINVAL;
	slash = strchr(text, '/');
	if (slash) {
		*slash = '\0';
		protocol = slash + 1;
	}
	if (strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0)
		return err_set(e, -EINVAL, "%s: tcp or udp", v);
	colon = strrchr(text, ':');
	if (!colon)
		return err_set(e, -ENOTSUP, "%s: a port of the board by chance is no use to anybody: %s:%s names one", v, text, text);
	*colon = '\0';
	inside = colon + 1;
	outside = strrchr(text, ':') ? strrchr(text, ':') + 1 : text;
	if (outside != text) {
		outside[-1] = '\0';
		address = text;
		if (address[0] == '[' && address[strlen(address) - 1] == ']') {
			address[strlen(address) - 1] = '\0';
			address++;
		}
		if (!addr_parse(address, &a))
			return -EINVAL;
		if (strcmp(address, "0.0.0.0") != 0 && strcmp(address, "::") != 0)
			addr_text(&a, shown);
	}
	if (!ports(outside, &lo, &hi) || !ports(inside, &to, &to_hi))
		return -EINVAL;
	if (hi - lo != to_hi - to)
		return err_set(e, -EINVAL, "%s: both ranges have one length", v);
	if (lo != to && hi - lo >= SPREAD_MAX)
		return err_set(e, -EFBIG, "%s: a range that leads to other numbers has at most %d ports", v, SPREAD_MAX);
	if (u->publish.count == NET_PUBLISH_MAX)
		return -EFBIG;
	snprintf(line, sizeof(line), "%s %u %u %u %s", shown, (unsigned)lo, (unsigned)hi, (unsigned)to, protocol);
	return unit_value_line(u, &u->publish, line);
}

int unit_keys_add_host(struct unit_file *u, const char *v, struct err *e)
{
	size_t len = strcspn(v, ":");
	char name[NET_NAME_MAX], line[NET_NAME_MAX + ADDR_TEXT_MAX + 2], shown[ADDR_TEXT_MAX];
	struct addr a;

	if (!v[0]) {
		u->add_host.count = 0;
		return 0;
	}
	if (!v[len] || !span_copy(span_of(v, len), name, sizeof(name)) || !is_name(name))
		return -EINVAL;
	if (strcmp(v + len + 1, "host-gateway") == 0)
		return err_set(e, -ENOTSUP, "%s: the board's own services are not reached from a network: Network=host reaches them", v);
	if (!addr_parse(v + len + 1, &a))
		return -EINVAL;
	if (u->add_host.count == NET_HOSTS_MAX)
		return -EFBIG;
	snprintf(line, sizeof(line), "%s %s", name, addr_text(&a, shown));
	return unit_value_line(u, &u->add_host, line);
}

static bool is_server(const char *s)
{
	struct addr a;

	return addr_parse(s, &a) || strcmp(s, "none") == 0;
}

static int words(struct unit_file *u, struct unit_list *l, const char *v, unsigned max, bool (*is_good)(const char *))
{
	int r = unit_value_words(u, l, v, is_good);

	return r == 0 && l->count > max ? -EFBIG : r;
}

int unit_keys_dns(struct unit_file *u, const char *v, struct err *e)
{
	return words(u, &u->dns, v, NET_DNS_MAX, is_server);
}

int unit_keys_dns_search(struct unit_file *u, const char *v, struct err *e)
{
	return words(u, &u->dns_search, v, NET_WORDS_MAX, is_name);
}

int unit_keys_dns_option(struct unit_file *u, const char *v, struct err *e)
{
	return words(u, &u->dns_option, v, NET_WORDS_MAX, is_word);
}

int unit_keys_network_alias(struct unit_file *u, const char *v, struct err *e)
{
	return words(u, &u->aliases, v, NET_ALIASES_MAX - 2, is_name);
}

static int address(struct unit_file *u, const char **field, const char *v, unsigned len)
{
	struct addr a;

	return v[0] && (!addr_parse(v, &a) || a.len != len) ? -EINVAL : unit_value_text(u, field, v);
}

int unit_keys_ip(struct unit_file *u, const char *v, struct err *e)
{
	return address(u, &u->ip, v, 4);
}

int unit_keys_ip6(struct unit_file *u, const char *v, struct err *e)
{
	return address(u, &u->ip6, v, 16);
}
