/* SPDX-License-Identifier: MIT */
/* `coracle net` (show.h). Everything shown was checked when it was read; names have no byte that needs an escape. */
#include "show.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lease.h"
#include "listen.h"
#include "space.h"
#include "up.h"

struct shown {
	struct up_list ups;
	struct leases leases;
	const struct up_link *net[NET_NETWORKS_MAX * 2];
	unsigned nets;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct up *)a)->unit, ((const struct up *)b)->unit);
}

static void gather(struct shown *s, const char *run)
{
	char path[256];
	struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof(path), "%.200s/leases", run);
	leases_read(&s->leases, path, NULL);
	snprintf(path, sizeof(path), "%.200s/up", run);
	dir = opendir(path);
	while (dir && (d = readdir(dir)) && s->ups.count < NET_UNITS_MAX)
		if (plan_is_name(d->d_name) && up_read(run, d->d_name, &s->ups.at[s->ups.count]) == 0)
			s->ups.count++;
	if (dir)
		closedir(dir);
	qsort(s->ups.at, s->ups.count, sizeof(s->ups.at[0]), by_name);
	for (unsigned i = 0; i < s->ups.count; i++)
		for (unsigned k = 0; k < s->ups.at[i].links; k++) {
			bool is_known = false;

			for (unsigned j = 0; j < s->nets; j++)
				is_known |= strcmp(s->net[j]->network, s->ups.at[i].link[k].network) == 0;
			if (!is_known && s->nets < sizeof(s->net) / sizeof(s->net[0]))
				s->net[s->nets++] = &s->ups.at[i].link[k];
		}
}

static int listeners(const char *run, const char *unit, struct listener *out)
{
	int home, count;

	if (space_enter(run, unit, &home) < 0)
		return -1;
	count = (int)listen_read(out, LISTENERS_MAX);
	space_leave(home);
	return count;
}

static void publish_text(const struct plan_publish *x, char *out, size_t size)
{
	char addr[ADDR_TEXT_MAX], to[16];
	bool is_range = x->lo != x->hi, is_6 = x->addr.len == 16;
	size_t at;

	at = x->addr.len ? (size_t)snprintf(out, size, "%s%s%s:", is_6 ? "[" : "", addr_text(&x->addr, addr), is_6 ? "]" : "") : 0;
	snprintf(to, sizeof(to), is_range ? "-%u" : "", x->hi);
	at += (size_t)snprintf(out + at, size - at, "%u%s", x->lo, to);
	snprintf(to, sizeof(to), is_range ? "-%u" : "", x->to + (x->hi - x->lo));
	snprintf(out + at, size - at, "->%u%s/%s", x->to, to, x->is_udp ? "udp" : "tcp");
}

static void listener_text(const struct listener *l, char *out, size_t size)
{
	char addr[ADDR_TEXT_MAX];
	bool is_6 = l->addr.len == 16;

	if (l->is_any)
		snprintf(out, size, "%u/%s%s", l->port, l->is_udp ? "udp" : "tcp", is_6 ? "6" : "");
	else
		snprintf(out, size, "%s%s%s:%u/%s", is_6 ? "[" : "", addr_text(&l->addr, addr), is_6 ? "]" : "", l->port, l->is_udp ? "udp" : "tcp");
}

static void unit_text(const char *run, const struct up *u)
{
	static struct listener l[LISTENERS_MAX];
	int count = listeners(run, u->unit, l);
	char a[ADDR_TEXT_MAX], text[120];

	printf("%-19s ", u->unit);
	for (unsigned i = 0; i < u->links; i++) {
		printf("%s%s", i ? ", " : "", addr_text(&u->link[i].addr4, a));
		if (u->link[i].addr6.len)
			printf(" %s", addr_text(&u->link[i].addr6, a));
		printf(" (%s, %s)", u->link[i].network, u->link[i].veth);
	}
	printf("\n");
	for (unsigned i = 0; i < u->publishes; i++) {
		publish_text(&u->publish[i], text, sizeof(text));
		printf("%-19s %s%s%s", i ? "" : "  published", i ? "" : "", text, "\n");
	}
	printf("  listens           ");
	for (int i = 0; i < count; i++) {
		listener_text(&l[i], text, sizeof(text));
		printf("%s%s", i ? " " : "", text);
	}
	printf("%s\n", count < 0 ? "root sees it" : count ? "" : "nobody");
}

