/* SPDX-License-Identifier: MIT */
/*
 * peaks FILE SKIP PROGRAM ...: runs it and writes a line "KIB PID NAME FIRST-ARGUMENT" to FILE for each process of it and its descendants. Each is traced
 * until its end and looked at there (VmHWM, since its exec), so none is too short to be seen; of one that is killed, which does not stop there, it is the
 * larger ru_maxrss, with what it had before its exec. The first line, "KIB 0 together": the largest sum of VmHWM of processes that lived at one time,
 * looked at whenever one ends. Processes named in SKIP ("a b") are left out. Ends as PROGRAM does.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES_MAX = 4096, OPTIONS = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT };

static struct process {
	pid_t pid;	/* of the thread group */
	long kib;
	int is_over, is_left_out;
	char name[64];
} table[PROCESSES_MAX];
static int count;
static const char *skip;
static long together;

static long number_in(pid_t pid, const char *key)
{
	char path[40], line[200];
	long n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			n = atol(line + strlen(key));
	if (f)
		fclose(f);
	return n;
}

static struct process *find(pid_t pid, int is_new)
{
	for (int i = count; i-- > 0;)
		if (table[i].pid == pid)
			return &table[i];
	if (!is_new || count == PROCESSES_MAX)
		return NULL;
	table[count].pid = pid;
	return &table[count++];
}

/* Its program's name and first argument. */
static void name(struct process *p)
{
	char path[40], text[200] = "";
	const char *end, *slash;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", p->pid);
	f = fopen(path, "r");
	n = f ? fread(text, 1, sizeof(text) - 2, f) : 0;
	if (f)
		fclose(f);
	if (n == 0)
		return;
	end = text + strlen(text) + 1;
	slash = strrchr(text, '/');
	snprintf(p->name, sizeof(p->name), "%.20s %.40s", slash ? slash + 1 : text, end < text + n ? end : "");
	snprintf(path, sizeof(path), " %.20s ", slash ? slash + 1 : text);
	p->is_left_out = strstr(skip, path) != NULL;
}

/* At an event of the thread TID. */
static void look(pid_t tid, int event)
{
	pid_t pid = (pid_t)number_in(tid, "Tgid:");
	struct process *p = pid > 0 ? find(pid, 1) : NULL;
	long kib;

	if (!p)
		return;
	if (!p->name[0] || event == PTRACE_EVENT_EXEC)
		name(p);
	if (event != PTRACE_EVENT_EXIT)
		return;
	kib = number_in(pid, "VmHWM:");
	if (kib > p->kib)
		p->kib = kib;
	kib = 0;
	for (int i = 0; i < count; i++)
		if (!table[i].is_over && !table[i].is_left_out)
			kib += number_in(table[i].pid, "VmHWM:");
	if (kib > together)
		together = kib;
}

int main(int argc, char **argv)
{
	pid_t first = argc > 3 ? fork() : -1, pid;
	int status, result = 125;
	struct rusage usage;
	FILE *out;

	skip = argc > 3 ? argv[2] : "";
	if (first == 0) {
		raise(SIGSTOP);
		execvp(argv[3], argv + 3);
		_exit(127);
	}
	if (first < 0 || waitpid(first, &status, WUNTRACED) < 0 || ptrace(PTRACE_SEIZE, first, 0, OPTIONS) < 0 || kill(first, SIGCONT) < 0) {
		perror("peaks");
		return 125;
	}
	while ((pid = wait4(-1, &status, __WALL, &usage)) > 0) {
		if (!WIFSTOPPED(status)) {
			struct process *p = find(pid, 0);

			if (p) {
				p->is_over = 1;
				if (!p->kib)
					p->kib = usage.ru_maxrss;
			}
			if (pid == first)
				result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		} else if (status >> 16 == PTRACE_EVENT_STOP) {
			int signal = WSTOPSIG(status);

			look(pid, 0);
			/* A group's stop stays one until SIGCONT; a new thread's first stop does not. */
			ptrace(signal == SIGTRAP ? PTRACE_CONT : PTRACE_LISTEN, pid, 0, 0);
		} else if (status >> 16) {
			look(pid, status >> 16);
			ptrace(PTRACE_CONT, pid, 0, 0);
		} else {
			ptrace(PTRACE_CONT, pid, 0, WSTOPSIG(status));
		}
	}
	out = fopen(argv[1], "w");
	if (out)
		fprintf(out, "%ld 0 together\n", together);
	for (int i = 0; out && i < count; i++)
		if (!table[i].is_left_out)
			fprintf(out, "%ld %d %s\n", table[i].kib, table[i].pid, table[i].name);
	if (!out || fclose(out) != 0)
		return 125;
	return result;
}
