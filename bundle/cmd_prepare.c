/* SPDX-License-Identifier: MIT */
/*
 * `coracle-bundle prepare`, the job of docs/seams.md: bundle in bundles/<id>, record into the memfd, the image becomes the unit's current one. A disk
 * that takes no more bytes does not keep a unit from running: the record in memory is what counts.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle_make.h"
#include "commands.h"
#include "compile_inner.h"
#include "file.h"
#include "job.h"
#include "quadlet.h"
#include "release.h"
#include "pre_switch.h"
#include "slots.h"
#include "volume_saved.h"

struct options {
	int record_fd, result_fd;
	const char *store, *name, *unit, *ref, *digest_text;
	struct digest digest;
};

static int usage(void)
{
	fprintf(stderr, "usage: coracle-bundle prepare --record-fd N [--result-fd M] --store DIR --name UNIT --unit FILE --ref IMAGE DIGEST\n");
	return 2;
}

static bool parse(struct options *o, int argc, char **argv)
{
	int i = 1;
	uint64_t n;

	*o = (struct options){ .record_fd = -1, .result_fd = -1 };
	for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
		const char *value = argv[i + 1];

		if (strcmp(argv[i], "--store") == 0)
			o->store = value;
		else if (strcmp(argv[i], "--name") == 0)
			o->name = value;
		else if (strcmp(argv[i], "--unit") == 0)
			o->unit = value;
		else if (strcmp(argv[i], "--ref") == 0)
			o->ref = value;
		else if (strcmp(argv[i], "--record-fd") == 0 && quadlet_u64(value, 1023, &n))
			o->record_fd = (int)n;
		else if (strcmp(argv[i], "--result-fd") == 0 && quadlet_u64(value, 1023, &n))
			o->result_fd = (int)n;
		else
			return false;
	}
	if (argc - i != 1 || !o->store || !o->name || !o->unit || !o->ref || o->record_fd < 0)
		return false;
	o->digest_text = argv[i];
	return digest_parse(span_str(argv[i]), &o->digest) == 0;
}

static int change_slot(const struct options *o, struct store *store, struct slots *slots, struct err *e)
{
	struct slot *s;
	int r = slots_read(store, slots, e);

	if (r == -EUCLEAN) {
		compile_note("%s", e->text);
		e->text[0] = '\0';
		r = 0;
	}
	if (r < 0)
		return r;
	s = slots_get(slots, o->name);
	if (!s)
		return err_set(e, -EFBIG, "state/slots: no room for unit %s (CONFIG_UNITS_MAX)", o->name);
	/* One on trial becomes the current one by a commit alone. */
	if (strcmp(s->ref, o->ref) == 0 && (strcmp(s->current, o->digest_text) == 0 || strcmp(s->next, o->digest_text) == 0))
		return 0;
	if (s->current[0] && strcmp(s->current, o->digest_text) != 0)
		memcpy(s->previous, s->current, sizeof(s->previous));
	if (strcmp(s->ref, o->ref) != 0) {	/* the unit was pointed at another image: what was staged or refused was of the one before */
		memset(s->next, 0, sizeof(s->next));
		memset(s->refused, 0, sizeof(s->refused));
		s->tries = 0;
		s->floor = 0;
	}
	span_copy(span_str(o->digest_text), s->current, sizeof(s->current));
	span_copy(span_str(o->ref), s->ref, sizeof(s->ref));
	return slots_write(store, slots, e);
}

static int take_slot(const struct options *o, struct store *store, struct err *e)
{
	struct slots *slots = malloc(sizeof(*slots));
	int lock, r;

	if (!slots)
		return err_sys(e, ENOMEM, "state/slots");
	r = lock = slots_lock(store, e);
	if (lock >= 0) {
		r = change_slot(o, store, slots, e);
		close(lock);
	}
	free(slots);
	return r;
}

static int make(const struct options *o, struct store *store, const struct unit_file *unit, struct span bytes, struct record_build *record,
	struct bundle_told *told, struct err *e)
{
	struct bundle_make m = { .store = store, .digest = &o->digest, .unit = unit, .may_lack_files = true };
	int r = bundle_make_own(&m, o->store, false, bytes, record, told, e);

	if (r != -ENOSPC && r != -EDQUOT && r != -EROFS)
		return r;
	compile_note("%s; the bundle is made in " BUNDLE_SPARE_DIR " instead", e->text);
	e->text[0] = '\0';
	return bundle_make_own(&m, o->store, true, bytes, record, told, e);
}

/* Which key let the image in: told again when a unit starts from disk, without a pull before it. */
static void read_signer(const struct options *o, struct store *store, char *signer, size_t size)
{
	struct store_image image;

	if (store_image_read(store, &o->digest, &image, NULL) < 0)
		return;
	store_image_admitted(&image, "key", signer, size);
	store_image_free(&image);
}

