/* SPDX-License-Identifier: MIT */
/*
 * `coracle-bundle slot STEP`, the jobs by which PID 1 takes an update from one state of state/slots to the next (slot_steps.h): read under the lock,
 * one step, one replacement of the file. `stage` compiles bundle and record first, so that what is staged can be started by syscalls alone. Its
 * input is PID 1's; the image was verified when it came in.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle_make.h"
#include "commands.h"
#include "job.h"
#include "quadlet.h"
#include "release.h"
#include "slot_steps.h"
#include "update_log.h"
#include "volume_saved.h"

enum { LOCK_MS = 10000 };

struct options {
	const char *step, *store, *name, *unit, *ref, *text, *digest_text;
	bool is_verdict;
	uint64_t count, took_ms;
	int result_fd;
	struct digest digest;
};

static int usage(void)
{
	fprintf(stderr, "usage: coracle-bundle slot stage --store DIR --name UNIT --unit FILE --ref IMAGE [--result-fd N] DIGEST\n"
		"       coracle-bundle slot switch|try|commit|rollback|refuse|note --store DIR --name UNIT [--count N] [--verdict yes] [--took MS]\n"
		"         [--text WHY] [--result-fd N] DIGEST\n");
	return 2;
}

static bool take(struct options *o, const char *key, const char *value)
{
	const struct { const char *key; const char **to; } texts[] = {
		{ "--store", &o->store }, { "--name", &o->name }, { "--unit", &o->unit }, { "--ref", &o->ref }, { "--text", &o->text },
	};
	uint64_t n;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (strcmp(key, texts[i].key) == 0) {
			*texts[i].to = value;
			return true;
		}
	if (strcmp(key, "--count") == 0)
		return quadlet_u64(value, CONFIG_UPDATE_TRIES + 1, &o->count);
	if (strcmp(key, "--took") == 0)
		return quadlet_u64(value, UINT64_MAX, &o->took_ms);
	if (strcmp(key, "--verdict") == 0)
		return quadlet_bool(value, &o->is_verdict);
	if (strcmp(key, "--result-fd") != 0 || !quadlet_u64(value, 1023, &n))
		return false;
	o->result_fd = (int)n;
	return true;
}

static bool parse(struct options *o, int argc, char **argv)
{
	int i = 2;

	*o = (struct options){ .result_fd = -1, .text = "", .step = argc > 1 ? argv[1] : "" };
	for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2)
		if (!take(o, argv[i], argv[i + 1]))
			return false;
	if (argc - i != 1 || !o->store || !o->name)
		return false;
	o->digest_text = argv[i];
	/* A note may be about an image that was never known. */
	return digest_parse(span_str(argv[i]), &o->digest) == 0 || (strcmp(o->step, "note") == 0 && strcmp(argv[i], "-") == 0);
}

/* The signed version that the image was let in with, 0 for none. */
static uint64_t version_of(const struct options *o, struct store *store)
{
	struct store_image image;
	char text[32];
	uint64_t n = 0;

	if (store_image_read(store, &o->digest, &image, NULL) < 0)
		return 0;
	store_image_admitted(&image, "version", text, sizeof(text));
	store_image_free(&image);
	return quadlet_u64(text, UINT64_MAX, &n) ? n : 0;
}

/* At the switch again: a volume may have grown while the image waited. */
static int check_room(const struct options *o, struct store *store, struct err *e)
{
	struct unit_file *unit = NULL;
	uint64_t need = 0;
	int r = 0;

	if (o->unit && !release_is(o->name) && unit_file_read(&unit, o->unit, o->store, NULL, NULL, NULL, NULL) == 0)
		r = volume_saved_room(store, unit, &need, e);
	unit_file_free(unit);
	return r;
}

/* Compiles what would be started. Then it is on the disk whole, or not staged. */
static int preflight(const struct options *o, struct store *store, struct err *e)
{
	struct bundle_make m = { .store = store, .digest = &o->digest };
	struct record_build *record = malloc(sizeof(*record));
	struct unit_file *unit = NULL;
	struct bundle_told told;
	uint64_t need = 0;
	char *bytes = NULL;
	size_t len = 0;
	int r = record ? 0 : err_sys(e, ENOMEM, "stage %s", o->name);

	if (r == 0 && release_is(o->name)) {
		free(record);
		return release_compile(store, o->store, o->digest_text, e);
	}
	if (r == 0)
		r = unit_file_read(&unit, o->unit, o->store, &bytes, &len, NULL, e);
	/* -ENOENT means a missing image to our caller. */
	if (r == -ENOENT)
		r = -EAGAIN;
	m.unit = unit;
	if (r == 0)
		r = bundle_make_own(&m, o->store, false, span_of(bytes, len), record, &told, e);
	if (r == 0)
		r = volume_saved_room(store, unit, &need, e);
	unit_file_free(unit);
	free(bytes);
	free(record);
	return r;
}

static int stage(const struct options *o, struct store *store, struct slot *s, struct err *e)
{
	int r = slot_stage(s, o->ref, o->digest_text, version_of(o, store), e);

	return r == SLOT_CHANGED && syncfs(store_fd(store)) < 0 ? err_sys(e, errno, "sync") : r;
}

