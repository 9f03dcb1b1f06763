/* SPDX-License-Identifier: MIT */
/*
 * `coracle-bundle units`: with --table-fd the job of docs/seams.md, without it a check of folders for whoever writes units;
 * --keys prints what becomes of every key, as docs/unit-keys.md holds it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "device_id.h"
#include "kernel_lacks.h"
#include "file.h"
#include "job.h"
#include "net_plan.h"
#include "provision.h"
#include "quadlet.h"
#include "unit_keys.h"
#include "units.h"

enum { BOARD_MAX = 8192 + 1 };	/* what PID 1 reads of it too */
enum { DIRS_MAX = 16 };

struct options {
	int table_fd, result_fd;
	const char *store, *board, *release;	/* release: instead of the one that state/slots names; NULL */
	bool is_keys, is_plan;		/* --plan: the networks' plan on stdout */
	bool is_provisioned;
	const char *dirs[DIRS_MAX];
	size_t count;
};

static int usage(void)
{
	fprintf(stderr, "usage: coracle-bundle units [--plan] [--store DIR] [--board BOARD.CONF] DIR...\n       coracle-bundle units --keys\n");
	return 2;
}

static int parse(struct options *o, int argc, char **argv)
{
	int i = 1;

	*o = (struct options){ .table_fd = -1, .result_fd = -1 };
	for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
		uint64_t n = 0;

		if (strcmp(argv[i], "--keys") == 0 || strcmp(argv[i], "--plan") == 0) {
			*(argv[i][2] == 'k' ? &o->is_keys : &o->is_plan) = true;
			continue;
		}
		if (strcmp(argv[i], "--provision") == 0) {
			o->is_provisioned = true;
			continue;
		}
		if (i + 1 == argc)
			return -EINVAL;
		if (strcmp(argv[i], "--store") == 0)
			o->store = argv[++i];
		else if (strcmp(argv[i], "--release") == 0)
			o->release = argv[++i];
		else if (strcmp(argv[i], "--board") == 0)
			o->board = argv[++i];
		else if (strcmp(argv[i], "--table-fd") == 0 && quadlet_u64(argv[i + 1], 1023, &n))
			o->table_fd = (int)n, i++;
		else if (strcmp(argv[i], "--result-fd") == 0 && quadlet_u64(argv[i + 1], 1023, &n))
			o->result_fd = (int)n, i++;
		else
			return -EINVAL;
	}
	for (; i < argc; i++) {
		if (o->count == DIRS_MAX - 1)
			return -EINVAL;
		o->dirs[o->count++] = argv[i];
	}
	return (o->is_keys || o->count > 0) && (!o->is_provisioned || o->store) ? 0 : -EINVAL;
}

static int print_keys(void)
{
	static const char *const words[] = { "honoured", "accepted without effect", "refused" };
	const char *section = "";

	for (size_t i = 0; unit_keys_at(i); i++) {
		const struct unit_key *k = unit_keys_at(i);

		if (strcmp(section, k->section) != 0)
			printf("%s## [%s]\n\n| key | what becomes of it | |\n|---|---|---|\n", i ? "\n" : "", k->section);
		section = k->section;
		printf("| %s= | %s | %s |\n", k->name, words[k->kind], k->text);
	}
	return fflush(stdout) == 0 ? 0 : 1;
}

static void say(void *arg, const char *text)
{
	fprintf(stderr, "coracle-bundle: %s\n", text);
}

static int print_units(const struct unit_table *t)
{
	int bad = t->error[0] != '\0';

	for (uint32_t i = 0; i < t->count; i++) {
		const struct unit_entry *u = &t->unit[i];

		if (u->error[0])
			printf("%-20s refused   %s\n", u->name, u->error);
		else
			printf("%-20s ok        %s%s%s%s\n", u->name, u->image, u->current[0] ? " " : "", u->current,
				u->is_enabled ? "" : "  (not enabled)");
		bad |= u->error[0] != '\0';
	}
	if (t->error[0])
		printf("%s\n", t->error);
	return fflush(stdout) == 0 && !bad ? 0 : 1;
}

