/* SPDX-License-Identifier: MIT */
/*
 * `coracle ps`: the processes of all units, from their cgroups; where there is no cgroup v2, the program's own process alone. A command line lies
 * in the process's own memory, which the kernel reads only while the process does not change its mappings: one that forks without end
 * makes its reader wait for seconds. So a child reads those of a unit, and is waited for no longer than COMMANDS_MS, but for --json.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "text.h"

enum { COMMANDS_MS = 100, COMMAND_MAX = 256, SHOWN = 10 };

/* Whoever reads the command lines of one unit's processes: a record of COMMAND_MAX bytes each, in order. */
struct reader {
	pid_t pid;
	int fd, left_ms;	/* to wait for it; -1: for ever */
};

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

static void command_read(uint64_t pid, char cmd[COMMAND_MAX])
{
	char path[64];
	long n;

	snprintf(path, sizeof(path), "/proc/%llu/cmdline", (unsigned long long)pid);
	n = text_file(path, cmd, COMMAND_MAX);
	if (n == -EFBIG)
		n = COMMAND_MAX - 1;
	for (long i = 0; i + 1 < n; i++)
		if (!cmd[i])
			cmd[i] = ' ';
}

/* Its child goes through PIDS by itself, ahead of us. */
static struct reader reader_start(char *pids, int most_ms)
{
	struct reader r = { .pid = -1, .fd = -1, .left_ms = most_ms };
	char cmd[COMMAND_MAX] = "", *save = NULL;
	int ends[2];
	uint64_t pid;

	fflush(stdout);
	if (pipe(ends) < 0)
		return r;
	r.pid = fork();
	if (r.pid == 0) {
		for (char *line = strtok_r(pids, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
			if (text_u64(line, INT32_MAX, &pid))
				command_read(pid, cmd);
			if (write(ends[1], cmd, sizeof(cmd)) != sizeof(cmd))
				break;
		}
		_exit(0);
	}
	r.fd = ends[0];
	close(ends[1]);
	return r;
}

static void reader_end(struct reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	if (r->pid > 0) {
		kill(r->pid, SIGKILL);
		waitpid(r->pid, NULL, 0);
	}
	r->fd = -1;
	r->pid = -1;
}

/* The next command line; where there is none, or it takes too long, the name in brackets, as elsewhere. */
static void command_of(struct reader *r, const char *status, char cmd[COMMAND_MAX])
{
	uint64_t end_ms = text_now_ms() + (uint64_t)r->left_ms;
	struct pollfd p = { .fd = r->fd, .events = POLLIN };
	char name[32];

	cmd[0] = '\0';
	if (r->fd >= 0) {
		if (poll(&p, 1, r->left_ms) <= 0 || read(r->fd, cmd, COMMAND_MAX) != COMMAND_MAX)
			reader_end(r);
		if (r->left_ms > 0)
			r->left_ms = text_now_ms() < end_ms ? (int)(end_ms - text_now_ms()) : 0;
	}
	if (!cmd[0]) {
		proc_value(status, "Name:", name, sizeof(name));
		snprintf(cmd, COMMAND_MAX, "[%s]", name);
	}
	text_printable(cmd, COMMAND_MAX, cmd);
}

static void show(const struct client_args *a, struct reader *r, const char *unit, uint64_t pid, unsigned *count)
{
	char path[64], status[4096], cmd[COMMAND_MAX], uid[64], rss[32], state[32];

	snprintf(path, sizeof(path), "/proc/%llu/status", (unsigned long long)pid);
	if (text_file(path, status, sizeof(status)) < 0)
		status[0] = '\0';
	command_of(r, status, cmd);
	if (!status[0])
		return;
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

/* The processes of PIDS, a line each, which is used up; no more than MOST of them. */
static void show_unit(const struct client_args *a, const char *unit, char *pids, unsigned *count)
{
	uint64_t most = a->is_json ? UINT64_MAX : a->lines ? a->lines : SHOWN, seen = 0, pid;
	struct reader r = reader_start(pids, a->is_json ? -1 : COMMANDS_MS);
	char *save = NULL;

	for (char *line = strtok_r(pids, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (seen++ < most && text_u64(line, INT32_MAX, &pid))
			show(a, &r, unit, pid, count);
	reader_end(&r);
	if (seen > most)
		printf("%-16s and %llu more: ps -n N\n", unit, (unsigned long long)(seen - most));
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
		char path[STATUS_CGROUP_MAX + 16];
		long n = -1;

		if (u->cgroup[0]) {
			snprintf(path, sizeof(path), "%s/cgroup.procs", u->cgroup);
			n = text_file(path, pids, sizeof(pids));
		}
		if (n == -EFBIG)
			*strrchr(pids, '\n') = '\0';
		else if (n <= 0)
			snprintf(pids, sizeof(pids), "%d", u->pid);
		if (n > 0 || n == -EFBIG || u->pid > 0)
			show_unit(a, u->name, pids, &count);
	}
	if (a->is_json)
		printf("]\n");
	return 0;
}
