/* SPDX-License-Identifier: MIT */
/* `coracle-bundle compile BUNDLE`: any OCI bundle's config.json -> run record beside it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "commands.h"
#include "compile.h"
#include "file.h"

static int compile_at(const char *bundle, char name[COMPILE_NAME_MAX], struct err *e)
{
	struct record_build *b = NULL;
	char path[PATH_MAX];
	int dir = -1, r;

	if (!realpath(bundle, path))
		return err_sys(e, errno, "%s", bundle);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, errno, "%s", path);
	b = malloc(sizeof(*b));
	r = b ? compile_bundle(dir, path, b, e) : err_sys(e, ENOMEM, "%s", path);
	if (r == 0) {
		compile_record_name(&b->head, name);
		r = file_replace(dir, name, span_of(b->bytes, b->used), 0644, e);
	}
	free(b);
	close(dir);
	return r;
}

int cmd_compile(int argc, char **argv)
{
	char name[COMPILE_NAME_MAX];
	struct err e = { "" };

	if (argc != 2) {
		fprintf(stderr, "usage: coracle-bundle compile BUNDLE\n");
		return 2;
	}
	if (compile_at(argv[1], name, &e) < 0) {
		fprintf(stderr, "coracle-bundle: %s\n", e.text);
		return 1;
	}
	printf("%s\n", name);
	return fflush(stdout) == 0 ? 0 : 1;
}
