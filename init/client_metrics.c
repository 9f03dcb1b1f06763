/* SPDX-License-Identifier: MIT */
/*
 * `metrics`: PID 1's record and the cgroups as OpenMetrics text (the OpenMetrics specification, 1.0); and `events`: the record looked at
 * again and again, each change a line of JSON. Both are helpers beside PID 1, which hears nothing of them but one request for its record.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "health.h"
#include "text.h"
#include "unit.h"

enum { LOOK_MS = 100 };

static const struct family {
	const char *name, *type, *help, *key;	/* key: of the cgroup, or NULL: see value() */
	bool is_us;
} families[] = {
	{ "coracle_unit_up", "gauge", "1 while the unit is up", NULL, false },
	{ "coracle_unit_healthy", "gauge", "1 healthy, 0 unhealthy or not known yet", NULL, false },
	{ "coracle_unit_restarts", "counter", "restarts after a bad end", NULL, false },
	{ "coracle_unit_memory_bytes", "gauge", "memory in use", "memory.current", false },
	{ "coracle_unit_processes", "gauge", "processes", "pids.current", false },
	{ "coracle_unit_cpu_seconds", "counter", "processor time used", "cpu.stat usage_usec", true },
};

static bool value(unsigned family, const struct status_unit *u, uint64_t *out)
{
	switch (family) {
	case 0:
		*out = unit_is_active(u->state);
		return true;
	case 1:
		*out = u->health == HEALTH_GOOD;
		return u->health != HEALTH_NONE;
	case 2:
		*out = u->restarts;
		return true;
	default:
		return client_cgroup(u, families[family].key, out);
	}
}

static void show_family(unsigned k, const struct status *s)
{
	const struct family *f = &families[k];
	bool is_counter = f->type[0] == 'c';
	uint64_t n;

	printf("# TYPE %s %s\n# HELP %s %s\n", f->name, f->type, f->name, f->help);
	for (uint32_t i = 0; i < s->count; i++) {
		if (!s->unit[i].name[0] || !value(k, &s->unit[i], &n))
			continue;
		/* A unit's name has letters, digits, - _ and . in it: nothing to be escaped. */
		printf("%s%s{unit=\"%s\"} %llu", f->name, is_counter ? "_total" : "", s->unit[i].name,
			(unsigned long long)(f->is_us ? n / 1000000 : n));
		if (f->is_us)
			printf(".%06u", (unsigned)(n % 1000000));
		putchar('\n');
	}
}

int client_show_metrics(const struct client_args *a)
{
	const struct status *s = client_status(a);

	if (!s)
		return 1;
	for (unsigned k = 0; k < sizeof(families) / sizeof(families[0]); k++)
		show_family(k, s);
	printf("# TYPE coracle_up_seconds gauge\n# HELP coracle_up_seconds since PID 1 began\ncoracle_up_seconds %llu\n",
		(unsigned long long)(text_now_ms() - s->boot_ms) / 1000);
	printf("# TYPE coracle_data_mounted gauge\n# HELP coracle_data_mounted 1 where the data partition is there\n"
		"coracle_data_mounted %u\n", s->is_data_there != 0);
	printf("# TYPE coracle_resets gauge\n# HELP coracle_resets resets in a row that count towards rescue\ncoracle_resets %u\n", s->resets);
	printf("# EOF\n");
	return 0;
}

static void event(const char *unit, const char *what, const char *is, const char *reason)
{
	struct timespec now;
	char time[32];

	clock_gettime(CLOCK_REALTIME, &now);
	text_time(&now, time, sizeof(time));
	printf("{\"time\":\"%s\",\"unit\":", time);
	json_text(unit);
	printf(",\"%s\":", what);
	json_text(is);
	printf(",\"reason\":");
	json_text(reason);
	printf("}\n");
	fflush(stdout);
}

static void compare(const struct status *was, const struct status *is)
{
	for (uint32_t i = 0; i < is->count; i++) {
		const struct status_unit *a = &was->unit[i], *b = &is->unit[i];
		bool is_same = i < was->count && !strcmp(a->name, b->name);

		if (!is_same && i < was->count && a->name[0])
			event(a->name, "state", "gone", "");
		if (b->name[0] && (!is_same || a->state != b->state || a->since_ms != b->since_ms))
			event(b->name, "state", unit_state_name(b->state), b->reason);
		if (b->name[0] && (is_same ? a->health : 0) != b->health)
			event(b->name, "health", health_name(b->health), b->health_text);
	}
	if (was->power != is->power)
		event("", "power", is->power == STATUS_POWER_OFF ? "poweroff" : "reboot", "");
}

int client_show_events(const struct client_args *a)
{
	static struct status was, is;
	struct control_reply r;
	uint32_t seen = 0;
	int fd, ret = 0;

	if (client_command(a, CONTROL_STATUS, "", &r, &fd))
		return 1;
	/* The record stays mapped here: looking costs PID 1 nothing. It ends with PID 1: then it no longer changes, and the socket is gone. */
	for (unsigned n = 0; ret == 0 && !ferror(stdout); n++) {
		ret = status_copy(fd, &is);
		if (ret == 0 && is.sequence != seen) {
			compare(&was, &is);
			was = is;
			seen = is.sequence;
		}
		usleep(LOOK_MS * 1000);
		if (n % 50 == 49 && client_command(a, CONTROL_STATUS, "", &r, NULL))
			ret = 1;
	}
	close(fd);
	return ret != 0;
}
