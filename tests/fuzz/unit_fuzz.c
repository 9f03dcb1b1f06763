/* SPDX-License-Identifier: MIT */
/* Any bytes as a .container file: quadlet.c, quadlet_values.c, unit_file.c, unit_keys.c. libcap stays out: names of capabilities are a stand-in. */
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "caps.h"
#include "unit_file.h"

int caps_number(const char *name)
{
	return isalpha((unsigned char)name[0]) ? (int)(strlen(name) % 41) : -1;
}

uint64_t caps_all(void)
{
	return (1ull << 41) - 1;
}

static void use(const char *text, size_t *sum)
{
	*sum += text ? strlen(text) : 0;
}

static void use_list(const struct unit_list *l, size_t *sum)
{
	if (l->count > UNIT_LIST_MAX)
		abort();
	for (uint32_t i = 0; i < l->count; i++)
		use(l->at[i], sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static volatile size_t sink;
	struct unit_file *u;
	struct err e = { "" };
	size_t sum = 0;
	int r = unit_file_new(&u, span_of(data, size), "/units/fuzz.container", NULL, &e);

	/* Refused with a word, or whole. */
	if (r < 0 ? !e.text[0] : e.text[0] || !u->image || !u->memory_max || !u->pids_max)
		abort();
	use(u->image, &sum);
	use(u->description, &sum);
	use_list(&u->exec, &sum);
	use_list(&u->environment, &sum);
	use_list(&u->volumes, &sum);
	use_list(&u->mask, &sum);
	for (uint32_t i = 0; i < u->volumes.count; i++)
		if (!strchr(u->volumes.at[i], ':'))
			abort();
	sink += sum;
	unit_file_free(u);
	return 0;
}
