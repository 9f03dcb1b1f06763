/* SPDX-License-Identifier: MIT */
/*
 * A scripted coracle-bundle and coracle-fetch, to provoke in PID 1 what the
 * real ones do only when a disk or a registry fails. Beside the program lies
 * script/: `table` and `table.store` are unit tables to hand out, `record.NAME` the record
 * of a unit, `VERB` or `VERB.NAME` what to do: one line a run, the last one for ever:
 *
 *   done | retry TEXT | refused TEXT | damaged TEXT     the final message; full TEXT: retry, for want of room
 *   hang | crash | silent | garbage | lie | shout       no job should
 *   slow MS                                             done, after that many milliseconds, with progress
 *
 * No such file: done. Every run adds a line to script/log. As the client it is the real one: client/coracle-bundle beside it.
 */
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "job.h"

static char dir[PATH_MAX];
static int result_fd = -1, out_fd = -1;
static const char *verb, *name = "", *ref = "", *digest = "";
static int has_store, is_full;

static void send_result(uint32_t code, const char *text)
{
	struct job_result r = { .magic = JOB_MAGIC, .code = code, .wants_room = (uint32_t)is_full };

	snprintf(r.text, sizeof(r.text), "%s", text);
	if (code == JOB_DONE && (!strcmp(verb, "pull") || !strcmp(verb, "check")))
		snprintf(r.digest, sizeof(r.digest), "sha256:%064x", 0xabc);
	if (code == JOB_DONE)
		snprintf(r.signer, sizeof(r.signer), "/etc/coracle/keys/test.pub");
	if (code == JOB_DONE && !strcmp(verb, "prepare"))
		snprintf(r.version, sizeof(r.version), "1.2.3");
	if (write(result_fd, &r, sizeof(r)) != sizeof(r))
		exit(9);
}

static void copy_out(const char *file)
{
	char path[PATH_MAX], buf[65536];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%.2000s/script/%.200s", dir, file);
	fd = open(path, O_RDONLY);
	while (fd >= 0 && (n = read(fd, buf, sizeof(buf))) > 0)
		if (write(out_fd, buf, (size_t)n) != n)
			exit(9);
	if (fd < 0)
		exit(8);
}

/* Line number RUN of the file, or its last; false where there is none. */
static int script_line(const char *file, long run, char *out, size_t size)
{
	char path[PATH_MAX];
	FILE *f;
	int found = 0;

	snprintf(path, sizeof(path), "%.2000s/script/%.200s", dir, file);
	f = fopen(path, "r");
	while (f && run-- >= 0 && fgets(out, (int)size, f))
		found = 1;
	if (f)
		fclose(f);
	out[strcspn(out, "\n")] = '\0';
	return found;
}

/* How often this verb ran for this unit before, by what the log says; adds this run. */
static long count_run(const char *what)
{
	char path[PATH_MAX], line[256];
	long runs = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%.2000s/script/log", dir);
	f = fopen(path, "a+");
	if (!f)
		exit(7);
	rewind(f);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		runs += !strcmp(line, what);
	}
	fprintf(f, "%s\n", what);
	fclose(f);
	return runs;
}

static void give(void)
{
	char file[128];

	if (!strcmp(verb, "units")) {
		snprintf(file, sizeof(file), "%s/script/table.store", dir);
		copy_out(has_store && access(file, R_OK) == 0 ? "table.store" : "table");
	} else if (!strcmp(verb, "prepare")) {
		snprintf(file, sizeof(file), "record.%s", name);
		copy_out(file);
	}
}

static int act(char *line)
{
	char *text = strchr(line, ' ');

	text = text ? (*text = '\0', text + 1) : "";
	if (!strcmp(line, "done")) {
		give();
		send_result(JOB_DONE, "done");
		return 0;
	}
	if (!strcmp(line, "slow")) {
		for (long left = atol(text), all = left; left > 0; left -= 50) {
			job_progress(result_fd, "layer 1 of 1", (uint64_t)(all - left), (uint64_t)all);
			usleep(50000);
		}
		give();
		send_result(JOB_DONE, "done");
		return 0;
	}
	if (!strcmp(line, "full")) {
		is_full = 1;
		send_result(JOB_RETRY, text);
		return 1;
	}
	if (!strcmp(line, "retry") || !strcmp(line, "refused") || !strcmp(line, "damaged")) {
		send_result(line[0] == 'd' ? JOB_DAMAGED : line[2] == 't' ? JOB_RETRY : JOB_REFUSED, text);
		return 1;
	}
	if (!strcmp(line, "hang")) {
		signal(SIGTERM, SIG_IGN);
		if (fork() == 0)
			pause();	/* and something left behind */
		for (;;)
			pause();
	}
	if (!strcmp(line, "crash"))
		raise(SIGSEGV);
	if (!strcmp(line, "garbage") && write(result_fd, "garbage", 7) != 7)
		return 9;
	if (!strcmp(line, "lie")) {
		send_result(JOB_DONE, "all well");
		return 1;
	}
	if (!strcmp(line, "shout"))
		for (int i = 0; i < 20000; i++)
			fprintf(stderr, "shout %d \033[31m%s\n", i, "................................................");
	return 1;
}

int main(int argc, char **argv)
{
	char file[128], line[512] = "done", what[128], *colon;
	int refuses_secrets = 0;

	if (readlink("/proc/self/exe", dir, sizeof(dir) - 1) < 0 || argc < 2)
		return 2;
	dirname(dir);
	if (!strcmp(argv[1], "client")) {
		static char client[PATH_MAX + 32];

		snprintf(client, sizeof(client), "%s/client/coracle-bundle", dir);
		execv(client, argv);
		return 127;
	}
	verb = argv[1];
	for (int i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "--result-fd"))
			result_fd = atoi(argv[++i]);
		else if (!strcmp(argv[i], "--table-fd") || !strcmp(argv[i], "--record-fd"))
			out_fd = atoi(argv[++i]);
		else if (!strcmp(argv[i], "--name"))
			name = argv[++i];
		else if (!strcmp(argv[i], "--store"))
			has_store = 1, i++;
		else if (!strcmp(argv[i], "--refuse-secrets"))
			refuses_secrets = 1;
		else if (argv[i][0] == '-')
			i++;
		else
			ref = argv[i];
	}
	if (!strcmp(verb, "ls"))
		return puts("ls") < 0;
	if (!strcmp(verb, "pull")) {	/* docker://registry/NAME:1 */
		name = strrchr(ref, '/') + 1;
		colon = strrchr(ref, ':');
		if (colon > name)
			*colon = '\0';
	}
	snprintf(what, sizeof(what), "%s%s%s%s", verb, refuses_secrets ? "-refusing-secrets" : "", *name ? "." : "", name);
	snprintf(file, sizeof(file), "%s", what);
	script_line(file, count_run(what), line, sizeof(line));
	return act(line);
}