static int step(const struct options *o, struct store *store, struct slot *s, struct err *e)
{
	if (strcmp(o->step, "stage") == 0)
		return stage(o, store, s, e);
	if (strcmp(o->step, "switch") == 0)
		return slot_try(s, o->digest_text, 1, e);
	if (strcmp(o->step, "try") == 0)
		return slot_try(s, o->digest_text, (uint32_t)o->count, e);
	if (strcmp(o->step, "commit") == 0)
		return slot_commit(s, o->digest_text, version_of(o, store), e);
	if (strcmp(o->step, "rollback") == 0)
		return slot_rollback(s, o->digest_text, o->is_verdict, e);
	if (strcmp(o->step, "refuse") == 0)
		return slot_refuse(s, o->digest_text, e);
	return SLOT_ALREADY;
}

/* What people read later; the step itself is on the disk already, so a failure here is none of its. */
static void remember(const struct options *o, struct store *store)
{
	static const struct { const char *step, *outcome; } outcomes[] = {
		{ "commit", "committed" }, { "rollback", "rolled-back" }, { "refuse", "refused" }, { "note", "failed" },
	};

	for (size_t i = 0; i < sizeof(outcomes) / sizeof(*outcomes); i++)
		if (strcmp(o->step, outcomes[i].step) == 0)
			update_log_add(store, o->name, outcomes[i].outcome, o->digest_text, o->took_ms, o->text, NULL);
}

/* A release may be ordered from elsewhere than the one in force came from: after a power cut its trial goes on as of what was ordered. */
static void name_source(const struct options *o, struct slot *s)
{
	if (!s->current[0] || strcmp(o->step, "commit") == 0)
		span_copy(span_str(o->ref), s->ref, sizeof(s->ref));
	else if (strcmp(o->step, "stage") == 0)
		span_copy(span_str(strcmp(o->ref, s->ref) == 0 ? "" : o->ref), s->next_ref, sizeof(s->next_ref));
}

static int change(const struct options *o, struct store *store, uint64_t *floor, struct err *e)
{
	struct slots *slots = malloc(sizeof(*slots));
	struct slot *s = NULL;
	int lock = -1, r = slots ? 0 : err_sys(e, ENOMEM, "state/slots");

	if (r == 0)
		r = lock = slots_lock(store, e);
	if (r >= 0)
		r = slots_read(store, slots, e);
	s = r < 0 ? NULL : release_is(o->name) && strcmp(o->step, "stage") == 0 ? slots_get(slots, o->name) : slots_find(slots, o->name);
	if (r >= 0 && !s)
		r = err_set(e, -EINVAL, "unit %s: has no image in use: it is pulled at its start, not updated", o->name);
	if (r >= 0)
		r = step(o, store, s, e);
	if (r == SLOT_CHANGED && release_is(o->name) && o->ref)
		name_source(o, s);
	if (r == SLOT_CHANGED)
		r = slots_write(store, slots, e);
	if (r >= 0) {
		*floor = s->floor;
		remember(o, store);
		if (strcmp(o->step, "commit") == 0)
			volume_saved_drop(store, o->name, o->digest_text);
	}
	if (lock >= 0)
		close(lock);
	free(slots);
	return r < 0 ? r : 0;
}

static int run(const struct options *o, uint64_t *floor, struct err *e)
{
	struct store *store = NULL;
	int lock = -1, r = store_open(&store, o->store, STORE_WRITE, e);

	if (r == 0)
		r = lock = store_lock(store, false, LOCK_MS, e);
	if (r >= 0)
		r = strcmp(o->step, "stage") == 0 ? preflight(o, store, e) : strcmp(o->step, "switch") == 0 ? check_room(o, store, e) : 0;
	if (r == 0)
		r = change(o, store, floor, e);
	if (lock >= 0)
		close(lock);
	store_close(store);
	return r;
}

int cmd_slot(int argc, char **argv)
{
	static const char *const steps[] = { "stage", "switch", "try", "commit", "rollback", "refuse", "note" };
	struct job_result r = { 0 };
	struct err e = { "" };
	bool is_known = false;
	uint64_t floor = 0;
	struct options o;
	int code;

	if (!parse(&o, argc, argv))
		return usage();
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		is_known |= strcmp(o.step, steps[i]) == 0;
	if (!is_known || (strcmp(o.step, "stage") == 0 && (!o.unit || !o.ref)))
		return usage();
	umask(022);
	code = run(&o, &floor, &e);
	r.code = commands_outcome(code);
	r.bytes_total = floor;	/* after the step */
	snprintf(r.text, sizeof(r.text), "%s", code < 0 ? e.text : o.step);
	span_copy(span_str(o.digest_text), r.digest, sizeof(r.digest));
	job_send(o.result_fd, &r);
	if (code < 0)
		fprintf(stderr, "coracle-bundle: %s\n", e.text);
	return code < 0 ? 1 : 0;
}
