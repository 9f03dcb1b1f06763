/* SPDX-License-Identifier: MIT */
/*
 * `coracle status`: PID 1's record, with what the client reads itself (memory
 * from the units' cgroups, free space, addresses, clock). Works for anyone.
 */
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <time.h>

#include "client.h"
#include "device_id.h"
#include "health.h"
#include "text.h"
#include "unit.h"

static void memory_text(const struct status_unit *u, char *out, size_t size)
{
	uint64_t now, max;
	size_t len;

	text_copy(out, size, "-");
	if (!client_cgroup(u, "memory.current", &now))
		return;
	text_bytes(now, out, size);
	len = strlen(out);
	if (!client_cgroup(u, "memory.max", &max) || len + 2 > size)
		return;
	out[len] = '/';
	text_bytes(max, out + len + 1, size - len - 1);
}

static bool free_space(const struct status *s, uint64_t *out, bool *is_read_only)
{
	struct statvfs fs;

	if (!s->is_data_there || statvfs(s->data_dir, &fs) < 0)
		return false;
	*out = (uint64_t)fs.f_bavail * fs.f_frsize;
	*is_read_only = fs.f_flag & ST_RDONLY;
	return true;
}

/* How often the kernel found the data partition's ext4 damaged since its last e2fsck; it stops writing to it, or using it, then. */
static uint64_t damage(const struct status *s)
{
	const char *device = strrchr(s->data, ' ');
	char path[64], text[32];
	uint64_t errors;

	if (!s->is_data_there || !device)
		return 0;
	snprintf(path, sizeof(path), "/sys/fs/ext4/%.31s/errors_count", device + 1);
	return text_file(path, text, sizeof(text)) > 0 && text_u64(text, UINT64_MAX, &errors) ? errors : 0;
}

static void show_data(const struct status *s)
{
	uint64_t bytes, errors = damage(s);
	bool is_read_only = false;

	printf("data      %s%s", s->is_data_there ? "" : "not mounted: ", s->data);
	if (free_space(s, &bytes, &is_read_only))
		printf("  %llu MiB free", (unsigned long long)(bytes >> 20));
	if (errors)
		printf("  DAMAGED: the kernel found %llu errors; power off and run e2fsck -f on another machine",
			(unsigned long long)errors);
	else if (is_read_only)
		printf("  READ-ONLY: write-protected, nothing can be pulled");
	printf("\n");
}

static void network_text(const struct status *s, char *out, size_t size)
{
	static const char *const how[] = { "none", "dhcp", "static", "the host's" };
	const char *net = how[s->net < 4 ? s->net : 0];
	char line[160];

	if (s->network[0])
		text_printable(out, size, s->network);
	else if (s->net == STATUS_NET_NONE)
		text_copy(out, size, "none (board.conf: network=none)");
	else if (client_net_line(line, sizeof(line)))
		snprintf(out, size, "%s (%s)", line, net);
	else
		snprintf(out, size, "no address yet (%s)", net);
}

/* Down to seconds: "2026-11-24 10:00:00Z". */
static void clock_text(char out[32])
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	text_time(&now, out, 32);
	out[10] = ' ';
	out[19] = 'Z';
	out[20] = '\0';
}

/* What the attendant found out about the clock (fetch/sntp.h), its first word: "" where nobody is asked for the time. */
static void clock_state(char out[32])
{
	if (text_file("/run/coracle/clock", out, 32) < 0)
		out[0] = '\0';
	out[strcspn(out, " ")] = '\0';
}

void client_show_offers(void)
{
	char text[4096], *line = text;

	if (text_file(CLIENT_OFFERS, text, sizeof(text)) <= 0)
		return;
	for (;;) {
		size_t len = strcspn(line, "\n");

		printf("stick     ");
		client_print(line, len);
		putchar('\n');
		if (!line[len])
			break;
		line += len + 1;
	}
	fflush(stdout);
}

static void summary(const struct status *s, char *out, size_t size)
{
	unsigned count[UNIT_STATES] = { 0 }, total = 0;
	static const uint8_t order[] = { UNIT_RUNNING, UNIT_STARTING, UNIT_PULLING, UNIT_PREPARING, UNIT_WAITING,
		UNIT_ACTIVATING, UNIT_ENDING, UNIT_EXITED, UNIT_BACKOFF, UNIT_REFUSED, UNIT_FAILED, UNIT_STOPPING, UNIT_RESTARTING, UNIT_INACTIVE };
	size_t at = 0;

	out[0] = '\0';
	for (uint32_t i = 0; i < s->count; i++)
		if (s->unit[i].name[0] && s->unit[i].state < UNIT_STATES) {
			count[s->unit[i].state]++;
			total++;
		}
	for (unsigned i = 0; i < sizeof(order) && at < size; i++)
		if (count[order[i]])
			at += (size_t)snprintf(out + at, size - at, "%s%u %s", at ? ", " : "", count[order[i]],
				unit_state_name(order[i]));
	if (!total)
		text_copy(out, size, s->units_error[0] ? s->units_error : "none");
}

