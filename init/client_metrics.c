/* SPDX-License-Identifier: MIT */
/*
 * `metrics`: PID 1's record and the cgroups as OpenMetrics text (the OpenMetrics specification, 1.0). A helper beside PID 1, which hears nothing
 * of it but one request for its record.
 */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "device_id.h"
#include "health.h"
#include "text.h"
#include "unit.h"

static const struct family {
	const char *name, *type, *help, *key;	/* key: of the cgroup, or NULL: see value() */
	bool is_us;
} families[] = {
	{ "coracle_unit_up", "gauge", "1 while the unit is up", NULL, false },
	{ "coracle_unit_healthy", "gauge", "1 healthy, 0 unhealthy or not known yet", NULL, false },
	{ "coracle_unit_restarts", "counter", "restarts after a bad end", NULL, false },
	{ "coracle_unit_memory_bytes", "gauge", "memory in use", "memory.current", false },
	{ "coracle_unit_processes", "gauge", "processes", "pids.current", false },
	{ "coracle_unit_updates", "counter", "updates that came to an end since boot", NULL, false },
	{ "coracle_unit_update_rolled_back", "gauge", "1 where the last one was rolled back", NULL, false },
	{ "coracle_unit_update_failed", "gauge", "1 where the last one failed before its switch", NULL, false },
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
	case 5:
		*out = u->update.ended;
		return true;
	case 6:
		*out = u->update.ended && u->update.end == STATUS_UPDATE_ROLLED_BACK;
		return true;
	case 7:
		*out = u->update.ended && u->update.end == STATUS_UPDATE_FAILED;
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

/* OpenMetrics' escapes in the value of a label. */
static void label(const char *key, const char *value, const char *after)
{
	printf("%s=\"", key);
	for (; *value; value++)
		if (*value >= ' ' && *value < 0x7f)
			printf(*value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
	printf("\"%s", after);
}

/* What is no number: which board, which software, which image of each unit. */
static void show_infos(const struct status *s)
{
	char id[96] = "";

	if (text_file(DEVICE_ID_PATH, id, sizeof(id)) < 0)
		id[0] = '\0';
	printf("# TYPE coracle_device info\n# HELP coracle_device this board\ncoracle_device_info{");
	label("hostname", s->hostname, ",");
	label("id", id, ",");
	label("version", s->version, "} 1\n");
	printf("# TYPE coracle_unit_image info\n# HELP coracle_unit_image what the unit runs or would run\n");
	for (uint32_t i = 0; i < s->count; i++) {
		if (!s->unit[i].name[0])
			continue;
		printf("coracle_unit_image_info{");
		label("unit", s->unit[i].name, ",");
		label("digest", s->unit[i].digest, "} 1\n");
	}
}

void client_print_metrics(const struct status *s)
{
	for (unsigned k = 0; k < sizeof(families) / sizeof(families[0]); k++)
		show_family(k, s);
	show_infos(s);
	printf("# TYPE coracle_up_seconds gauge\n# HELP coracle_up_seconds since PID 1 began\ncoracle_up_seconds %llu\n",
		(unsigned long long)(text_now_ms() - s->boot_ms) / 1000);
	printf("# TYPE coracle_data_mounted gauge\n# HELP coracle_data_mounted 1 where the data partition is there\n"
		"coracle_data_mounted %u\n", s->is_data_there != 0);
	printf("# TYPE coracle_resets gauge\n# HELP coracle_resets resets in a row that count towards rescue\ncoracle_resets %u\n", s->resets);
	printf("# EOF\n");
}

int client_show_metrics(const struct client_args *a)
{
	const struct status *s;

	if (a->is_server)
		return client_serve_metrics(a);
	s = client_status(a);
	if (s)
		client_print_metrics(s);
	return !s;
}
