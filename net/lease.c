/* SPDX-License-Identifier: MIT */
/* Addresses of units (lease.h). What is read from the disk may be cut or flipped: the checksum decides, and then every number is checked against its subnet. */
#include "lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "file.h"
#include "record.h"
#include "space.h"

enum { LEASES_TEXT_MAX = NET_UNITS_MAX * NET_JOINS_MAX * 160 + NET_NETWORKS_MAX * 90 + 128, INDEX_MAX = 256 };

static const char first_line[] = "coracle-net 1 ";

static struct addr pool4(uint32_t index)
{
	return (struct addr){ 4, { 10, 89, (uint8_t)index, 0 } };
}

static struct subnet auto4(uint32_t index)
{
	return (struct subnet){ pool4(index), 24 };
}

static struct subnet auto6(const struct leases *l, uint32_t index)
{
	struct subnet s = { { 16, { 0xfd } }, 64 };

	memcpy(s.addr.b + 1, l->ula, sizeof(l->ula));
	s.addr.b[6] = (uint8_t)(index >> 8);
	s.addr.b[7] = (uint8_t)index;
	return s;
}

static bool take_line(struct leases *l, char *line)
{
	char *save = NULL, *what = strtok_r(line, " ", &save), *a = strtok_r(NULL, " ", &save), *b = strtok_r(NULL, " ", &save);
	char *c = strtok_r(NULL, " ", &save);

	if (!a)
		return false;
	if (strcmp(what, "ula") == 0 && strlen(a) == 10) {
		unsigned long long n = strtoull(a, NULL, 16);

		for (int i = 4; i >= 0; i--, n >>= 8)
			l->ula[i] = (uint8_t)n;
		return l->has_ula = true;
	}
	if (!b || !plan_is_name(a))
		return false;
	if (strcmp(what, "network") == 0 && l->nets < NET_NETWORKS_MAX) {
		snprintf(l->net[l->nets].name, NET_NAME_MAX, "%s", a);
		l->net[l->nets].index = (uint32_t)strtoul(b, NULL, 10);
		return l->net[l->nets++].index < INDEX_MAX;
	}
	if (strcmp(what, "lease") != 0 || !c || !plan_is_name(b) || l->count == NET_UNITS_MAX * NET_JOINS_MAX)
		return false;
	snprintf(l->lease[l->count].network, NET_NAME_MAX, "%s", a);
	snprintf(l->lease[l->count].unit, NET_NAME_MAX, "%s", b);
	l->lease[l->count++].number = (uint32_t)strtoul(c, NULL, 10);
	return true;
}

int leases_read(struct leases *l, const char *path, struct err *e)
{
	char *text = NULL, *body, *save = NULL, want[40];
	bool is_good = false;
	size_t len;
	int r;

	memset(l, 0, sizeof(*l));
	r = file_read(AT_FDCWD, path, LEASES_TEXT_MAX, &text, &len, e);
	if (r < 0)
		return r;
	body = strchr(text, '\n');
	if (body) {
		*body++ = '\0';
		snprintf(want, sizeof(want), "%s%08x", first_line, record_crc32(0, body, strlen(body)));
		is_good = strcmp(text, want) == 0;
	}
	for (char *line = is_good ? strtok_r(body, "\n", &save) : NULL; line && is_good; line = strtok_r(NULL, "\n", &save))
		is_good = take_line(l, line);
	free(text);
	if (is_good)
		return 0;
	memset(l, 0, sizeof(*l));
	return err_set(e, -EUCLEAN, "%s: damaged: addresses are given anew", path);
}

int leases_write(const struct leases *l, const char *dir, const char *name, struct err *e)
{
	char *text = malloc(LEASES_TEXT_MAX), head[40];
	size_t at = sizeof(first_line) - 1 + 9;
	int r;

	if (!text)
		return err_sys(e, ENOMEM, "%s", name);
	if (l->has_ula)
		at += (size_t)snprintf(text + at, LEASES_TEXT_MAX - at, "ula %02x%02x%02x%02x%02x\n", l->ula[0], l->ula[1], l->ula[2], l->ula[3],
			l->ula[4]);
	for (unsigned i = 0; i < l->nets; i++)
		at += (size_t)snprintf(text + at, LEASES_TEXT_MAX - at, "network %s %u\n", l->net[i].name, l->net[i].index);
	for (unsigned i = 0; i < l->count; i++)
		at += (size_t)snprintf(text + at, LEASES_TEXT_MAX - at, "lease %s %s %u\n", l->lease[i].network, l->lease[i].unit,
			l->lease[i].number);
	snprintf(head, sizeof(head), "%s%08x\n", first_line,
		record_crc32(0, text + sizeof(first_line) + 8, at - sizeof(first_line) - 8));
	memcpy(text, head, strlen(head));
	r = space_replace(dir, name, span_of(text, at), e);
	free(text);
	return r;
}

