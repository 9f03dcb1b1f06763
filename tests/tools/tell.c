/* SPDX-License-Identifier: MIT */
/* tell WORD: says WORD on the board's second serial line. One that begins with "bad" ends then, with 1; another stays until it is told to stop. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static void leave(int sig)
{
	_exit(0);
}

int main(int argc, char **argv)
{
	int line = open("/dev/ttyS1", O_WRONLY | O_NOCTTY);

	signal(SIGTERM, leave);
	if (argc != 2 || line < 0 || dprintf(line, "%s\n", argv[1]) < 0)
		return 2;
	tcdrain(line);
	if (!strncmp(argv[1], "bad", 3))
		return 1;
	for (;;)
		pause();
}