int show_text(const char *run)
{
	static struct shown s;
	char a[ADDR_TEXT_MAX];

	gather(&s, run);
	for (unsigned i = 0; i < s.nets; i++) {
		const struct up_link *l = s.net[i];

		printf("network %-11s %s %s/%u", l->network, l->bridge, addr_text(&l->gateway4, a), l->net4.prefix);
		if (l->gateway6.len)
			printf(" %s/%u", addr_text(&l->gateway6, a), l->net6.prefix);
		printf(" mtu %u%s\n", l->mtu, l->is_internal ? " internal" : "");
	}
	for (unsigned i = 0; i < s.ups.count; i++)
		unit_text(run, &s.ups.at[i]);
	for (unsigned i = 0; i < s.leases.count; i++) {
		bool is_up = false;

		for (unsigned k = 0; k < s.ups.count; k++)
			is_up |= strcmp(s.ups.at[k].unit, s.leases.lease[i].unit) == 0;
		if (!is_up)
			printf("%-19s not up; number %u of network %s is kept for it\n", s.leases.lease[i].unit, s.leases.lease[i].number,
				s.leases.lease[i].network);
	}
	return fflush(stdout) == 0 ? 0 : 1;
}

static void unit_json(const char *run, const struct up *u, bool is_first)
{
	static struct listener l[LISTENERS_MAX];
	int count = listeners(run, u->unit, l);
	char a[ADDR_TEXT_MAX], b[ADDR_TEXT_MAX], text[120];

	printf("%s{\"name\":\"%s\",\"links\":[", is_first ? "" : ",", u->unit);
	for (unsigned i = 0; i < u->links; i++) {
		printf("%s{\"network\":\"%s\",\"link\":\"%s\",\"address\":\"%s\"", i ? "," : "", u->link[i].network, u->link[i].veth,
			addr_text(&u->link[i].addr4, a));
		if (u->link[i].addr6.len)
			printf(",\"address6\":\"%s\"", addr_text(&u->link[i].addr6, b));
		printf("}");
	}
	printf("],\"published\":[");
	for (unsigned i = 0; i < u->publishes; i++) {
		publish_text(&u->publish[i], text, sizeof(text));
		printf("%s\"%s\"", i ? "," : "", text);
	}
	printf("],\"listens\":%s", count < 0 ? "null" : "[");
	for (int i = 0; i < count; i++) {
		listener_text(&l[i], text, sizeof(text));
		printf("%s\"%s\"", i ? "," : "", text);
	}
	printf("%s}", count < 0 ? "" : "]");
}

int show_json(const char *run)
{
	static struct shown s;
	char a[ADDR_TEXT_MAX];

	gather(&s, run);
	printf("\"networks\":[");
	for (unsigned i = 0; i < s.nets; i++) {
		const struct up_link *l = s.net[i];

		printf("%s{\"name\":\"%s\",\"bridge\":\"%s\",\"address\":\"%s\",\"prefix\":%u", i ? "," : "", l->network, l->bridge,
			addr_text(&l->gateway4, a), l->net4.prefix);
		if (l->gateway6.len)
			printf(",\"address6\":\"%s\",\"prefix6\":%u", addr_text(&l->gateway6, a), l->net6.prefix);
		printf(",\"mtu\":%u,\"internal\":%s}", l->mtu, l->is_internal ? "true" : "false");
	}
	printf("],\"units\":[");
	for (unsigned i = 0; i < s.ups.count; i++)
		unit_json(run, &s.ups.at[i], i == 0);
	printf("],\"leases\":[");
	for (unsigned i = 0; i < s.leases.count; i++)
		printf("%s{\"unit\":\"%s\",\"network\":\"%s\",\"number\":%u}", i ? "," : "", s.leases.lease[i].unit, s.leases.lease[i].network,
			s.leases.lease[i].number);
	printf("]");
	return fflush(stdout) == 0 ? 0 : 1;
}
