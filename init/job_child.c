/* SPDX-License-Identifier: MIT */
/*
 * What the forked child of a job does: exec coracle-fetch or coracle-bundle
 * with the arguments of docs/seams.md, or run one of the in-process jobs. It
 * may wait for a disk; PID 1 does not wait for it. Its memory is a copy of
 * PID 1's, from which it only reads.
 */
#include "job_child.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "boot.h"
#include "data_mount.h"
#include "netcfg.h"
#include "pid1.h"
#include "reexec.h"
#include "spawn.h"
#include "text.h"
#include "update_child.h"

int job_say(unsigned code, const char *text)
{
	struct job_result r = { .code = code };

	text_copy(r.text, sizeof(r.text), text);
	job_send(JOB_RESULT_FD, &r);
	return code == JOB_DONE ? 0 : 1;
}

void job_add(struct job_args *a, const char *s)
{
	if (a->len < JOB_ARGS_MAX - 1)
		a->v[a->len++] = (char *)s;
}

int job_exec(struct job_args *a, const struct pid1 *p, const char *program)
{
	snprintf(a->path, sizeof(a->path), "%s/%s", p->bin_dir, program);
	a->v[0] = (char *)program;
	a->v[a->len] = NULL;
	return spawn_exec(a->path, a->v);
}

static int run_units(const struct pid1 *p, bool has_store)
{
	struct job_args a = { .len = 1 };
	const struct unit *release = p->release && p->is_table_with_store ? &p->units[p->release - 1] : NULL;

	job_add(&a, "units");
	job_add(&a, "--table-fd");
	job_add(&a, "4");
	job_add(&a, "--result-fd");
	job_add(&a, "3");
	job_add(&a, "--board");
	snprintf(a.trust[0], sizeof(a.trust[0]), "%s/board.conf", p->etc_dir);
	job_add(&a, a.trust[0]);
	if (has_store) {
		job_add(&a, "--store");
		job_add(&a, p->status->data_dir);
		if (p->is_board && !p->conf.data_dir[0])
			job_add(&a, "--provision");
	}
	if (release) {
		job_add(&a, "--release");
		job_add(&a, release->entry.current);
	}
	job_add(&a, p->conf.units);
	if (has_store) {
		snprintf(a.data_units, sizeof(a.data_units), "%s/config/units", p->status->data_dir);
		if (access(a.data_units, R_OK) == 0)
			job_add(&a, a.data_units);
	}
	return job_exec(&a, p, "coracle-bundle");
}

/* What coracle-bundle does to the data partition as a whole. */
static int run_whole(const struct pid1 *p, enum job_kind kind)
{
	struct job_args a = { .len = 1 };

	job_add(&a, job_kind_name(kind));
	job_add(&a, "--result-fd");
	job_add(&a, "3");
	job_add(&a, p->status->data_dir);
	return job_exec(&a, p, "coracle-bundle");
}

/* Provisioned credentials come before those of the initramfs. */
static const char *authfile(struct job_args *a, const struct pid1 *p)
{
	snprintf(a->auth, sizeof(a->auth), "%s/config/auth.json", p->status->data_dir);
	if (access(a->auth, R_OK) == 0)
		return a->auth;
	snprintf(a->auth, sizeof(a->auth), "%s/auth.json", p->etc_dir);
	return access(a->auth, R_OK) == 0 ? a->auth : NULL;
}

void job_add_common(struct job_args *a, const struct pid1 *p)
{
	job_add(a, "--result-fd");
	job_add(a, "3");
	job_add(a, "--store");
	job_add(a, p->status->data_dir);
}

void job_add_trust(struct job_args *a, const struct pid1 *p)
{
	static const char *const files[TRUST_FILES][2] = {
		{ "--policy", "policy.json" }, { "--cert-dir", "certs.d" }, { "--registries-conf", "registries.conf" }, { "--proxy-conf", "proxy.conf" },
	};
	const char *auth = authfile(a, p);

	for (int i = 0; i < TRUST_FILES; i++) {
		snprintf(a->trust[i], sizeof(a->trust[i]), "%s/%s", p->etc_dir, files[i][1]);
		job_add(a, files[i][0]);
		job_add(a, a->trust[i]);
	}
	if (auth) {
		job_add(a, "--authfile");
		job_add(a, auth);
	}
	if (p->release && p->units[p->release - 1].entry.current[0]) {
		snprintf(a->release, sizeof(a->release), "%s/releases/%.32s", p->status->data_dir, p->units[p->release - 1].entry.current + 7);
		job_add(a, "--trust");
		job_add(a, a->release);
	}
	snprintf(a->own_certs, sizeof(a->own_certs), "%s/config/certs.d", p->status->data_dir);
	job_add(a, "--own-cert-dir");
	job_add(a, a->own_certs);
}

