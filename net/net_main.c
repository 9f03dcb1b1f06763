/* SPDX-License-Identifier: MIT */
/*
 * coracle-net: bridges, addresses, rules and names of units' networks. A job of PID 1 that ends, never a daemon: it reads the plan that coracle-bundle
 * made and asks the kernel by netlink. It keeps the power over networks and namespaces alone, and never opens a connection.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "config.h"
#include "job.h"
#include "net_plan.h"
#include "show.h"
#include "sync.h"

static int usage(void)
{
	fprintf(stderr, "coracle-net " CORACLE_VERSION "\n"
		"  coracle-net up [--run DIR] [--result-fd N] --state DIR UNIT [KEEP]...    UNIT gets its network, the units KEEP have theirs\n"
		"  coracle-net sync [--run DIR] [--result-fd N] --state DIR [KEEP]...       the units KEEP have theirs, nothing is left of others\n"
		"  coracle-net show [--run DIR] [--json]                                    what there is\n");
	return 2;
}

/* Networks and namespaces; files are root's own. CAP_SYS_PTRACE: the name of whoever has a port that a unit would publish. */
static void drop(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	const uint32_t kept = 1U << CAP_NET_ADMIN | 1U << CAP_SYS_ADMIN | 1U << CAP_SYS_PTRACE | 1U << CAP_DAC_OVERRIDE;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (syscall(SYS_capget, &head, data) < 0)
		return;
	data[0].effective &= kept;
	data[0].permitted &= kept;
	data[0].inheritable = data[1].effective = data[1].permitted = data[1].inheritable = 0;
	syscall(SYS_capset, &head, data);
}

static unsigned outcome(int code)
{
	switch (code) {
	case 0:
		return JOB_DONE;
	case -EINVAL:
	case -ENOTSUP:
	case -EFBIG:
	case -EEXIST:
	case -EADDRINUSE:
		return JOB_REFUSED;
	default:
		return JOB_RETRY;
	}
}

static int change(const struct sync *s, int result_fd)
{
	struct job_result r = { 0 };
	struct err e = { "" };
	int code;

	drop();
	umask(022);
	code = sync_run(s, &e);
	r.code = outcome(code);
	snprintf(r.text, sizeof(r.text), "%.380s", code < 0 ? e.text : "network made");
	job_send(result_fd, &r);
	if (code < 0 && result_fd < 0)
		fprintf(stderr, "coracle-net: %s\n", e.text);
	return code < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct sync s = { .run = NET_RUN };
	int result_fd = -1, i = 2;
	bool is_json = false, is_up;

	if (argc > 1 && strcmp(argv[1], "--version") == 0)
		return puts("coracle-net " CORACLE_VERSION) < 0;
	for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			is_json = true;
			continue;
		}
		if (i + 1 == argc)
			return usage();
		if (strcmp(argv[i], "--run") == 0)
			s.run = argv[++i];
		else if (strcmp(argv[i], "--state") == 0)
			s.state = argv[++i];
		else if (strcmp(argv[i], "--result-fd") == 0)
			result_fd = atoi(argv[++i]);
		else
			return usage();
	}
	if (argc > 1 && strcmp(argv[1], "show") == 0 && i == argc)
		return is_json ? show_json(s.run) : show_text(s.run);
	is_up = argc > 1 && strcmp(argv[1], "up") == 0;
	if (argc < 2 || (!is_up && strcmp(argv[1], "sync") != 0) || !s.state || is_json || (is_up && i == argc))
		return usage();
	if (is_up)
		s.unit = argv[i++];
	s.keep = argv + i;
	s.keep_len = argc - i;
	return change(&s, result_fd);
}
