/* SPDX-License-Identifier: MIT */
/*
 * A program for units in the tests of supervision: static, does one thing.
 *
 *   say TEXT      prints it and waits for a signal          exit N
 *   flood         prints for ever                           signal N      dies of it
 *   deaf TEXT     ignores SIGTERM                           forks N       leaves N processes behind that wait
 *   quiet         waits                                     later MS N    exits with N after MS
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *arg = argc > 2 ? argv[2] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(what, "say")) {
		signal(SIGTERM, SIG_DFL);
		printf("%s\n", arg);
		fprintf(stderr, "warning: %s\n", arg);
	} else if (!strcmp(what, "flood")) {
		for (unsigned long i = 0;; i++)
			printf("flood %lu xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n", i);
	} else if (!strcmp(what, "deaf")) {
		signal(SIGTERM, SIG_IGN);
		printf("%s\n", arg);
	} else if (!strcmp(what, "exit")) {
		return atoi(arg);
	} else if (!strcmp(what, "signal")) {
		signal(atoi(arg), SIG_DFL);
		kill(getpid(), atoi(arg));	/* as process 1 of a pid namespace this does nothing: then by exit */
		return 128 + atoi(arg);
	} else if (!strcmp(what, "forks")) {
		for (int i = 0; i < atoi(arg); i++)
			if (fork() == 0) {
				setsid();
				signal(SIGTERM, SIG_IGN);
				for (;;)
					pause();
			}
	} else if (!strcmp(what, "later")) {
		usleep((useconds_t)atoi(arg) * 1000);
		return argc > 3 ? atoi(argv[3]) : 0;
	}
	for (;;)
		pause();
}
