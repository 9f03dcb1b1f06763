/* SPDX-License-Identifier: MIT */
/* From "Mon..Fri *-*-01 03:00/15" to masks. */
#include "calendar.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const weekday[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };

static int day_number(const char *text, size_t len)
{
	static const char *const full[] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" };

	for (int i = 0; i < 7; i++)
		if ((len == 3 && strncasecmp(text, weekday[i], 3) == 0) || (len == strlen(full[i]) && strncasecmp(text, full[i], len) == 0))
			return i;
	return -1;
}

static bool number(const char **at, unsigned min, unsigned max, unsigned *out)
{
	unsigned n = 0, digits = 0;

	for (; isdigit((unsigned char)**at) && digits < 3; digits++)
		n = n * 10 + (unsigned)(*(*at)++ - '0');
	*out = n;
	return digits && digits < 3 && n >= min && n <= max;
}

/* "*", "5", "5,10", "5..10", "0/15" (from 0 in steps of 15), and lists of these. */
static bool component(const char *text, size_t len, unsigned min, unsigned max, uint64_t *mask)
{
	char copy[64];
	const char *at = copy;

	*mask = 0;
	if (!len || len >= sizeof(copy))
		return false;
	snprintf(copy, sizeof(copy), "%.*s", (int)len, text);
	do {
		unsigned from = min, to = max, step = 1;

		if (*at == '*')
			at++;
		else if (!number(&at, min, max, &from))
			return false;
		else
			to = at[0] == '/' ? max : from;
		if (at[0] == '.' && at[1] == '.') {
			at += 2;
			if (!number(&at, from, max, &to))
				return false;
		}
		if (*at == '/') {
			at++;
			if (!number(&at, 1, max, &step))
				return false;
		}
		for (unsigned n = from; n <= to; n += step)
			*mask |= 1ull << n;
	} while (*at == ',' && *++at);
	return !*at;
}

/* "Mon,Wed..Fri" */
static bool weekdays(const char *text, size_t len, uint16_t *mask)
{
	const char *end = text + len;

	while (text < end) {
		size_t n = 0;
		int from, to;

		while (text + n < end && isalpha((unsigned char)text[n]))
			n++;
		from = to = day_number(text, n);
		text += n;
		if (end - text > 2 && text[0] == '.' && text[1] == '.') {
			text += 2;
			for (n = 0; text + n < end && isalpha((unsigned char)text[n]); n++)
				;
			to = day_number(text, n);
			text += n;
		}
		if (from < 0 || to < 0)
			return false;
		for (int d = from;; d = (d + 1) % 7) {
			*mask |= (uint16_t)(1u << d);
			if (d == to)
				break;
		}
		if (text < end && *text++ != ',')
			return false;
	}
	return *mask != 0;
}

/* "*-*-*", "*-12-24", "12-24" */
static bool date(const char *text, size_t len, struct unit_calendar *out)
{
	const char *dash;
	uint64_t mask;

	if (len > 2 && !strncmp(text, "*-", 2) && memchr(text + 2, '-', len - 2)) {
		text += 2;
		len -= 2;
	}
	dash = memchr(text, '-', len);
	if (!dash || !component(text, (size_t)(dash - text), 1, 12, &mask))
		return false;
	out->months = (uint16_t)mask;
	if (!component(dash + 1, len - (size_t)(dash - text) - 1, 1, 31, &mask))
		return false;
	out->days = (uint32_t)mask;
	return true;
}

/* "HH:MM", "HH:MM:00" */
static bool clock(const char *text, size_t len, struct unit_calendar *out)
{
	const char *colon = memchr(text, ':', len);
	uint64_t mask;

	if (len > 3 && !strncmp(text + len - 3, ":00", 3) && memchr(text, ':', len - 3))
		len -= 3;
	if (!colon || !component(text, (size_t)(colon - text), 0, 23, &mask))
		return false;
	out->hours = (uint32_t)mask;
	return component(colon + 1, len - (size_t)(colon - text) - 1, 0, 59, &out->minutes);
}

bool calendar_parse(const char *text, struct unit_calendar *out)
{
	static const struct { const char *word, *means; } words[] = {
		{ "minutely", "*:*" }, { "hourly", "*:00" }, { "daily", "00:00" }, { "weekly", "Mon 00:00" }, { "monthly", "*-01 00:00" },
		{ "yearly", "01-01 00:00" },
	};
	bool has_clock = false;

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(words[i].word, text) == 0)
			text = words[i].means;
	*out = (struct unit_calendar){ .minutes = 1, .hours = 1, .days = UINT32_MAX & ~1u, .months = 0x1ffe, .weekdays = 0x7f };
	while (*text) {
		size_t len = strcspn(text, " \t");
		bool is_good;

		if (isalpha((unsigned char)*text)) {
			out->weekdays = 0;
			is_good = weekdays(text, len, &out->weekdays);
		} else if (memchr(text, ':', len)) {
			is_good = clock(text, len, out);
			has_clock = true;
		} else {
			is_good = !has_clock && date(text, len, out);
		}
		if (!is_good)
			return false;
		text += len;
		text += strspn(text, " \t");
	}
	return true;
}
