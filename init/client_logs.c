/* SPDX-License-Identifier: MIT */
/*
 * `coracle logs` and `coracle log`: a ring, mapped read-only, shown line by
 * line. What programs printed is untrusted: bytes that a terminal would act on are
 * shown as '?'.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "ring.h"
#include "text.h"

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

/* From the first line on that is not before SINCE, a time as lines begin with. */
static size_t skip_before(const char *at, size_t len, const char *since)
{
	size_t pos = 0, n = strlen(since);

	while (since[0] && pos < len && (len - pos < n || memcmp(at + pos, since, n) < 0)) {
		const char *nl = memchr(at + pos, '\n', len - pos);

		pos = nl ? (size_t)(nl - at) + 1 : len;
	}
	return pos;
}

/* "90s", "5m", "2h", "1d" ago, or a time as it stands. */
static bool take_since(const char *text, char *out, size_t size)
{
	static const char units[] = "smhd";
	static const unsigned seconds[] = { 1, 60, 3600, 86400 };
	size_t len = strlen(text);
	const char *unit = len > 1 ? strchr(units, text[len - 1]) : NULL;
	struct timespec t;
	char digits[16];
	uint64_t n;

	text_copy(out, size, text);
	if (!unit)
		return text[0] >= '0' && text[0] <= '9';
	snprintf(digits, sizeof(digits), "%.*s", (int)(len - 1), text);
	if (!text_u64(digits, 1000000, &n))
		return false;
	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec -= (time_t)(n * seconds[unit - units]);
	text_time(&t, out, size);
	return true;
}

static void show_part(const struct client_args *a, size_t len, const char *since)
{
	size_t skip = skip_before(copy, len, since);

	if (a->lines) {
		size_t last = skip_to_last(copy, len, a->lines);

		skip = last > skip ? last : skip;
	}
	show_all(copy + skip, len - skip, a->is_json);
}

/* What the saver wrote, this run's and earlier ones'. */
static int show_saved(const struct client_args *a, const char *since)
{
	const struct status *s = client_status(a);
	bool has_any = false;
	char path[256];

	for (int k = 1; s && k >= 0; k--) {
		size_t len = 0;
		ssize_t n;
		int fd;

		snprintf(path, sizeof(path), "%s/logs/%s/%d.log", s->data_dir, a->name, k);
		fd = strchr(a->name, '/') ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		has_any |= fd >= 0;
		while (fd >= 0 && (n = read(fd, copy + len, sizeof(copy) - len)) > 0) {
			char *nl;

			len += (size_t)n;
			nl = memrchr(copy, '\n', len);
			n = nl ? nl - copy + 1 : (ssize_t)len;
			show_all(copy + skip_before(copy, (size_t)n, since), (size_t)n - skip_before(copy, (size_t)n, since), a->is_json);
			len -= (size_t)n;
			memmove(copy, copy + n, len);
		}
		if (fd >= 0)
			close(fd);
	}
	if (s && !has_any)
		fprintf(stderr, "coracle: logs: nothing saved of %s, or not for you: %s\n", a->name, path);
	return !has_any;
}

int client_show_logs(const struct client_args *a, bool is_own)
{
	struct control_reply r;
	struct ring *ring;
	char since[40] = "";
	uint64_t from = 0, before;
	size_t map_len, len;
	int fd;

	if (a->since && !take_since(a->since, since, sizeof(since))) {
		fprintf(stderr, "coracle: --since: 90s, 5m, 2h, 1d, or a time like 2026-11-24T10:00\n");
		return 2;
	}
	if (a->is_saved && !is_own)
		return show_saved(a, since);
	if (client_command(a, CONTROL_LOGS, is_own ? "" : a->name, &r, &fd))
		return 1;
	ring = fd < 0 ? NULL : ring_map(fd, 0, &map_len);
	if (fd >= 0)
		close(fd);
	if (!ring) {
		fprintf(stderr, "coracle: logs: PID 1 handed out no log\n");
		return 1;
	}
	show_part(a, ring_copy(ring, &from, copy, sizeof(copy)), since);
	while (a->follows && !ferror(stdout)) {
		usleep(200000);
		before = from;
		len = ring_copy(ring, &from, copy, sizeof(copy));
		if (from - before > len && !a->is_json)
			printf("coracle: %llu bytes of log went by too fast to be shown\n", (unsigned long long)(from - before - len));
		show_all(copy, len, a->is_json);
	}
	ring_unmap(ring, map_len);
	return 0;
}
