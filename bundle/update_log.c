/* SPDX-License-Identifier: MIT */
/* Rewrites state/updates. A file that is damaged or too long begins anew: it is for people. */
#include "update_log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "file.h"
#include "unit_table.h"

enum { LINE_MAX_LEN = UNIT_NAME_MAX + UPDATE_LOG_WHY_MAX + 160, LOG_MAX = CONFIG_UNITS_MAX * (UPDATE_LOG_KEPT + 1) * LINE_MAX_LEN };

/* The words 2 to 4 of a line: unit, outcome, image. */
static bool split(const char *line, char unit[UNIT_NAME_MAX], char outcome[32], char digest[80])
{
	return sscanf(line, "%*s %63s %31s %79s", unit, outcome, digest) == 3;
}

static void make_line(char *out, size_t size, const char *unit, const char *outcome, const char *digest, uint64_t took_ms, const char *why)
{
	time_t now = time(NULL);
	struct tm tm;
	char when[32];
	size_t n;

	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	n = (size_t)snprintf(out, size, "%s %s %s %s %" PRIu64 " %.*s", when, unit, outcome, digest[0] ? digest : "-", took_ms, UPDATE_LOG_WHY_MAX, why);
	for (size_t i = 0; i < n && i < size; i++)
		if ((unsigned char)out[i] < ' ' || (unsigned char)out[i] > '~')
			out[i] = '?';
}

int update_log_add(struct store *s, const char *unit, const char *outcome, const char *digest, uint64_t took_ms, const char *why, struct err *e)
{
	char line[LINE_MAX_LEN], name[UNIT_NAME_MAX], what[32], image[80];
	char *old = NULL, *text = malloc(LOG_MAX), *save = NULL;
	unsigned lines = 0, left;
	size_t len = 0, at = 0;
	int r;

	if (!text)
		return err_sys(e, ENOMEM, UPDATE_LOG_PATH);
	if (file_read(store_fd(s), UPDATE_LOG_PATH, LOG_MAX - sizeof(line) - 1, &old, &len, NULL) < 0)
		old = NULL;
	for (const char *c = old; c && *c; c = strchr(c, '\n') ? strchr(c, '\n') + 1 : "")
		lines += split(c, name, what, image) && strcmp(name, unit) == 0;
	left = lines;
	for (char *l = old ? strtok_r(old, "\n", &save) : NULL; l; l = strtok_r(NULL, "\n", &save)) {
		if (!split(l, name, what, image))
			continue;
		if (strcmp(name, unit) == 0) {
			bool is_same = left == 1 && strcmp(what, outcome) == 0 && strcmp(image, digest[0] ? digest : "-") == 0;

			left--;
			if (is_same || left + 1 >= UPDATE_LOG_KEPT)
				continue;
		}
		at += (size_t)snprintf(text + at, LOG_MAX - at, "%s\n", l);
	}
	make_line(line, sizeof(line), unit, outcome, digest, took_ms, why);
	at += (size_t)snprintf(text + at, LOG_MAX - at, "%s\n", line);
	r = file_replace(store_fd(s), UPDATE_LOG_PATH, span_of(text, at), 0644, e);
	free(old);
	free(text);
	return r;
}
