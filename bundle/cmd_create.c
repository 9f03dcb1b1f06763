/* SPDX-License-Identifier: MIT */
/* `coracle-bundle create`: a bundle from an image of the store, for people and for other runtimes. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle_make.h"
#include "commands.h"

struct options {
	const char *store, *unit, *digest, *bundle;
};

static int usage(void)
{
	fprintf(stderr, "usage: coracle-bundle create --store DIR [--unit FILE] DIGEST BUNDLE\n");
	return 2;
}

static bool parse(struct options *o, int argc, char **argv)
{
	int i = 1;

	*o = (struct options){ 0 };
	for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
		if (strcmp(argv[i], "--store") == 0)
			o->store = argv[i + 1];
		else if (strcmp(argv[i], "--unit") == 0)
			o->unit = argv[i + 1];
		else
			return false;
	}
	if (argc - i != 2 || !o->store)
		return false;
	o->digest = argv[i];
	o->bundle = argv[i + 1];
	return true;
}

/* Without --unit: the image as its author meant it, with all the defaults of a unit. */
static int read_unit(const struct options *o, struct unit_file **u, struct err *e)
{
	static const char plain[] = "[Container]\nImage=localhost/image\n";

	if (o->unit)
		return unit_file_read(u, o->unit, NULL, NULL, NULL, NULL, e);
	return unit_file_new(u, span_str(plain), "container.container", NULL, e);
}

/* The parent resolved, the last component as written: it need not exist yet. */
static int bundle_path(const char *given, char out[PATH_MAX], struct err *e)
{
	char real[PATH_MAX];

	if (mkdir(given, 0755) < 0 && errno != EEXIST)
		return err_sys(e, errno, "%s", given);
	if (!realpath(given, real))
		return err_sys(e, errno, "%s", given);
	snprintf(out, PATH_MAX, "%s", real);
	return 0;
}

static int create(const struct options *o, struct err *e)
{
	struct record_build *record = malloc(sizeof(*record));
	struct bundle_make m = { 0 };
	char path[PATH_MAX], store_path[PATH_MAX];
	struct unit_file *unit = NULL;
	struct store *store = NULL;
	struct digest digest;
	struct bundle_told told;
	int lock = -1, r;

	if (!record)
		return err_sys(e, ENOMEM, "%s", o->bundle);
	r = digest_parse(span_str(o->digest), &digest) < 0 ?
		err_set(e, -EINVAL, "%s: is no digest (sha256: and 64 hex digits): coracle-bundle ls --store %s lists them", o->digest, o->store) : 0;
	if (r == 0)
		r = read_unit(o, &unit, e);
	if (r == 0)
		r = store_open(&store, o->store, STORE_WRITE, e);
	if (r == 0 && !realpath(o->store, store_path))
		r = err_sys(e, errno, "%s", o->store);
	if (r == 0)
		r = lock = store_lock(store, false, 10000, e);
	if (r >= 0)
		r = bundle_path(o->bundle, path, e);
	if (r == 0) {
		m = (struct bundle_make){ .store = store, .store_path = store_path, .digest = &digest, .unit = unit, .bundle = path };
		r = bundle_make(&m, record, &told, e);
	}
	if (lock >= 0)
		close(lock);
	store_close(store);
	unit_file_free(unit);
	free(record);
	return r;
}

int cmd_create(int argc, char **argv)
{
	struct err e = { "" };
	struct options o;

	if (!parse(&o, argc, argv))
		return usage();
	umask(022);	/* base/ is seen by the container's user */
	if (create(&o, &e) < 0) {
		fprintf(stderr, "coracle-bundle: %s\n", e.text);
		return 1;
	}
	return 0;
}
