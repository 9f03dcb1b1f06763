/* SPDX-License-Identifier: MIT */
/*
 * The end of stage 2: finds the program as execvp(3) does, but in the PATH of
 * the container's own environment, and executes it. Nothing here needs a
 * system call beyond execve and, for the report, write: seccomp is in force.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "enter.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Tries DIR/NAME; an errno value. An empty directory is the working directory. */
static int try_in(struct start_context *c, const char *dir, size_t len, const char *name)
{
	char path[4096];
	size_t name_len = strlen(name);

	if (len + name_len + 2 > sizeof(path))
		return ENAMETOOLONG;
	memcpy(path, dir, len);
	if (len > 0)
		path[len++] = '/';
	memcpy(path + len, name, name_len + 1);
	execve(path, c->argv, c->envp);
	return errno;
}

static int try_path(struct start_context *c, const char *name)
{
	const char *at = record_text(c->record, c->record->path_env);
	int seen = ENOENT;

	if (!at)
		at = DEFAULT_PATH;
	for (;;) {
		const char *end = strchrnul(at, ':');
		int e = try_in(c, at, (size_t)(end - at), name);

		if (e == EACCES)
			seen = EACCES;
		else if (e != ENOENT && e != ENOTDIR && e != ENAMETOOLONG)
			return e;
		if (!*end)
			return seen;
		at = end + 1;
	}
}

int enter_exec(struct start_context *c)
{
	const char *name = c->argv[0];
	int e = ENOENT;

	if (strchr(name, '/')) {
		execve(name, c->argv, c->envp);
		e = errno;
	} else if (*name) {
		e = try_path(c, name);
	}
	return start_fail_exec(c, name, e);
}
