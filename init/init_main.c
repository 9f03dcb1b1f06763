/* SPDX-License-Identifier: MIT */
/*
 * One binary, four programs, told apart by name and process number: PID 1,
 * `coracle-init run`, the client `coracle`, and dhcpcd's script. Decides which,
 * and nothing else.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot.h"
#include "client.h"
#include "dhcp_script.h"
#include "loop.h"
#include "pid1.h"
#include "reexec.h"
#include "run.h"

static struct pid1 pid1;

/* The C library's sha256crypt (lock.c) reads its rounds with it; the library's own would bring all bases and 2 KB. Here and not in the
 * archive, which tests of other folders link too. */
unsigned long strtoul(const char *restrict text, char **restrict end, int base)
{
	unsigned long n = 0;

	(void)base;
	for (; *text >= '0' && *text <= '9' && n <= (ULONG_MAX - 9) / 10; text++)
		n = n * 10 + (unsigned long)(*text - '0');
	if (end)
		*end = (char *)text;
	return n;
}


int main(int argc, char **argv)
{
	const char *name = argc > 0 ? strrchr(argv[0], '/') : "";

	name = name ? name + 1 : argv[0];
	if (!strcmp(name, "coracle"))
		return client_main(argc, argv);
	if (!strcmp(name, "dhcp-script"))
		return dhcp_script_main();
	if (argc > 1 && !strcmp(argv[1], "run"))
		return run_main(argc - 1, argv + 1);
	if (argc == 3 && !strcmp(argv[1], "--check-state"))
		return reexec_check((int)strtoul(argv[2], NULL, 10));
	if (getpid() == 1) {
		if (argc != 3 || strcmp(argv[1], "--state") != 0 || !reexec_resume(&pid1, (int)strtoul(argv[2], NULL, 10)))
			boot(&pid1, argc, argv);
		loop_run(&pid1);
	}
	fprintf(stderr, "coracle-init is process 1 of a board, or of a pid namespace (host=yes in board.conf):\n"
		"  unshare --fork --pid --mount --mount-proc coracle-init [--etc DIR]\n"
		"coracle-init run BUNDLE    one OCI bundle in the foreground\n");
	return 2;
}
