/* SPDX-License-Identifier: MIT */
/*
 * `status NAME`: all that is known of one unit; and `top`. PID 1's record, and what the kernel says in the unit's cgroup and its program's
 * /proc. What comes from programs is printable already.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "health.h"
#include "text.h"
#include "unit.h"

bool client_cgroup(const struct status_unit *u, const char *key, uint64_t *out)
{
	char path[STATUS_CGROUP_MAX + 32], text[256], *at;
	const char *file = key, *word = strchr(key, ' ');

	if (!u->cgroup[0])
		return false;
	/* "cpu.stat usage_usec": the word's value in a file of several. */
	snprintf(path, sizeof(path), "%s/%.*s", u->cgroup, (int)(word ? word - file : (long)strlen(file)), file);
	if (text_file(path, text, sizeof(text)) <= 0 && !text[0])
		return false;
	at = text;
	if (word) {
		at = strstr(text, word + 1);
		if (!at)
			return false;
		at += strlen(word + 1);
		at += strspn(at, " ");
	}
	at[strcspn(at, "\n")] = '\0';
	return text_u64(at, UINT64_MAX, out);
}

static void show_memory(const struct status_unit *u)
{
	uint64_t now, peak, max;
	char text[16];

	if (!client_cgroup(u, "memory.current", &now))
		return;
	text_bytes(now, text, sizeof(text));
	printf("memory    %s now", text);
	if (client_cgroup(u, "memory.peak", &peak)) {
		text_bytes(peak, text, sizeof(text));
		printf(", %s at most", text);
	}
	if (client_cgroup(u, "memory.max", &max)) {
		text_bytes(max, text, sizeof(text));
		printf(", of %s", text);
	}
	putchar('\n');
}

static void show_process(const struct status_unit *u)
{
	uint64_t n, max, us;

	if (u->pid <= 0)
		return;
	printf("process   %d", u->pid);
	if (client_cgroup(u, "pids.current", &n))
		printf(", %llu in all", (unsigned long long)n);
	if (client_cgroup(u, "pids.max", &max))
		printf(" of %llu", (unsigned long long)max);
	if (client_cgroup(u, "cpu.stat usage_usec", &us))
		printf("; cpu %llu.%02u s", (unsigned long long)(us / 1000000), (unsigned)(us / 10000 % 100));
	putchar('\n');
}

/* Of all interfaces but lo in the program's network, which for Network=host is the board's. */
static void show_net(const struct status_unit *u)
{
	uint64_t rx = 0, tx = 0;
	char path[48], *save = NULL, a[16], b[16];
	static char table[4096];

	snprintf(path, sizeof(path), "/proc/%d/net/dev", u->pid);
	if (u->pid <= 0 || text_file(path, table, sizeof(table)) < 0)
		return;
	for (char *line = strtok_r(table, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *at = strchr(line, ':');

		if (!at || strstr(line, "lo:"))
			continue;
		at++;
		for (int column = 1; column <= 9; column++) {
			uint64_t n = text_number(&at);

			rx += column == 1 ? n : 0;
			tx += column == 9 ? n : 0;
		}
	}
	text_bytes(rx, a, sizeof(a));
	text_bytes(tx, b, sizeof(b));
	printf("net       %s in, %s out\n", a, b);
}

static void show_ends(const struct status_unit *u)
{
	uint64_t now = text_now_ms();
	char span[32], ago[48];

	printf("restarts  %u\n", u->restarts);
	for (uint32_t n = 0; n < u->ends && n < STATUS_ENDS; n++) {
		uint32_t k = (u->ends - 1 - n) % STATUS_ENDS;

		text_span(now - u->end[k].at_ms, span, sizeof(span));
		snprintf(ago, sizeof(ago), "%s ago: ", span);
		client_wrap(10, ago, u->end[k].text);
	}
}

void client_show_unit(const struct status_unit *u, const char *reason)
{
	struct timespec now;
	char span[32], since[32];

	text_span(text_now_ms() - u->since_ms, span, sizeof(span));
	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec -= (time_t)((text_now_ms() - u->since_ms) / 1000);
	text_time(&now, since, sizeof(since));
	since[19] = '\0';
	printf("unit      %s%s%s\n", u->name, u->is_critical ? ", critical" : "", u->is_enabled ? "" : ", not started at boot");
	printf("state     %s for %s, since %sZ\n", unit_state_name(u->state), span, since);
	if (reason[0])
		client_wrap(10, "", reason);
	if (u->said[0])
		client_wrap(10, "says: ", u->said);
	if (u->health) {
		printf("health    ");
		client_wrap_health(-10, u);
	}
	printf("image     %s\n", u->image);
	if (u->version[0])
		printf("version   %s\n", u->version);
	if (u->digest[0])
		printf("digest    %s\n", u->digest);
	if (u->signer[0])
		printf("signed by %s\n", u->signer);
	if (u->note[0]) {
		printf("note      ");
		client_wrap(-10, "", u->note);
	}
	show_ends(u);
	show_process(u);
	show_memory(u);
	show_net(u);
}

static uint64_t cpu_us(const struct status_unit *u)
{
	uint64_t us = 0;

	client_cgroup(u, "cpu.stat usage_usec", &us);
	return us;
}

int client_show_top(const struct client_args *a)
{
	static uint64_t before[CONFIG_UNITS_MAX];
	bool is_terminal = isatty(1) && !a->is_json, is_screen = client_is_screen();
	uint64_t then = text_now_ms();
	const struct status *s = client_status(a);

	for (uint32_t i = 0; s && i < s->count; i++)
		before[i] = cpu_us(&s->unit[i]);
	do {
		uint64_t now, pids;

		if (!s)
			return 1;
		usleep(is_terminal ? 2000000 : 500000);
		s = client_status(a);
		now = text_now_ms();
		if (is_terminal)
			printf("%s", is_screen ? "\033[H\033[J" : "\n");
		printf("%-20s %-10s %6s %9s %6s %8s\n", "UNIT", "STATE", "CPU%", "MEMORY", "PIDS", "RESTARTS");
		for (uint32_t i = 0; s && i < s->count; i++) {
			const struct status_unit *u = &s->unit[i];
			uint64_t us = cpu_us(u), memory, used = us > before[i] && now > then ? (us - before[i]) / (now - then) : 0;
			char text[16] = "-";

			if (!u->name[0])
				continue;
			if (client_cgroup(u, "memory.current", &memory))
				text_bytes(memory, text, sizeof(text));
			if (!client_cgroup(u, "pids.current", &pids))
				pids = u->pid > 0;
			printf("%-20.20s %-10s %4llu.%u %9s %6llu %8u\n", u->name, unit_state_name(u->state), (unsigned long long)used / 10,
				(unsigned)(used % 10), text, (unsigned long long)pids, u->restarts);
			before[i] = us;
		}
		fflush(stdout);
		then = now;
	} while (is_terminal && !ferror(stdout));
	return 0;
}
