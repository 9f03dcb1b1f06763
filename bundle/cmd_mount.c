/* SPDX-License-Identifier: MIT */
/* `coracle-bundle mount|umount BUNDLE`: the rootfs at BUNDLE/rootfs, for crun and for looking. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "rootfs_mount.h"

static int mount_layers(const char *path, struct err *e)
{
	struct bundle_layers *l = malloc(sizeof(*l));
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (!l || dir < 0) {
		r = err_sys(e, l ? errno : ENOMEM, "%s", path);
	} else {
		r = bundle_layers_read(dir, l, e);
		if (r == -ENOENT)
			err_set(e, r, "%s: has no file `layers`: only bundles of coracle-bundle create are mounted", path);
	}
	if (r == 0)
		r = rootfs_mount_attach(l, path, e);
	if (dir >= 0)
		close(dir);
	free(l);
	return r;
}

static int run(int argc, char **argv, int (*act)(const char *path, struct err *e))
{
	char path[PATH_MAX];
	struct err e = { "" };
	int r;

	if (argc != 2) {
		fprintf(stderr, "usage: coracle-bundle %s BUNDLE\n", argv[0]);
		return 2;
	}
	r = realpath(argv[1], path) ? act(path, &e) : err_sys(&e, errno, "%s", argv[1]);
	if (r < 0)
		fprintf(stderr, "coracle-bundle: %s\n", e.text);
	return r < 0 ? 1 : 0;
}

int cmd_mount(int argc, char **argv)
{
	return run(argc, argv, mount_layers);
}

int cmd_umount(int argc, char **argv)
{
	return run(argc, argv, rootfs_mount_detach);
}
