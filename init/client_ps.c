/* SPDX-License-Identifier: MIT */
/* `coracle ps`: the processes of all units, from their cgroups; where there is no cgroup v2, the program's own process alone. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "text.h"

/* A value of /proc/PID/status ("VmRSS:"), or "-". */
static void proc_value(const char *status, const char *key, char *out, size_t size)
{
	const char *at = strstr(status, key);
	size_t n;

	text_copy(out, size, "-");
	if (!at)
		return;
	at += strlen(key);
	at += strspn(at, " \t");
	n = strcspn(at, "\n");
	if (n < size) {
		memcpy(out, at, n);
		out[n] = '\0';
	}
}

static void show(const struct client_args *a, const char *unit, uint64_t pid, unsigned *count)
{
	char path[64], status[4096], cmd[256], uid[64], rss[32], state[32];
	long n;

	snprintf(path, sizeof(path), "/proc/%llu/status", (unsigned long long)pid);
	if (text_file(path, status, sizeof(status)) < 0)
		return;
	snprintf(path, sizeof(path), "/proc/%llu/cmdline", (unsigned long long)pid);
	n = text_file(path, cmd, sizeof(cmd));
	if (n == -EFBIG)
		n = sizeof(cmd) - 1;
	for (long i = 0; i + 1 < n; i++)
		if (!cmd[i])
			cmd[i] = ' ';
	if (n <= 0)
		proc_value(status, "Name:", cmd, sizeof(cmd));
	text_printable(cmd, sizeof(cmd), cmd);
	proc_value(status, "\nUid:", uid, sizeof(uid));
	uid[strcspn(uid, "\t ")] = '\0';
	proc_value(status, "\nVmRSS:", rss, sizeof(rss));
	proc_value(status, "\nState:", state, sizeof(state));
	state[1] = '\0';
	if (a->is_json) {
		printf("%s{\"unit\":", (*count)++ ? "," : "");
		json_text(unit);
		printf(",\"pid\":%llu,\"uid\":%s,\"state\":", (unsigned long long)pid, uid[0] == '-' ? "null" : uid);
		json_text(state);
		printf(",\"command\":");
		json_text(cmd);
		printf("}");
	} else {
		printf("%-16s %7llu %6s %5s %10s  %s\n", unit, (unsigned long long)pid, uid, state, rss, cmd);
	}
}

int client_show_ps(const struct client_args *a)
{
	const struct status *s = client_status(a);
	static char pids[8192];
	unsigned count = 0;

	if (!s)
		return 1;
	if (a->is_json)
		printf("[");
	else
		printf("%-16s %7s %6s %5s %10s  %s\n", "UNIT", "PID", "UID", "STATE", "RSS", "COMMAND");
	for (uint32_t i = 0; i < s->count; i++) {
		const struct status_unit *u = &s->unit[i];
		char path[STATUS_CGROUP_MAX + 16], *save = NULL, *line;
		uint64_t pid;
		long n = -1;

		if (u->cgroup[0]) {
			snprintf(path, sizeof(path), "%s/cgroup.procs", u->cgroup);
			n = text_file(path, pids, sizeof(pids));
		}
		if (n <= 0) {
			if (u->pid > 0)
				show(a, u->name, (uint64_t)u->pid, &count);
			continue;
		}
		for (line = strtok_r(pids, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
			if (text_u64(line, INT32_MAX, &pid) && pid > 0)
				show(a, u->name, pid, &count);
	}
	if (a->is_json)
		printf("]\n");
	return 0;
}