/* Which system slot the boot loader started: its word on the kernel's command line; "" where images have no slots. */
static void slot_text(char *out, size_t size)
{
	static const char word[] = "coracle.slot=";
	char text[2048];
	const char *at = text_file("/proc/cmdline", text, sizeof(text)) > 0 ? strstr(text, word) : NULL;

	text_copy(out, size, at ? at + sizeof(word) - 1 : "");
	out[strcspn(out, " \n")] = '\0';
}

/* lib/device_id.h; "" where nothing tells this board from another. */
static void device_text(char *out, size_t size)
{
	if (text_file(DEVICE_ID_PATH, out, size) < 0)
		out[0] = '\0';
}

static void show_board(const struct status *s)
{
	char span[32], text[512], clock[32], slot[16], state[32];
	struct utsname u;

	uname(&u);
	text_span(text_now_ms() - s->boot_ms, span, sizeof(span));
	slot_text(slot, sizeof(slot));
	printf("board     %s  up %s  kernel %s  coracle %s%s%s%s\n", s->hostname, span, u.release, s->version,
		slot[0] ? "  slot " : "", slot,
		s->power == STATUS_POWER_OFF ? "  powering off" : s->power == STATUS_POWER_REBOOT ?
		"  rebooting" : "");
	device_text(text, DEVICE_ID_MAX);
	if (text[0])
		printf("device    %s\n", text);
	if (s->is_rescue)
		printf("rescue    after %u resets in a row: only critical units start by themselves, and nothing reboots\n", s->resets);
	if (s->reset_cause[0])
		printf("came up   after: %s\n", s->reset_cause);
	show_data(s);
	network_text(s, text, sizeof(text));
	printf("network   %s\n", text);
	clock_text(clock);
	clock_state(state);
	printf("clock     %s%s\n", clock, !strcmp(state, "confirmed") ? "  (confirmed by SNTP)" : state[0] ?
		"  (no word from a time server yet)" : s->is_clock_floor ?
		"  (no clock in hardware: began at the later of build and last confirmed time)" : "");
	client_show_offers();
	summary(s, text, sizeof(text));
	printf("units     %s\n", text);
	if (client_release()) {
		printf("release   %s %s\n", client_release()->image, client_release()->digest[0] ? client_release()->digest : "(none yet)");
		client_update_lines(s, client_release(), 8, false);
	}
	if (s->units_error[0] && s->count)
		printf("          %s\n", s->units_error);
}

static void unit_reason(const struct status_unit *u, char *out, size_t size)
{
	uint64_t now = text_now_ms();
	size_t len;

	text_copy(out, size, u->reason);
	len = strlen(out);
	if (u->bytes_total && u->state == UNIT_PULLING)
		snprintf(out + len, size - len, " (%u%%)", (unsigned)(u->bytes_done * 100 / u->bytes_total));
	else if (u->due_ms > now && len)
		snprintf(out + len, size - len, "; again in %u s", (unsigned)((u->due_ms - now + 999) / 1000));
}

static void show_unit(const struct status *s, const struct status_unit *u, int width)
{
	char span[32], mem[32], reason[UNIT_TEXT_MAX + 32];

	text_span(text_now_ms() - u->since_ms, span, sizeof(span));
	memory_text(u, mem, sizeof(mem));
	printf("%-*s  %-9s  %-8s  %-8u  %-13s  %s\n", width, u->name, unit_state_name(u->state), span, u->restarts,
		u->state == UNIT_RUNNING ? mem : "-", u->image);
	if (u->digest[0])
		printf("%*s  digest %s\n", width, "", u->digest);
	if (u->signer[0])
		printf("%*s  signed by %s\n", width, "", u->signer);
	unit_reason(u, reason, sizeof(reason));
	if (reason[0])
		client_wrap(width + 2, "", reason);
	if (u->health)
		client_wrap_health(width + 2, u);
	if (u->said[0])
		client_wrap(width + 2, "says: ", u->said);
	if (u->note[0])
		client_wrap(width + 2, "note: ", u->note);
	client_update_lines(s, u, width, false);
}

static void json_pair(const char *key, const char *value)
{
	printf(",\"%s\":", key);
	json_text(value);
}

