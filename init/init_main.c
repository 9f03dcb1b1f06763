/* SPDX-License-Identifier: MIT */
/*
 * One binary, four programs, told apart by name and process number: PID 1,
 * `coracle-init run`, the client `coracle` (which is in coracle-bundle, but for `coracle exec`), and dhcpcd's script. Decides which,
 * and nothing else.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "boot.h"
#include "dhcp_script.h"
#include "exec.h"
#include "health.h"
#include "loop.h"
#include "pid1.h"
#include "reexec.h"
#include "run.h"
#include "text.h"

enum { WORDS_MAX = 512 };

static struct pid1 pid1;

/* `coracle-bundle client ...`, beside this program: nothing of the client has to be in PID 1. */
static int exec_client(int argc, char **argv)
{
	static const char name[] = "coracle-bundle";
	static char *word[WORDS_MAX] = { "coracle-bundle", "client" };
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof(name));
	char *slash;

	if (argc > WORDS_MAX - 2) {
		fprintf(stderr, "coracle: more than %d words\n", WORDS_MAX - 2);
		return 2;
	}
	for (int i = 1; i < argc; i++)
		word[i + 1] = argv[i];
	path[n < 0 ? 0 : n] = '\0';
	slash = strrchr(path, '/');
	if (slash) {
		memcpy(slash + 1, name, sizeof(name));
		execv(path, word);
	}
	fprintf(stderr, "coracle: %s: %s\n", path, strerror(errno));
	return 1;
}

static int descriptor(const char *text)
{
	uint64_t fd;

	return text_u64(text, INT_MAX, &fd) ? (int)fd : -1;
}

int main(int argc, char **argv)
{
	const char *name = argc > 0 ? strrchr(argv[0], '/') : "";

	name = name ? name + 1 : argv[0];
	if (!strcmp(name, HEALTH_NAME) && argc > 2)
		return health_main(argv);
	if (!strcmp(name, "coracle") && exec_is_asked(argc, argv))
		return exec_main(argv);
	if (!strcmp(name, "coracle"))
		return exec_client(argc, argv);
	if (!strcmp(name, "dhcp-script"))
		return dhcp_script_main();
	if (argc > 1 && !strcmp(argv[1], "run"))
		return run_main(argc - 1, argv + 1);
	if (argc == 3 && !strcmp(argv[1], "--check-state"))
		return reexec_check(descriptor(argv[2]));
	if (getpid() == 1) {
		if (argc != 3 || strcmp(argv[1], "--state") != 0 || !reexec_resume(&pid1, descriptor(argv[2])))
			boot(&pid1, argc, argv);
		loop_run(&pid1);
	}
	fprintf(stderr, "coracle-init is process 1 of a board, or of a pid namespace (host=yes in board.conf):\n"
		"  unshare --fork --pid --mount --mount-proc coracle-init [--etc DIR]\n"
		"coracle-init run BUNDLE    one OCI bundle in the foreground\n");
	return 2;
}
