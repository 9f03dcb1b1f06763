/* SPDX-License-Identifier: MIT */
/* The links in a unit's namespace (inside.h). */
#include "inside.h"

#include <stdio.h>

#include "link.h"

static const struct up_link *way_out(const struct up *u, bool is_6)
{
	for (unsigned i = 0; i < u->links; i++)
		if (!u->link[i].is_internal && (!is_6 || u->link[i].net6.addr.len))
			return &u->link[i];
	return NULL;
}

static int inside_link(struct nl *n, const struct up_link *l, unsigned number)
{
	char name[16];
	uint32_t index;
	int r;

	snprintf(name, sizeof(name), "eth%u", number);
	index = link_index(name);
	r = link_add_address(n, index, &l->addr4, l->net4.prefix);
	if (r == 0 && l->addr6.len)
		r = link_add_address(n, index, &l->addr6, l->net6.prefix);
	return r == 0 ? link_set_up(n, index) : r;
}

static int inside_routes(struct nl *n, const struct up *u)
{
	int r = 0;

	for (int i = 0; r == 0 && i < 2; i++) {
		const struct up_link *l = way_out(u, i);
		char name[16];

		if (!l)
			continue;
		snprintf(name, sizeof(name), "eth%u", (unsigned)(l - u->link));
		r = link_add_default(n, link_index(name), i ? &l->gateway6 : &l->gateway4);
	}
	return r;
}

int inside_links(struct nl *n, const struct up *u)
{
	int r = link_set_up(n, link_index("lo"));

	for (unsigned i = 0; r == 0 && i < u->links; i++)
		r = inside_link(n, &u->link[i], i);
	return r == 0 ? inside_routes(n, u) : r;
}
