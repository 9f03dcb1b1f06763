/* SPDX-License-Identifier: MIT */
/* coracle-fetch: pulls signed images from OCI registries into the store. Its jails are itself, re-executed. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "config.h"
#include "inspect.h"
#include "judge.h"
#include "layout.h"
#include "net.h"
#include "pull.h"
#include "resolve.h"

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--jail-net") == 0)
		return net_main();
	if (argc == 2 && strcmp(argv[1], "--jail-layout") == 0)
		return layout_main();
	if (argc == 4 && strcmp(argv[1], "--jail-resolve") == 0)
		return resolve_main(argv[2], argv[3]);
	if ((argc == 3 || argc == 4) && strcmp(argv[1], "--jail-judge") == 0)
		return judge_main(argv[2], argv[3]);
	if (argc > 1 && strcmp(argv[1], "pull") == 0)
		return pull_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "check") == 0)
		return check_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "inspect") == 0)
		return inspect_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "--version") == 0)
		return puts("coracle-fetch " CORACLE_VERSION) < 0;
	fprintf(stderr, "coracle-fetch %s\n"
		"  coracle-fetch pull REF      into the store; prints the digest of the manifest\n"
		"  coracle-fetch check REF     what it names now; fetches nothing else\n"
		"  coracle-fetch inspect REF   what is there, who signed it, whether it would be let in; changes nothing\n"
		"`coracle-fetch pull` alone shows the options.\n", CORACLE_VERSION);
	return 2;
}
