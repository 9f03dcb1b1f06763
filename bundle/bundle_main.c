/* SPDX-License-Identifier: MIT */
/* coracle-bundle: layers, store, units, config.json, run records; and the client `coracle` with the console. Never opens a network socket. */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "commands.h"
#include "config.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;	/* NULL: not for people */
} commands[] = {
	{ "compile", cmd_compile, "compile BUNDLE    config.json of any OCI bundle -> run record beside it" },
	{ "create", cmd_create, "create --store DIR [--unit FILE] DIGEST BUNDLE    an OCI bundle with run record from an image of the store" },
	{ "mount", cmd_mount, "mount BUNDLE | umount BUNDLE    its rootfs at BUNDLE/rootfs, read-only" },
	{ "umount", cmd_umount, NULL },
	{ "prepare", cmd_prepare, NULL },
	{ "slot", cmd_slot, NULL },
	{ "seal", cmd_seal, "seal UNIT.container...    unit files for a data partition that is under a key (CORACLE_STORE_KEY=FILE)" },
	{ "release", cmd_release, NULL },
	{ "ls", cmd_ls, "ls [--json] [--store DIR]    the images of the store, their layers and what admitted them" },
	{ "verify", cmd_verify, "verify --store DIR    every image and layer against what was recorded when it was published" },
	{ "explain", cmd_explain, "explain [--json] [--from DIGEST] --store DIR DIGEST    what an image carries along: hidden files, secrets, an update's cost" },
	{ "gc", cmd_gc, "gc [--dry-run] [--keep DIGEST]... --store DIR    remove images, layers and bundles that no unit's slot names" },
	{ "units", cmd_units, "units [--store DIR] DIR...    check folders of .container files; units --keys: every key" },
	{ "provision", cmd_provision, "provision --store DIR [--from DIR] [KEY=VALUE]...    settings of this device into the data partition's config/" },
	{ "grow", cmd_grow, NULL },
	{ "inflate", cmd_inflate, NULL },
	{ "unpack", cmd_unpack, NULL },
	{ "client", client_main, NULL },
};

enum { COMMANDS = sizeof(commands) / sizeof(*commands) };

int main(int argc, char **argv)
{
	for (int i = 0; argc > 1 && i < COMMANDS; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "--version") == 0)
		return puts("coracle-bundle " CORACLE_VERSION) < 0;
	fprintf(stderr, "coracle-bundle %s\n", CORACLE_VERSION);
	for (int i = 0; i < COMMANDS; i++)
		if (commands[i].help)
			fprintf(stderr, "  coracle-bundle %s\n", commands[i].help);
	return 2;
}
