/* SPDX-License-Identifier: MIT */
/*
 * `coracle logs` and `coracle log`: a ring, mapped read-only, shown line by
 * line. What programs printed is untrusted: bytes that a terminal would act on are
 * shown as '?'.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "ring.h"

static char copy[CONFIG_LOG_RING_KIB * 1024];

/* One line; with --json the CRI fields apart. */
static void show(const char *line, size_t len, bool is_json)
{
	char text[4096];

	if (!is_json) {
		client_print(line, len);
		putchar('\n');
		return;
	}
	if (len >= sizeof(text))
		len = sizeof(text) - 1;
	memcpy(text, line, len);
	text[len] = '\0';
	for (size_t i = 0; i < len; i++)
		if (!text[i])
			text[i] = '?';
	printf("{\"line\":");
	json_text(text);
	printf("}\n");
}

static size_t skip_to_last(const char *at, size_t len, uint64_t lines)
{
	size_t pos = len;

	if (pos)
		pos--;
	while (pos > 0) {
		if (at[pos - 1] == '\n' && --lines == 0)
			return pos;
		pos--;
	}
	return 0;
}

static void show_all(const char *at, size_t len, bool is_json)
{
	while (len) {
		const char *nl = memchr(at, '\n', len);
		size_t n = nl ? (size_t)(nl - at) : len;

		show(at, n, is_json);
		n += nl != NULL;
		at += n;
		len -= n;
	}
	fflush(stdout);
}

int client_show_logs(const struct client_args *a, bool is_own)
{
	struct control_reply r;
	struct ring *ring;
	uint64_t from = 0;
	size_t map_len, len, skip;
	int fd;

	if (client_command(a, CONTROL_LOGS, is_own ? "" : a->name, &r, &fd))
		return 1;
	ring = fd < 0 ? NULL : ring_map(fd, 0, &map_len);
	if (fd >= 0)
		close(fd);
	if (!ring) {
		fprintf(stderr, "coracle: logs: PID 1 handed out no log\n");
		return 1;
	}
	len = ring_copy(ring, &from, copy, sizeof(copy));
	skip = a->lines ? skip_to_last(copy, len, a->lines) : 0;
	show_all(copy + skip, len - skip, a->is_json);
	while (a->follows && !ferror(stdout)) {
		usleep(200000);
		len = ring_copy(ring, &from, copy, sizeof(copy));
		show_all(copy, len, a->is_json);
	}
	ring_unmap(ring, map_len);
	return 0;
}
