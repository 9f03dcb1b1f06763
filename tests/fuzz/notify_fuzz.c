/* SPDX-License-Identifier: MIT */
/* Any bytes as a datagram of sd_notify(3): init/notify_parse.c. */
#include <stdlib.h>
#include <string.h>

#include "notify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct notify n;
	size_t len;

	notify_parse((const char *)data, size, &n);
	len = strnlen(n.status, sizeof(n.status));
	if (len == sizeof(n.status) || n.extend_ms > 86400000 || n.watchdog_ms > 86400000)
		abort();
	for (size_t i = 0; i < len; i++)
		if (n.status[i] < ' ' || n.status[i] > '~')
			abort();
	return 0;
}