/* Where coracle-net finds it. No unit in a network: none is there. */
static int hand_over_plan(const char *plan, size_t len, struct err *e)
{
	int r, dir;

	if (!plan) {
		unlink(NET_PLAN);
		return 0;
	}
	if ((mkdir("/run/coracle", 0755) < 0 && errno != EEXIST) || (mkdir(NET_RUN, 0755) < 0 && errno != EEXIST))
		return err_sys(e, errno, NET_RUN);
	dir = open(NET_RUN, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, errno, NET_RUN);
	r = file_replace(dir, "plan", span_of(plan, len), 0644, e);
	close(dir);
	return r;
}

/* Of a board: takes what its provisioning partition has, first. CONF: the lines of board.conf that are this device's own. */
static void provision(struct options *o, struct provision *p, char conf[JOB_TEXT_MAX])
{
	static char own[PATH_MAX];
	struct stat st;

	p->data = open(o->store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->data < 0)
		return;
	provision_board(p, o->store);
	provision_conf(p->data, conf);
	/* PID 1 named it only where it was there before. */
	snprintf(own, sizeof(own), "%s/config/units", o->store);
	if (strcmp(o->dirs[o->count - 1], own) != 0 && stat(own, &st) == 0)
		o->dirs[o->count++] = own;
	close(p->data);
}

/* MISSING: the release that PID 1 asked for is not there whole, and the table without it would end its units. */
static int send_table(const struct options *o, const struct unit_table *t, const char *conf, int missing)
{
	struct job_result r = { .code = JOB_DONE };
	int e = missing < 0 ? missing : file_write_all(o->table_fd, t, sizeof(*t));

	if (missing < 0) {
		r.code = JOB_RETRY;
		snprintf(r.text, sizeof(r.text), "%s", t->error);
	} else if (e < 0) {
		r.code = JOB_RETRY;
		snprintf(r.text, sizeof(r.text), "units: the table cannot be handed over: %s", strerror(-e));
	} else {
		snprintf(r.text, sizeof(r.text), "%s", conf);
	}
	job_send(o->result_fd, &r);
	return e < 0 ? 1 : 0;
}

static void judge(struct unit_table *t, const char *path)
{
	char text[BOARD_MAX] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || file_read_full(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	if (fd >= 0)
		close(fd);
	units_judge_host(t, text);
}

int cmd_units(int argc, char **argv)
{
	struct unit_notices notices = { .say = say };
	struct unit_table *t;
	struct store *store = NULL;
	struct provision p = { .data = -1 };
	char conf[JOB_TEXT_MAX] = "";
	struct err e = { "" };
	struct options o;
	char *plan = NULL;
	size_t plan_len = 0;
	int r, missing;

	if (parse(&o, argc, argv) < 0)
		return usage();
	if (o.is_keys)
		return print_keys();
	t = malloc(sizeof(*t));
	if (!t)
		return 1;
	/* Units are shown and refused ones named even where the store is damaged or not there: then nothing is `current`. */
	if (o.store && store_open(&store, o.store, STORE_READ, &e) < 0) {
		fprintf(stderr, "coracle-bundle: %s\n", e.text);
		store = NULL;
	}
	if (o.is_provisioned)
		provision(&o, &p, conf);
	if (o.table_fd >= 0) {
		device_id_publish(o.store);
		if (o.store)	/* on a board that is after its modules, of which overlay may be one */
			kernel_lacks_say(o.store);
	}
	missing = units_compile(t, o.dirs, o.count, store, o.store, o.release, &notices, &plan, &plan_len);
	if (o.board)
		judge(t, o.board);
	if (p.error.text[0]) {
		snprintf(t->error, sizeof(t->error), "%.300s%s", p.error.text, p.errors > 1 ? "; more in `log`" : "");
		unit_table_seal(t);
	}
	store_close(store);
	if (o.is_plan)
		return fwrite(plan ? plan : "", 1, plan_len, stdout) == plan_len && fflush(stdout) == 0 ? 0 : 1;
	if (o.table_fd >= 0 && missing >= 0 && hand_over_plan(plan, plan_len, &e) < 0)
		fprintf(stderr, "coracle-bundle: %s\n", e.text);
	r = o.table_fd >= 0 ? send_table(&o, t, conf, missing) : print_units(t);
	free(t);
	return r;
}
