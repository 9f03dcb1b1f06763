/* SPDX-License-Identifier: MIT */
/*
 * `coracle ps`: the processes of all units, from their cgroups; where there is no cgroup v2, the program's own process alone. A command line lies
 * in the process's own memory, which the kernel reads only while the process does not change its mappings: one that forks without end
 * makes its reader wait for seconds. So a child reads them, and is waited for no longer than COMMANDS_MS a unit, but for --json; then another goes on
 * with the next unit.
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

enum { COMMANDS_MS = 50, COMMAND_MAX = 256, SHOWN = 10, PIDS_SIZE = 8192 };

/* Whoever reads command lines: takes pids, answers each with COMMAND_MAX bytes, in order. */
static struct reader {
	pid_t pid;		/* 0: none */
	int ask, answer, left_ms;	/* left to wait for it; -1: for ever */
} reader;

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

static _Noreturn void reader_run(int ask, int answer)
{
	char cmd[COMMAND_MAX];
	uint64_t pid;

	while (read(ask, &pid, sizeof(pid)) == sizeof(pid)) {
		command_read(pid, cmd);
		if (write(answer, cmd, sizeof(cmd)) != sizeof(cmd))
			break;
	}
	_exit(0);
}

/* One for all units; another after one that was given up. */
static bool reader_start(void)
{
	int ask[2], answer[2];

	if (reader.pid > 0)
		return true;
	if (pipe(ask) < 0 || pipe(answer) < 0)
		return false;
	fflush(stdout);
	reader.pid = fork();
	if (reader.pid == 0) {
		close(ask[1]);
		reader_run(ask[0], answer[1]);
	}
	close(ask[0]);
	close(answer[1]);
	reader.ask = ask[1];
	reader.answer = answer[0];
	if (reader.pid > 0)
		return true;
	close(reader.ask);
	close(reader.answer);
	return false;
}

static void reader_end(void)
{
	if (reader.pid <= 0)
		return;
	close(reader.ask);
	close(reader.answer);
	kill(reader.pid, SIGKILL);
	waitpid(reader.pid, NULL, 0);
	reader.pid = 0;
}

/* The next command line that was asked for; where there is none, or it takes too long, the name in brackets, as elsewhere. */
static void command_of(const char *status, char cmd[COMMAND_MAX])
{
	uint64_t begin_ms = text_now_ms(), took;
	struct pollfd p = { .fd = reader.answer, .events = POLLIN };
	char name[32];

	cmd[0] = '\0';
	if (reader.pid > 0) {
		if (poll(&p, 1, reader.left_ms) <= 0 || read(reader.answer, cmd, COMMAND_MAX) != COMMAND_MAX)
			reader_end();
		took = text_now_ms() - begin_ms;
		if (reader.left_ms > 0)
			reader.left_ms = took < (uint64_t)reader.left_ms ? reader.left_ms - (int)took : 0;
	}
	if (!cmd[0]) {
		proc_value(status, "Name:", name, sizeof(name));
		snprintf(cmd, COMMAND_MAX, "[%s]", name);
	}
	text_printable(cmd, COMMAND_MAX, cmd);
}

static void show(const struct client_args *a, const char *unit, uint64_t pid, unsigned *count)
{
	char path[64], status[4096], cmd[COMMAND_MAX], uid[64], rss[32], state[32];

	snprintf(path, sizeof(path), "/proc/%llu/status", (unsigned long long)pid);
	if (text_file(path, status, sizeof(status)) < 0)
		status[0] = '\0';
	command_of(status, cmd);
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
	uint64_t most = a->is_json ? UINT64_MAX : a->lines ? a->lines : SHOWN;
	static uint64_t pid[PIDS_SIZE / 2];
	unsigned seen = 0, shown;
	char *save = NULL;

	for (char *line = strtok_r(pids, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (text_u64(line, INT32_MAX, &pid[seen]))
			seen++;
	shown = seen < most ? seen : (unsigned)most;
	reader.left_ms = a->is_json ? -1 : COMMANDS_MS;
	if (reader_start() && write(reader.ask, pid, shown * sizeof(pid[0])) < 0)
		reader_end();
	for (unsigned i = 0; i < shown; i++)
		show(a, unit, pid[i], count);
	if (seen > shown)
		printf("%-16s and %u more: ps -n N\n", unit, seen - shown);
}

int client_show_ps(const struct client_args *a)
{
	const struct status *s = client_status(a);
	static char pids[PIDS_SIZE];
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
	reader_end();
	if (a->is_json)
		printf("]\n");
	return 0;
}