/* Which image a unit of a release has is the release's to say: its slot is not touched. */
static bool is_of_release(const struct options *o)
{
	size_t len = strlen(o->store);

	return strncmp(o->unit, o->store, len) == 0 && strncmp(o->unit + len, "/" RELEASE_FOLDER "/", sizeof(RELEASE_FOLDER) + 1) == 0;
}

/* Is the unit's last start of an image on trial, whose volumes are copied and whose PreSwitch= is run first? 1, 0, or what failed. KEY names what is started. */
static int settle_volumes(const struct options *o, struct store *store, const struct unit_file *unit, char key[VOLUME_KEY_LEN + 1], struct err *e)
{
	struct slots *slots = malloc(sizeof(*slots));
	bool is_release = is_of_release(o);
	int r = slots ? slots_read(store, slots, NULL) : -ENOMEM;

	snprintf(key, VOLUME_KEY_LEN + 1, "%.32s", is_release ? o->unit + strlen(o->store) + sizeof("/" RELEASE_FOLDER) : o->digest_text + 7);
	/* Who cannot say what is tried does not decide about data: take_slot complains of the file. */
	r = r < 0 ? 0 : volume_saved_settle(store, slots, unit, key, is_release, e);
	free(slots);
	return r;
}

static int prepare(const struct options *o, struct bundle_told *told, struct job_result *result, struct err *e)
{
	struct record_build *record = malloc(sizeof(*record));
	struct unit_file *unit = NULL;
	struct store *store = NULL;
	struct err note = { "" };
	char *bytes = NULL, key[VOLUME_KEY_LEN + 1];
	bool has_command = false;
	size_t len = 0;
	int lock = -1, r;

	if (!record)
		return err_sys(e, ENOMEM, "prepare %s", o->name);
	r = unit_file_read(&unit, o->unit, o->store, &bytes, &len, NULL, e);
	/* -ENOENT means a missing image to our caller. */
	if (r == -ENOENT)
		r = -EAGAIN;
	if (r == 0)
		r = store_open(&store, o->store, STORE_WRITE, e);
	if (r == 0) {
		r = settle_volumes(o, store, unit, key, e);
		has_command = r == 1;
		r = r == -ENOENT ? -EAGAIN : r;
	}
	if (r >= 0)
		r = lock = store_lock(store, false, 10000, e);
	if (r >= 0)
		r = make(o, store, unit, span_of(bytes, len), record, told, e);
	if (r == 0) {
		r = file_write_all(o->record_fd, record->bytes, record->used);
		if (r < 0)
			err_sys(e, -r, "prepare %s: the record cannot be handed over", o->name);
	}
	if (r == 0)
		read_signer(o, store, result->signer, sizeof(result->signer));
	/* Not remembered is not refused: without a network the next boot would miss it, this one runs. */
	if (r == 0 && !is_of_release(o) && take_slot(o, store, &note) < 0)
		compile_note("%s", note.text);
	if (lock >= 0)
		close(lock);	/* the command may take its time */
	if (r == 0 && has_command)
		r = pre_switch_run(store, o->store, &o->digest, unit, record, e);
	if (r == 0 && has_command)
		r = volume_saved_done(store, unit, key, e);
	store_close(store);
	unit_file_free(unit);
	free(bytes);
	free(record);
	return r;
}

enum job_code commands_outcome(int code)
{
	switch (code) {
	case 0:
		return JOB_DONE;
	case -ENOENT:
	case -EUCLEAN:
		return JOB_DAMAGED;
	case -EINVAL:
	case -ENOTSUP:
	case -EBADMSG:
	case -EFBIG:
	case -ENAMETOOLONG:
	case -EKEYREJECTED:
		return JOB_REFUSED;
	default:
		return JOB_RETRY;
	}
}

int cmd_prepare(int argc, char **argv)
{
	struct job_result r = { 0 };
	struct err e = { "" };
	struct options o;
	struct bundle_told told = { 0 };
	int code;

	if (!parse(&o, argc, argv))
		return usage();
	umask(022);	/* base/ is seen by the container's user */
	code = prepare(&o, &told, &r, &e);
	r.code = commands_outcome(code);
	r.stop_signal = code == 0 ? (uint32_t)told.stop_signal : 0;
	r.health = told.health;
	memcpy(r.version, told.version, sizeof(r.version));
	snprintf(r.text, sizeof(r.text), "%s", code < 0 ? e.text : "prepared");
	span_copy(span_str(o.digest_text), r.digest, sizeof(r.digest));
	job_send(o.result_fd, &r);
	if (code < 0)
		fprintf(stderr, "coracle-bundle: %s\n", e.text);
	return code < 0 ? 1 : 0;
}
