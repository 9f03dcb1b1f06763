/* SPDX-License-Identifier: MIT */
/*
 * The modules job: loads the kernel modules of a list, in its order. One line
 * is a file name (absolute, or beneath /lib/modules/RELEASE or /lib/modules) and, after a
 * blank, its parameters; `#` begins a comment. A module that does not load (no such
 * device, already there) is a line on descriptor 2, never more.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "boot.h"
#include "job_child.h"
#include "text.h"

static int open_module(const char *name)
{
	struct utsname u;
	char path[512];
	int fd;

	if (name[0] == '/')
		return open(name, O_RDONLY | O_CLOEXEC);
	uname(&u);
	snprintf(path, sizeof(path), "/lib/modules/%s/%.300s", u.release, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	snprintf(path, sizeof(path), "/lib/modules/%.300s", name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void load(char *line)
{
	char *params = line + strcspn(line, " \t");
	int fd;

	if (*params)
		*params++ = '\0';
	fd = open_module(line);
	if (fd < 0 || (syscall(SYS_finit_module, fd, params, 0) < 0 && errno != EEXIST))
		dprintf(2, "%s: not loaded: %s\n", line, fd >= 0 && errno == ENOENT ? "it asks for " MODULE_LACKS : strerror(errno));
	if (fd >= 0)
		close(fd);
}

int boot_modules(const char *path)
{
	static char list[32768];
	long n = text_file(path, list, sizeof(list));
	char *save = NULL;

	if (n == -ENOENT)
		return job_say(JOB_DONE, "");
	if (n < 0)
		dprintf(2, "%s: %s\n", path, strerror((int)-n));
	for (char *l = strtok_r(list, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		l += strspn(l, " \t");
		if (*l && *l != '#')
			load(l);
	}
	return job_say(JOB_DONE, "");
}
