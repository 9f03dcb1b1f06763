/* SPDX-License-Identifier: MIT */
/*
 * The grammar of notification datagrams: hostile bytes that PID 1 reads itself, so it is a handful of words without nesting, in a copy of
 * fixed size. Pure.
 */
#include "notify.h"

#include <string.h>

#include "text.h"

enum { DAY_MS = 86400000 };

static bool take_us(const char *value, uint64_t *ms)
{
	uint64_t us;

	if (!text_u64(value, UINT64_MAX / 2, &us))
		return false;
	*ms = us / 1000 + (us % 1000 != 0);
	if (*ms > DAY_MS)
		*ms = DAY_MS;
	return true;
}

static void take_line(char *line, struct notify *out)
{
	char *value = strchr(line, '=');
	uint64_t ms;

	if (!value)
		return;
	*value++ = '\0';
	if (!strcmp(line, "READY")) {
		out->is_ready |= !strcmp(value, "1");
	} else if (!strcmp(line, "STOPPING")) {
		out->is_stopping |= !strcmp(value, "1");
	} else if (!strcmp(line, "WATCHDOG")) {
		out->is_alive |= !strcmp(value, "1");
		out->is_hung |= !strcmp(value, "trigger");
	} else if (!strcmp(line, "STATUS")) {
		out->has_status = true;
		text_printable(out->status, sizeof(out->status), value);
	} else if (!strcmp(line, "EXTEND_TIMEOUT_USEC") && take_us(value, &ms)) {
		out->has_extend = true;
		out->extend_ms = ms;
	} else if (!strcmp(line, "WATCHDOG_USEC") && take_us(value, &ms)) {
		out->has_watchdog = true;
		out->watchdog_ms = ms;
	}
}

void notify_parse(const char *at, size_t len, struct notify *out)
{
	char line[NOTIFY_MAX + 1];

	memset(out, 0, sizeof(*out));
	while (len) {
		const char *nl = memchr(at, '\n', len);
		size_t n = nl ? (size_t)(nl - at) : len;

		if (n < sizeof(line) && !memchr(at, '\0', n)) {
			memcpy(line, at, n);
			line[n] = '\0';
			take_line(line, out);
		}
		n += nl != NULL;
		at += n;
		len -= n;
	}
}
