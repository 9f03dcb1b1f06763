/* SPDX-License-Identifier: MIT */
/* Names of capabilities by libcap, whose names are lower case ("cap_net_raw"). */
#include "caps.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/capability.h>

int caps_number(const char *name)
{
	char full[CAPS_NAME_MAX];
	cap_value_t number;

	if (strncasecmp(name, "cap_", 4) == 0)
		name += 4;
	/* cap_from_name takes "cap_21" and "21" too: numbers are no names here. */
	if (!isalpha((unsigned char)name[0]))
		return -1;
	if ((size_t)snprintf(full, sizeof(full), "cap_%s", name) >= sizeof(full) || cap_from_name(full, &number) < 0)
		return -1;
	return number;
}

void caps_name(int number, char out[CAPS_NAME_MAX])
{
	char *name = cap_to_name(number);

	snprintf(out, CAPS_NAME_MAX, "%s", name ? name : "");
	for (char *p = out; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	cap_free(name);
}

uint64_t caps_all(void)
{
	char name[CAPS_NAME_MAX];
	uint64_t all = 0;

	for (int i = 0; i < 64; i++) {
		caps_name(i, name);
		if (strncmp(name, "CAP_", 4) == 0)
			all |= 1ull << i;
	}
	return all;
}
