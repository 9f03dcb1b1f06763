/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a .network file and, from the first "[Container]" on, as the unit that is in it. What is taken becomes a plan that coracle-net
 * understands, with the addresses that the file says; what is refused says why. The bytes as a plan themselves, under the right checksum: read
 * or refused. libcap stays out: names of capabilities are a stand-in.
 */
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "caps.h"
#include "net_files.h"
#include "plan.h"
#include "record.h"

int caps_number(const char *name)
{
	return isalpha((unsigned char)name[0]) ? (int)(strlen(name) % 41) : -1;
}

uint64_t caps_all(void)
{
	return (1ull << 41) - 1;
}

/* For files, of which there are none here. */
int unit_file_check_seal(const char *path, const char *store_dir, struct span text, struct err *e)
{
	(void)path, (void)store_dir, (void)text, (void)e;
	return 0;
}

static void read_as_plan(struct span bytes)
{
	char *text = malloc(bytes.len + 64);
	size_t head;
	struct plan p;
	struct err e = { "" };
	bool is_read;

	head = (size_t)snprintf(text, 64, NET_PLAN_FIRST "%08x\n", record_crc32(0, bytes.at, strnlen(bytes.at, bytes.len)));
	memcpy(text + head, bytes.at, bytes.len);
	text[head + bytes.len] = '\0';
	is_read = plan_parse(&p, text, "plan", &e) == 0;
	if (!is_read && !e.text[0])
		abort();
	for (unsigned i = 0; is_read && i < p.units; i++)
		for (unsigned k = 0; k < p.unit[i].joins; k++)
			if (p.unit[i].join[k].network >= p.networks)
				abort();
	plan_free(&p);
}

static void check_plan(const struct net_files *f, struct unit_file *u)
{
	struct plan p;
	struct err e = { "" };
	size_t len;
	char *text = net_files_plan(f, &u, u ? 1 : 0, &len);
	const struct net_file *n = &f->at[1];

	if (strlen(text) != len || plan_parse(&p, text, "plan", &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		abort();
	}
	if (p.networks != (n->error[0] ? 1 : 2) || p.units != (u && u->network == UNIT_NETWORK_OWN))
		abort();
	if (!n->error[0] && (p.network[1].mtu != n->mtu || p.network[1].is_internal != n->is_internal || p.network[1].lo != n->lo ||
	    p.network[1].hi != n->hi || p.network[1].dns_len != n->dns_len || memcmp(&p.network[1].net4, &n->net4, sizeof(n->net4)) != 0))
		abort();
	if (p.units && (p.unit[0].joins != u->networks.count || p.unit[0].publishes != u->publish.count))
		abort();
	plan_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char mark[] = "[Container]";
	const char *at = size ? memmem(data, size, mark, sizeof(mark) - 1) : NULL;
	size_t len = at ? (size_t)(at - (const char *)data) : size;
	struct net_files *f = malloc(sizeof(*f));
	struct unit_file *u = NULL;
	struct err e = { "" };

	net_files_begin(f);
	if (net_files_add(f, span_of(data, len), "/units/web.network", NULL) < 0)
		abort();
	net_files_check(f);
	if (at && unit_file_new(&u, span_of(at, size - len), "/units/fuzz.container", NULL, &e) == 0 && net_files_unit(f, u, &e) < 0 && !e.text[0])
		abort();
	check_plan(f, e.text[0] ? NULL : u);
	unit_file_free(u);
	free(f);
	read_as_plan(span_of(data, size));
	return 0;
}