/* FNV-1a: even over short names that differ in one letter. */
static uint32_t hash(const char *a, const char *b)
{
	uint32_t h = 2166136261U;

	for (const char *s = a; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619U;
	h = (h ^ '/') * 16777619U;
	for (const char *s = b; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619U;
	return h ^ h >> 15;
}

static bool is_index_free(const struct leases *l, const struct plan *p, uint32_t index, const struct subnet *taken, unsigned taken_len)
{
	struct subnet s = auto4(index);

	for (unsigned i = 0; i < l->nets; i++)
		if (l->net[i].index == index)
			return false;
	for (unsigned i = 0; i < p->networks; i++)
		if (p->network[i].is_fixed4 && subnet_overlaps(&p->network[i].net4, &s))
			return false;
	for (unsigned i = 0; i < taken_len; i++)
		if (subnet_overlaps(&taken[i], &s))
			return false;
	return true;
}

static struct lease_net *find_net(struct leases *l, const char *name)
{
	for (unsigned i = 0; i < l->nets; i++)
		if (strcmp(l->net[i].name, name) == 0)
			return &l->net[i];
	return NULL;
}

static bool assign_network(struct leases *l, const struct plan *p, struct plan_network *n, const struct subnet *taken, unsigned taken_len,
	bool is_up)
{
	struct lease_net *have = find_net(l, n->name);
	bool has_changed = false, is_blocked = false;

	for (unsigned i = 0; have && !n->is_fixed4 && !is_up && i < taken_len; i++) {
		struct subnet s = auto4(have->index);

		is_blocked |= subnet_overlaps(&taken[i], &s);
	}
	if (!have || is_blocked) {
		uint32_t index = 0;

		while (index < INDEX_MAX && !is_index_free(l, p, index, taken, taken_len))
			index++;
		if (!have && l->nets < NET_NETWORKS_MAX) {
			have = &l->net[l->nets++];
			snprintf(have->name, sizeof(have->name), "%s", n->name);
		}
		if (have && index < INDEX_MAX)
			have->index = index;
		has_changed = true;
	}
	if (!n->is_fixed4)
		n->net4 = auto4(have ? have->index : 0);
	if (n->wants6 && !n->is_fixed6)
		n->net6 = auto6(l, have ? have->index : 0);
	if (!n->gateway4.len)
		n->gateway4 = subnet_at(&n->net4, 1);
	if (n->wants6 && !n->gateway6.len)
		n->gateway6 = subnet_at(&n->net6, 1);
	if (!n->hi) {
		n->lo = 1;
		n->hi = subnet_last(&n->net4) ? subnet_last(&n->net4) - 1 : 0;
	}
	return has_changed;
}

/* Is NUMBER one that a unit of N can have? */
static bool is_usable(const struct plan_network *n, uint32_t number)
{
	return number >= 1 && number < subnet_last(&n->net4) && number != subnet_number(&n->net4, &n->gateway4);
}

/* The owner of NUMBER among those that have one, or NULL. */
static const char *owner(const struct plan *p, unsigned network, uint32_t number, const struct plan_join *but)
{
	for (unsigned i = 0; i < p->units; i++)
		for (unsigned k = 0; k < p->unit[i].joins; k++) {
			const struct plan_join *j = &p->unit[i].join[k];

			if (j != but && j->network == network && j->ip4.len && subnet_number(&p->network[network].net4, &j->ip4) == number)
				return p->unit[i].name;
		}
	return NULL;
}

static void check_static(struct plan *p, const struct plan_unit *u, struct plan_join *j)
{
	const struct plan_network *n = &p->network[j->network];
	char a[ADDR_TEXT_MAX], s[SUBNET_TEXT_MAX];
	const char *other;

	if (j->ip6.len && (!n->wants6 || !subnet_has(&n->net6, &j->ip6)))
		snprintf(j->refused, sizeof(j->refused), "IP6=%s is not in %s, the subnet of network %.40s", addr_text(&j->ip6, a),
			subnet_text(&n->net6, s), n->name);
	if (!j->ip4.len || j->refused[0])
		return;
	other = owner(p, j->network, subnet_number(&n->net4, &j->ip4), j);
	if (!subnet_has(&n->net4, &j->ip4) || !is_usable(n, subnet_number(&n->net4, &j->ip4)))
		snprintf(j->refused, sizeof(j->refused), "IP=%s is no address for a unit of %s, the subnet of network %.40s", addr_text(&j->ip4, a),
			subnet_text(&n->net4, s), n->name);
	else if (other && strcmp(other, u->name) < 0)
		snprintf(j->refused, sizeof(j->refused), "IP=%s is that of unit %.60s too", addr_text(&j->ip4, a), other);
}

static uint32_t leased(const struct leases *l, const char *network, const char *unit)
{
	for (unsigned i = 0; i < l->count; i++)
		if (strcmp(l->lease[i].network, network) == 0 && strcmp(l->lease[i].unit, unit) == 0)
			return l->lease[i].number;
	return 0;
}

static void give(struct plan_network *n, struct plan_join *j, uint32_t number)
{
	j->ip4 = subnet_at(&n->net4, number);
}

static void give_new(struct plan *p, const struct plan_unit *u, struct plan_join *j)
{
	struct plan_network *n = &p->network[j->network];
	uint32_t count = n->hi - n->lo + 1, first = hash(n->name, u->name) % count;
	char s[SUBNET_TEXT_MAX];

	for (uint32_t i = 0; i < count; i++) {
		uint32_t number = n->lo + (first + i) % count;

		if (is_usable(n, number) && !owner(p, j->network, number, j)) {
			give(n, j, number);
			return;
		}
	}
	snprintf(j->refused, sizeof(j->refused), "network %.60s has no address left in %s: a wider Subnet= or IPRange=", n->name,
		subnet_text(&n->net4, s));
}

/* Static addresses, then those that have one already, then the new ones: so nobody's changes by another's coming. */
static void assign_units(const struct leases *l, struct plan *p, int step)
{
	for (unsigned i = 0; i < p->units; i++)
		for (unsigned k = 0; k < p->unit[i].joins; k++) {
			struct plan_unit *u = &p->unit[i];
			struct plan_join *j = &u->join[k];
			struct plan_network *n = &p->network[j->network];
			uint32_t number = leased(l, n->name, u->name);

			if (step == 0)
				check_static(p, u, j);
			else if (j->ip4.len || j->refused[0])
				continue;
			else if (step == 2)
				give_new(p, u, j);
			else if (is_usable(n, number) && number >= n->lo && number <= n->hi && !owner(p, j->network, number, j))
				give(n, j, number);
		}
}

static bool keep_leases(struct leases *l, const struct plan *p)
{
	unsigned count = 0;
	bool has_changed = false;

	for (unsigned i = 0; i < p->units; i++)
		for (unsigned k = 0; k < p->unit[i].joins; k++) {
			const struct plan_join *j = &p->unit[i].join[k];
			const struct plan_network *n = &p->network[j->network];
			uint32_t number = j->ip4.len ? subnet_number(&n->net4, &j->ip4) : 0;

			if (!number || j->refused[0])
				continue;
			has_changed |= leased(l, n->name, p->unit[i].name) != number;
			count++;
		}
	has_changed |= count != l->count;
	if (!has_changed)
		return false;
	l->count = 0;
	for (unsigned i = 0; i < p->units; i++)
		for (unsigned k = 0; k < p->unit[i].joins; k++) {
			const struct plan_join *j = &p->unit[i].join[k];
			const struct plan_network *n = &p->network[j->network];
			struct lease *x = &l->lease[l->count];

			if (!j->ip4.len || j->refused[0])
				continue;
			snprintf(x->network, sizeof(x->network), "%s", n->name);
			snprintf(x->unit, sizeof(x->unit), "%s", p->unit[i].name);
			x->number = subnet_number(&n->net4, &j->ip4);
			l->count++;
		}
	return true;
}

static bool forget_networks(struct leases *l, const struct plan *p)
{
	unsigned kept = 0;
	bool has_changed = false;

	for (unsigned i = 0; i < l->nets; i++) {
		bool is_there = false;

		for (unsigned k = 0; k < p->networks; k++)
			is_there |= strcmp(p->network[k].name, l->net[i].name) == 0;
		if (is_there)
			l->net[kept++] = l->net[i];
		else
			has_changed = true;
	}
	l->nets = kept;
	return has_changed;
}

/* RFC 4193, 3.2.2: 40 random bits, once for the board. At a first boot the pool may not be ready: the clock will do, nothing secret hangs on it. */
static void make_ula(struct leases *l)
{
	struct timespec t;

	if (getrandom(l->ula, sizeof(l->ula), GRND_NONBLOCK) != sizeof(l->ula)) {
		clock_gettime(CLOCK_MONOTONIC, &t);
		memcpy(l->ula, &t.tv_nsec, 4);
	}
	l->has_ula = true;
}

bool lease_assign(struct leases *l, struct plan *p, const struct subnet *taken, unsigned taken_len, const bool *is_up)
{
	bool has_changed = forget_networks(l, p);

	for (unsigned i = 0; i < p->networks; i++)
		if (p->network[i].wants6 && !p->network[i].is_fixed6 && !l->has_ula) {
			make_ula(l);
			has_changed = true;
		}
	for (unsigned i = 0; i < p->networks; i++)
		has_changed |= assign_network(l, p, &p->network[i], taken, taken_len, is_up[i]);
	for (int step = 0; step < 3; step++)
		assign_units(l, p, step);
	for (unsigned i = 0; i < p->units; i++)
		for (unsigned k = 0; k < p->unit[i].joins; k++) {
			struct plan_join *j = &p->unit[i].join[k];
			const struct plan_network *n = &p->network[j->network];

			if (n->wants6 && !j->ip6.len && j->ip4.len)
				j->ip6 = subnet_at(&n->net6, subnet_number(&n->net4, &j->ip4));
		}
	return keep_leases(l, p) || has_changed;
}
