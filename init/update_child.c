/* SPDX-License-Identifier: MIT */
/* The command lines of an update's jobs (docs/seams.md), put together in the forked child. Reads PID 1's memory, changes nothing. */
#include "update_child.h"

#include <stdio.h>
#include <string.h>

#include "job_child.h"
#include "pid1.h"

/* The reference that the update is of: an archive, or the unit's own. */
static const char *reference(struct job_args *a, const struct unit *u)
{
	return u->update.source[0] ? u->update.source : job_ref(a, u);
}

static int run_check(const struct pid1 *p, const struct unit *u)
{
	struct job_args a = { .len = 1 };

	/* A release on trial: would the board still be let in to it, under what it brought? */
	bool is_dry = u->update.state == UPDATE_CONFIRMING;

	job_add(&a, is_dry ? "pull" : "check");
	if (is_dry)
		job_add(&a, "--dry");
	job_add_common(&a, p);
	job_add_trust(&a, p);
	job_add(&a, reference(&a, u));
	return job_exec(&a, p, "coracle-fetch");
}

static int run_fetch(const struct pid1 *p, const struct unit *u)
{
	struct job_args a = { .len = 1 };
	bool is_release = u->entry.name[0] == UNIT_RELEASE_NAME[0];

	if (is_release)
		job_add(&a, "release");
	job_add(&a, "pull");
	job_add_common(&a, p);
	job_add_trust(&a, p);
	if (u->entry.current[0]) {
		job_add(&a, "--known");
		job_add(&a, u->entry.current);
	}
	for (int i = 0; i < UNIT_REFUSED_MAX && u->entry.slot.refused[i][0]; i++) {
		job_add(&a, "--known");
		job_add(&a, u->entry.slot.refused[i]);
	}
	if (u->entry.slot.floor[0]) {
		job_add(&a, "--floor");
		job_add(&a, u->entry.slot.floor);
	}
	if (!u->update.is_forced)
		job_add(&a, "--staged");
	if (u->update.source[0]) {
		job_add(&a, "--as");
		job_add(&a, u->entry.image);
	}
	job_add(&a, reference(&a, u));
	return job_exec(&a, p, is_release ? "coracle-bundle" : "coracle-fetch");
}

static const char *step_of(const struct unit *u, enum job_kind kind)
{
	if (kind == JOB_NOTE)
		return "note";
	switch (u->update.op) {
	case UPDATE_DO_STAGE:
		return "stage";
	case UPDATE_DO_COUNT:
		return u->entry.slot.tries ? "try" : "switch";
	case UPDATE_DO_COMMIT:
		return "commit";
	case UPDATE_DO_REFUSE:
		return "refuse";
	default:
		return "rollback";
	}
}

static int run_slot(const struct pid1 *p, const struct unit *u, enum job_kind kind)
{
	struct job_args a = { .len = 1 };

	job_add(&a, "slot");
	job_add(&a, step_of(u, kind));
	job_add_common(&a, p);
	job_add(&a, "--name");
	job_add(&a, u->entry.name);
	job_add(&a, "--unit");
	job_add(&a, u->entry.path);
	job_add(&a, "--ref");
	job_add(&a, u->entry.image);
	job_add(&a, "--count");
	snprintf(a.number[0], sizeof(a.number[0]), "%u", u->entry.slot.tries + 1);
	job_add(&a, a.number[0]);
	job_add(&a, "--verdict");
	job_add(&a, u->update.op == UPDATE_DO_GIVE_UP ? "no" : "yes");
	job_add(&a, "--took");
	snprintf(a.number[1], sizeof(a.number[1]), "%llu", (unsigned long long)(p->now_ms - u->update.begin_ms));
	job_add(&a, a.number[1]);
	job_add(&a, "--text");
	job_add(&a, u->update.why);
	job_add(&a, u->update.digest[0] ? u->update.digest : "-");
	return job_exec(&a, p, "coracle-bundle");
}

int update_child(const struct pid1 *p, enum job_kind kind, int unit)
{
	struct job_args a = { .len = 1 };

	if (kind == JOB_CHECK)
		return run_check(p, &p->units[unit]);
	if (kind == JOB_FETCH)
		return run_fetch(p, &p->units[unit]);
	if (kind == JOB_SLOT || kind == JOB_NOTE)
		return run_slot(p, &p->units[unit], kind);
	if (kind != JOB_GC)
		return 1;
	job_add(&a, "gc");
	job_add_common(&a, p);
	return job_exec(&a, p, "coracle-bundle");
}
