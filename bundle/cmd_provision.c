/* SPDX-License-Identifier: MIT */
/*
 * `coracle-bundle provision`: settings from a folder or the command line (the console's `set`); and what the job that reads the units does
 * before it reads them, from the partition.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "provision.h"

void provision_board(struct provision *p, const char *data)
{
	struct err e = { "" };
	char path[64] = "";
	int from = provision_part(data, false, path, &e), writable;
	bool has_work = from >= 0 && provision_has_work(from);

	if (from == -ENOENT)
		return;
	if (has_work) {
		/* One file system is mounted either way, not both. */
		close(from);
		from = writable = provision_part(data, true, path, &e);
		if (from < 0)
			from = provision_part(data, false, path, NULL);
		if (from >= 0)
			provision_take(p, from, writable);
		if (writable < 0 && p->taken)
			err_set(&e, 0, "%s: write-protected: what was taken still lies there", path);
	}
	if (from >= 0)
		close(from);
	if (e.text[0]) {
		fprintf(stderr, "provision: %s\n", e.text);
		err_set(&p->error, 0, "provision: %s", e.text);
		p->errors++;
	}
}

static int usage(void)
{
	fprintf(stderr, "usage: coracle-bundle provision --store DIR [--from DIR] [KEY=VALUE]...\n");
	return 2;
}

int cmd_provision(int argc, char **argv)
{
	struct provision p = { .data = -1 };
	const char *store = NULL, *from = NULL;
	struct err e = { "" };
	int i = 1, r = 0, fd;

	for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
		if (strcmp(argv[i], "--store") == 0)
			store = argv[i + 1];
		else if (strcmp(argv[i], "--from") == 0)
			from = argv[i + 1];
		else
			return usage();
	}
	if (!store || (!from && i == argc) || (i < argc && argv[i][0] == '-'))
		return usage();
	p.data = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p.data < 0)
		r = err_sys(&e, errno, "%s", store);
	if (r == 0 && from) {
		fd = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0) {
			r = err_sys(&e, errno, "%s", from);
		} else {
			provision_take(&p, fd, fd);
			close(fd);
		}
	}
	for (; r == 0 && i < argc; i++) {
		r = provision_set(&p, argv[i], &e);
		if (r == 0)
			printf("%s: kept; it counts from the next boot\n", argv[i]);
	}
	if (p.data >= 0)
		close(p.data);
	if (e.text[0])
		fprintf(stderr, "coracle-bundle: %s\n", e.text);
	return r < 0 || p.errors ? 1 : 0;
}
