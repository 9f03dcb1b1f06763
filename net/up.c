/* SPDX-License-Identifier: MIT */
/* What units were given (up.h). Files of our own on a tmpfs that only root writes; size and checksum are looked at. */
#include "up.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "record.h"
#include "space.h"

static uint32_t checksum(const struct up *x)
{
	return record_crc32(0, (const char *)x + 8, sizeof(*x) - 8);
}

/* Locally administered; unique on its bridge, as the address is. */
static void make_mac(struct up_link *l)
{
	static const uint8_t head[2] = { 0x02, 0xc0 };

	memcpy(l->mac, head, 2);
	memcpy(l->mac + 2, l->addr4.b, 4);
}

int up_make(struct up *x, const struct plan *p, const struct plan_unit *u, struct err *e)
{
	memset(x, 0, sizeof(*x));
	snprintf(x->unit, sizeof(x->unit), "%s", u->name);
	for (unsigned i = 0; i < u->joins; i++) {
		const struct plan_join *j = &u->join[i];
		const struct plan_network *n = &p->network[j->network];
		struct up_link *l = &x->link[x->links++];
		char key[2 * NET_NAME_MAX];

		if (j->refused[0])
			return err_set(e, -ENOTSUP, "unit %s: %s", u->name, j->refused);
		snprintf(l->network, sizeof(l->network), "%s", n->name);
		memcpy(l->bridge, n->bridge, sizeof(l->bridge));
		snprintf(key, sizeof(key), "%s/%s", n->name, u->name);
		snprintf(l->veth, sizeof(l->veth), "cv%08x", record_crc32(0, key, strlen(key)));
		l->mtu = n->mtu;
		l->net4 = n->net4;
		l->net6 = n->net6;
		l->gateway4 = n->gateway4;
		l->gateway6 = n->gateway6;
		l->addr4 = j->ip4;
		l->addr6 = j->ip6;
		l->is_internal = n->is_internal;
		make_mac(l);
	}
	memcpy(x->publish, u->publish, sizeof(x->publish));
	x->publishes = u->publishes;
	return 0;
}

int up_write(const char *run, struct up *x, struct err *e)
{
	char path[256];

	snprintf(path, sizeof(path), "%.200s/up", run);
	x->size = sizeof(*x);
	x->crc32 = checksum(x);
	return space_replace(path, x->unit, span_of(x, sizeof(*x)), e);
}

int up_read(const char *run, const char *unit, struct up *x)
{
	char path[256], *text = NULL;
	size_t len;
	int r;

	snprintf(path, sizeof(path), "%.150s/up/%s", run, unit);
	r = file_read(AT_FDCWD, path, sizeof(*x), &text, &len, NULL);
	if (r < 0)
		return r;
	if (len == sizeof(*x))
		memcpy(x, text, len);
	free(text);
	if (len != sizeof(*x) || x->size != sizeof(*x) || x->crc32 != checksum(x) || x->links > NET_JOINS_MAX || x->publishes > NET_PUBLISH_MAX ||
	    strcmp(x->unit, unit) != 0)
		return -EUCLEAN;
	return 0;
}

static bool is_same_place(const struct addr *a, const struct addr *b)
{
	return !a->len || !b->len || addr_equal(a, b);
}

const struct plan_publish *up_conflict(const struct up *a, const struct up *b)
{
	for (unsigned i = 0; i < a->publishes; i++)
		for (unsigned k = 0; k < b->publishes; k++) {
			const struct plan_publish *x = &a->publish[i], *y = &b->publish[k];

			if (a == b && k <= i)
				continue;
			if (x->is_udp == y->is_udp && x->lo <= y->hi && y->lo <= x->hi && is_same_place(&x->addr, &y->addr))
				return x;
		}
	return NULL;
}