const char *job_ref(struct job_args *a, const struct unit *u)
{
	bool is_file = !strncmp(u->entry.image, "oci:/", 5) || !strncmp(u->entry.image, "oci-archive:/", 13);

	snprintf(a->ref, sizeof(a->ref), "%s%s", is_file ? "" : "docker://", u->entry.image);
	return a->ref;
}

static int run_pull(const struct pid1 *p, const struct unit *u)
{
	struct job_args a = { .len = 1 };

	job_add(&a, "pull");
	job_add_common(&a, p);
	job_add_trust(&a, p);
	snprintf(a.preload, sizeof(a.preload), "%s/preload/%s.tar", p->status->data_dir, u->entry.name);
	job_add(&a, "--preload");
	job_add(&a, a.preload);
	if (u->entry.refuses_secrets)
		job_add(&a, "--refuse-secrets");
	job_add(&a, job_ref(&a, u));
	return job_exec(&a, p, "coracle-fetch");
}

static int run_prepare(const struct pid1 *p, const struct unit *u)
{
	struct job_args a = { .len = 1 };

	job_add(&a, "prepare");
	job_add_common(&a, p);
	job_add(&a, "--record-fd");
	job_add(&a, "4");
	job_add(&a, "--name");
	job_add(&a, u->entry.name);
	job_add(&a, "--unit");
	job_add(&a, u->entry.path);
	job_add(&a, "--ref");
	job_add(&a, u->entry.image);
	job_add(&a, u->entry.current);
	return job_exec(&a, p, "coracle-bundle");
}

/* Names of units alone: what their networks are is in the plan that `coracle-bundle units` wrote. */
static int run_networks(const struct pid1 *p, int unit)
{
	struct job_args a = { .len = 1 };

	snprintf(a.data_units, sizeof(a.data_units), "%s/state", p->status->data_dir);
	job_add(&a, unit >= 0 ? "up" : "sync");
	job_add(&a, "--result-fd");
	job_add(&a, "3");
	job_add(&a, "--state");
	job_add(&a, a.data_units);
	if (unit >= 0)
		job_add(&a, p->units[unit].entry.name);
	for (unsigned i = 0; i < p->units_len; i++)
		if (p->units[i].has_network && (int)i != unit)
			job_add(&a, p->units[i].entry.name);
	return job_exec(&a, p, "coracle-net");
}

int job_child(void *arg)
{
	const struct job_child *c = arg;
	const struct pid1 *p = c->pid1;

	char modules[160];

	switch (c->kind) {
	case JOB_MODULES:
		snprintf(modules, sizeof(modules), "%s/modules", p->etc_dir);
		return boot_modules(modules);
	case JOB_MOUNT:
		return data_mount(&p->conf);
	case JOB_GROW:
	case JOB_VERIFY:
		return run_whole(p, c->kind);
	case JOB_NET:
		return netcfg(&p->conf);
	case JOB_UNITS:
		return run_units(p, c->flag);
	case JOB_PULL:
		return run_pull(p, &p->units[c->unit]);
	case JOB_PREPARE:
		return run_prepare(p, &p->units[c->unit]);
	case JOB_NETWORKS:
		return run_networks(p, c->unit);
	case JOB_REEXEC:
		return reexec_job(p);
	case JOB_RESETS:
		return resets_job(p, p->resets_job);
	case JOB_SYNC:
		if (p->is_wipe_wanted)
			data_wipe(p->status->data_dir);
		else if (p->status->is_data_there && !p->is_reset_said)
			resets_note(p);
		return data_sync(c->flag ? p->status->data_dir : NULL);
	default:
		return update_child(p, c->kind, c->unit);
	}
}
