/* SPDX-License-Identifier: MIT */
/*
 * `coracle exec NAME -- COMMAND...`: a command in a running container with the user, limits, rights and filter of its program, from the same
 * record. All of it is the client's own work; PID 1 only gives the record away, to root, where board.conf says exec=yes. The
 * client first executes a sealed copy of itself, so that nothing that is reached by /proc/PID/exe can be written to (CVE-2019-5736), is not
 * dumpable before it enters (CVE-2016-9962), and stays outside the container's cgroup and processes: only its child is one of them.
 */
#include "exec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client.h"
#include "enter.h"
#include "join.h"
#include "run.h"
#include "text.h"

enum { KEYCTL_JOIN_SESSION = 1 };

static int complain(const char *what)
{
	fprintf(stderr, "coracle: exec: %s: %s\n", what, strerror(errno));
	return START_EXIT_OURS;
}

static bool has_socket(char **argv)
{
	return argv[1] && !strcmp(argv[1], "--socket") && argv[2];
}

bool exec_is_asked(int argc, char **argv)
{
	int at = has_socket(argv) ? 3 : 1;

	return argc > at && !strcmp(argv[at], "exec");
}

static int ask(const char *socket, const char *name, struct control_reply *r, int fd[2])
{
	struct control_request q = { .magic = CONTROL_MAGIC, .command = CONTROL_EXEC };
	int e;

	text_copy(q.name, sizeof(q.name), name);
	e = client_ask(socket, &q, r, fd);
	if (e < 0 || r->code < 0 || fd[1] < 0)
		fprintf(stderr, "coracle: %s: %s\n", e < 0 ? socket : "exec", e < 0 ? strerror(-e) : r->text);
	return e < 0 || r->code < 0 || fd[1] < 0;
}

/* In the container, as its program. */
static void become(struct start_context *c, int procs_fd, char **argv)
{
	if (procs_fd >= 0 && write(procs_fd, "0", 1) != 1) {
		start_fail(c, "cgroup", "cgroup.procs", errno);
		return;
	}
	start_reset_signals();
	setsid();
	syscall(SYS_keyctl, KEYCTL_JOIN_SESSION, NULL);
	c->argv = argv;
	if (isatty(0) && isatty(1) && enter_terminal(c) < 0)
		return;
	if (enter_drop(c) == 0)
		enter_exec(c);
}

static int enter(struct start_context *c, int pidfd, const char *cgroup, const char *name, char **argv)
{
	char path[CONTROL_TEXT_MAX + 16];
	int procs_fd = -1, signals, ends[2];
	bool is_ready;
	pid_t pid;

	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return complain("socketpair");
	c->report_fd = ends[1];
	c->dev_fd = -1;
	signals = run_signals();
	if (signals < 0)
		return complain("signalfd");
	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	if (*cgroup && (procs_fd = open(path, O_WRONLY | O_CLOEXEC)) < 0)
		return complain(path);
	is_ready = start_load(c) == 0 && start_oom_score(c) >= 0;
	if (is_ready && join_container(c, pidfd) < 0)
		return complain("setns");
	pid = fork();
	if (pid == 0) {
		if (is_ready)
			become(c, procs_fd, argv);
		_exit(START_EXIT_OURS);
	}
	close(ends[1]);
	return pid < 0 ? complain("fork") : run_attend(name, pid, ends[0], signals);
}

int exec_main(char **argv)
{
	static struct start_context c;
	struct start_request q = { .die_with_parent = true };
	struct control_reply r;
	const char *socket = getenv("CORACLE_SOCKET");
	char **word = argv + (has_socket(argv) ? 4 : 2), *name = *word;
	int fd[2];

	if (has_socket(argv))
		socket = argv[2];
	if (name && *++word && !strcmp(*word, "--"))
		word++;
	if (!name || !*word) {
		fputs("usage: coracle exec NAME -- COMMAND [ARGUMENT]...\n", stderr);
		return 2;
	}
	if (join_sealed(argv) < 0)
		return complain("a sealed copy of this program");
	if (ask(socket ? socket : CONTROL_PATH, name, &r, fd))
		return START_EXIT_OURS;
	q.record_fd = fd[0];
	c.request = &q;
	return enter(&c, fd[1], r.text, name, word);
}
