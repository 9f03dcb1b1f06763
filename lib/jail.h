/* SPDX-License-Identifier: MIT */
/*
 * The one launcher of jailed processes (net, resolve, judge, unpack): own uid, own
 * pid, mount, ipc, uts and (unless told otherwise) net namespace, an empty
 * read-only root that holds just the files given, capabilities down to the list, no_new_privs,
 * resource limits, a seccomp allow-list, nothing inherited but the named descriptors.
 * What runs inside is believed in nothing it says.
 */
#ifndef CORACLE_JAIL_H
#define CORACLE_JAIL_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "span.h"

struct jail_file {
	const char *path;	/* "etc/resolv.conf": relative, at most one directory deep */
	struct span data;
};

struct jail_fd {
	int fd;			/* in the caller */
	int as;			/* in the jail; 0, 1, 2 not named here are /dev/null */
};

struct jail_spec {
	const char *name;	/* for messages */
	uid_t uid;		/* and gid */
	uint64_t caps;		/* 1 << CAP_*: kept over the exec as ambient, all else leaves the bounding set */
	bool host_network;	/* else an empty network namespace */
	const struct jail_file *files;
	size_t files_len;
	uint64_t memory_max;	/* RLIMIT_AS, bytes; 0: none */
	uint64_t file_size_max;	/* RLIMIT_FSIZE, bytes; 0: may not write files */
	unsigned fds_max;	/* RLIMIT_NOFILE */
	const struct sock_filter *filter;	/* ends in a kill; allows execveat for the one exec. NULL: what reading and writing descriptors takes */
	size_t filter_len;
};

struct jail {
	pid_t pid;
	int pidfd;		/* owned by the caller */
};

/* Starts the program open at EXE_FD with ARGV inside the jail. The jail dies with its parent (PR_SET_PDEATHSIG, and as pid 1 of its
 * namespace with everything it started). 0, or -errno with the step that failed in E; then nothing runs. Blocks until the exec happened. */
int jail_start(struct jail *j, const struct jail_spec *spec, int exe_fd, char *const argv[],
	const struct jail_fd *fds, size_t fds_len, struct err *e);

/* Waits for it at most TIMEOUT_MS (negative: no limit), then kills. Returns the exit status, 128 + signal, or -errno. Closes pidfd. */
int jail_wait(struct jail *j, int timeout_ms);

/* Kills it and reaps it. Takes a jail never started (pid 0). */
void jail_kill(struct jail *j);

#endif
