/* SPDX-License-Identifier: MIT */
/* `coracle-bundle gc`: the command around bundle/gc.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "gc.h"

static int usage(void)
{
	fprintf(stderr, "usage: coracle-bundle gc [--dry-run] [--keep DIGEST]... --store DIR\n");
	return 2;
}

int cmd_gc(int argc, char **argv)
{
	struct digest keep[GC_KEEP_MAX];
	struct err e = { "" };
	struct gc_result done;
	const char *dir = NULL;
	struct job_result result = { 0 };
	int result_fd = -1;
	bool dry_run = false;
	size_t keep_len = 0;
	struct store *s;
	int r;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--dry-run") == 0)
			dry_run = true;
		else if (strcmp(argv[i], "--store") == 0 && i + 1 < argc)
			dir = argv[++i];
		else if (strcmp(argv[i], "--result-fd") == 0 && i + 1 < argc)
			result_fd = atoi(argv[++i]);
		else if (strcmp(argv[i], "--keep") == 0 && i + 1 < argc && keep_len < GC_KEEP_MAX &&
			 digest_parse(span_str(argv[i + 1]), &keep[keep_len]) == 0)
			keep_len++, i++;
		else
			return usage();
	}
	if (!dir)
		return usage();
	r = store_open(&s, dir, STORE_READ, &e);
	if (r == 0) {
		r = gc_run(s, keep, keep_len, dry_run, stdout, &done, &e);
		store_close(s);
	}
	result.code = commands_outcome(r);
	snprintf(result.text, sizeof(result.text), "%s", e.text);
	job_send(result_fd, &result);
	if (r < 0) {
		fprintf(stderr, "coracle-bundle gc: %s\n", e.text);
		return 1;
	}
	printf("%s %u images, %u layers of %" PRIu64 " KiB, %u bundles\n", dry_run ? "would remove" : "removed", done.images, done.layers,
		done.bytes >> 10, done.bundles);
	return 0;
}