static void json_unit(const struct status *s, const struct status_unit *u)
{
	uint64_t now = text_now_ms(), bytes;

	printf("{\"name\":");
	json_text(u->name);
	json_pair("state", unit_state_name(u->state));
	printf(",\"for_ms\":%llu,\"restarts\":%u,\"pid\":%d,\"enabled\":%s", (unsigned long long)(now - u->since_ms),
		u->restarts, u->pid, u->is_enabled ? "true" : "false");
	if (client_cgroup(u, "memory.current", &bytes))
		printf(",\"memory\":%llu", (unsigned long long)bytes);
	if (client_cgroup(u, "memory.max", &bytes))
		printf(",\"memory_max\":%llu", (unsigned long long)bytes);
	json_pair("image", u->image);
	json_pair("digest", u->digest);
	json_pair("version", u->version);
	json_pair("signer", u->signer);
	json_pair("reason", u->reason);
	json_pair("note", u->note);
	json_pair("says", u->said);
	json_pair("health", health_name(u->health));
	json_pair("health_text", u->health_text);
	printf(",\"critical\":%s,\"ends\":[", u->is_critical ? "true" : "false");
	for (uint32_t n = u->ends < STATUS_ENDS ? u->ends : STATUS_ENDS; n; n--) {
		uint32_t k = (u->ends - n) % STATUS_ENDS;

		printf("{\"ms_ago\":%llu,\"reason\":", (unsigned long long)(now - u->end[k].at_ms));
		json_text(u->end[k].text);
		printf(n > 1 ? "}," : "}");
	}
	printf("]");
	client_update_json(s, u);
	json_pair("cgroup", u->cgroup);
	printf(",\"again_in_ms\":%llu,\"bytes_done\":%llu,\"bytes_total\":%llu}",
		(unsigned long long)(u->due_ms > now ? u->due_ms - now : 0), (unsigned long long)u->bytes_done,
		(unsigned long long)u->bytes_total);
}

static void json_board(const struct status *s)
{
	char text[512], clock[32], state[32];
	bool is_read_only;
	struct utsname u;
	uint64_t bytes;

	uname(&u);
	printf("{\"hostname\":");
	json_text(s->hostname);
	device_text(text, DEVICE_ID_MAX);
	json_pair("device", text);
	json_pair("version", s->version);
	json_pair("kernel", u.release);
	slot_text(clock, sizeof(clock));
	json_pair("slot", clock);
	printf(",\"up_ms\":%llu", (unsigned long long)(text_now_ms() - s->boot_ms));
	json_pair("came_up_after", s->reset_cause);
	printf(",\"resets\":%u,\"rescue\":%s,\"watchdog_s\":%u", s->resets, s->is_rescue ? "true" : "false", s->watchdog_s);
	printf(",\"data\":{\"mounted\":%s", s->is_data_there ? "true" : "false");
	json_pair("text", s->data);
	json_pair("dir", s->data_dir);
	if (free_space(s, &bytes, &is_read_only))
		printf(",\"free\":%llu,\"read_only\":%s", (unsigned long long)bytes, is_read_only ? "true" : "false");
	printf(",\"errors\":%llu", (unsigned long long)damage(s));
	network_text(s, text, sizeof(text));
	printf("}");
	json_pair("network", text);
	clock_text(clock);
	json_pair("clock", clock);
	clock_state(state);
	json_pair("clock_state", state);
	printf(",\"clock_floor\":%s", s->is_clock_floor ? "true" : "false");
	json_pair("power", s->power == STATUS_POWER_ON ? "on" : s->power == STATUS_POWER_OFF ? "poweroff" : "reboot");
	json_pair("units_error", s->units_error);
	if (client_release()) {
		printf(",\"release\":{\"image\":");
		json_text(client_release()->image);
		json_pair("digest", client_release()->digest);
		client_update_json(s, client_release());
		printf("}");
	}
}

static bool is_shown(const struct client_args *a, const struct status_unit *u)
{
	return u->name[0] && (!a->name || !strcmp(a->name, u->name));
}

int client_show_status(const struct client_args *a)
{
	const struct status *s = client_status(a);
	unsigned shown = 0;
	int width = 10;

	if (!s)
		return 1;
	for (uint32_t i = 0; i < s->count; i++) {
		if ((int)strlen(s->unit[i].name) > width)
			width = (int)strlen(s->unit[i].name);
		shown += is_shown(a, &s->unit[i]);
	}
	if (a->name && !shown) {
		fprintf(stderr, "coracle: no unit '%s'; `coracle status` lists them\n", a->name);
		return 1;
	}
	if (a->is_json) {
		json_board(s);
		printf(",\"units\":[");
	} else if (!a->name) {
		show_board(s);
		if (shown)
			printf("\n");
	}
	if (!a->is_json && shown && !a->name)
		printf("%-*s  %-9s  %-8s  %-8s  %-13s  %s\n", width, "UNIT", "STATE", "FOR", "RESTARTS", "MEMORY",
			"IMAGE");
	shown = 0;
	for (uint32_t i = 0; i < s->count; i++) {
		if (!is_shown(a, &s->unit[i]))
			continue;
		if (a->is_json) {
			printf("%s", shown++ ? "," : "");
			json_unit(s, &s->unit[i]);
		} else if (a->name) {
			char reason[UNIT_TEXT_MAX + 32];

			unit_reason(&s->unit[i], reason, sizeof(reason));
			client_show_unit(&s->unit[i], reason);
			client_update_lines(s, &s->unit[i], 8, true);
		} else {
			show_unit(s, &s->unit[i], width);
		}
	}
	if (a->is_json)
		printf("]}\n");
	return 0;
}
