/* SPDX-License-Identifier: MIT */
/* Signal names to numbers. Real-time signals count from what libc in the image calls SIGRTMIN, 34 with glibc and 35 with musl: image-spec config.md
 * leaves it open, docker and podman take 34. */
#include "signals.h"

#include <ctype.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { RTMIN = 34, RTMAX = 64 };

static const struct {
	const char *name;
	int number;
} names[] = {
	{ "HUP", SIGHUP }, { "INT", SIGINT }, { "QUIT", SIGQUIT }, { "ILL", SIGILL }, { "TRAP", SIGTRAP },
	{ "ABRT", SIGABRT }, { "IOT", SIGABRT }, { "BUS", SIGBUS }, { "FPE", SIGFPE }, { "KILL", SIGKILL },
	{ "USR1", SIGUSR1 }, { "SEGV", SIGSEGV }, { "USR2", SIGUSR2 }, { "PIPE", SIGPIPE }, { "ALRM", SIGALRM },
	{ "TERM", SIGTERM }, { "STKFLT", SIGSTKFLT }, { "CHLD", SIGCHLD }, { "CONT", SIGCONT }, { "STOP", SIGSTOP },
	{ "TSTP", SIGTSTP }, { "TTIN", SIGTTIN }, { "TTOU", SIGTTOU }, { "URG", SIGURG }, { "XCPU", SIGXCPU },
	{ "XFSZ", SIGXFSZ }, { "VTALRM", SIGVTALRM }, { "PROF", SIGPROF }, { "WINCH", SIGWINCH }, { "IO", SIGIO },
	{ "POLL", SIGIO }, { "PWR", SIGPWR }, { "SYS", SIGSYS }, { "RTMIN", RTMIN }, { "RTMAX", RTMAX },
};

static int small_number(const char *s)
{
	return isdigit((unsigned char)s[0]) && strlen(s) <= 2 && (!s[1] || isdigit((unsigned char)s[1])) ? atoi(s) : -1;
}

int signals_number(const char *name)
{
	int n = small_number(name);

	if (n >= 0)
		return n >= 1 && n <= RTMAX ? n : -1;
	if (strncasecmp(name, "SIG", 3) == 0)
		name += 3;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcasecmp(names[i].name, name) == 0)
			return names[i].number;
	if (strncasecmp(name, "RTMIN+", 6) == 0 || strncasecmp(name, "RTMAX-", 6) == 0) {
		n = small_number(name + 6);
		if (n < 0 || n > RTMAX - RTMIN)
			return -1;
		return toupper((unsigned char)name[4]) == 'N' ? RTMIN + n : RTMAX - n;
	}
	return -1;
}
