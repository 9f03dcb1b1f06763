/* SPDX-License-Identifier: MIT */
/*
 * One health check, in a process of its own that PID 1 forked and will kill when it is late. A command goes in by a sealed copy of this
 * program (join.h), as which health_main() begins, and runs as the program does: in the
 * unit's cgroup and namespaces, then the same drop of rights and the same filter from the same record. A knock at a port joins the
 * unit's network alone and drops everything first. The joining process is never dumpable, so nothing in the container can look into it
 * before it is one of them (CVE-2016-9962); its descriptors are closed by the drop (join.c).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "enter.h"
#include "health.h"
#include "join.h"

int setns(int fd, int nstype);

enum { USER = 65534 };

static int complain(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	fflush(stdout);
	return 1;
}

/* The other end of the report: what stopped the command from being executed. */
static int outcome(int fd, pid_t pid)
{
	struct start_report r;
	int status = 1 << 8;	/* where there is no child: failed */

	if (read(fd, &r, sizeof(r)) == sizeof(r)) {
		char text[512];

		r.step[sizeof(r.step) - 1] = r.object[sizeof(r.object) - 1] = '\0';
		start_text(&r, text, sizeof(text));
		printf("%s\n", text);
		fflush(stdout);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Words before those of the command; the descriptors are where health.c put them. */
enum { NAME, CGROUP, COMMAND };

/* In a sealed copy, which says by its own output what stopped it. */
static int run_command(const struct health_check *h)
{
	char *argv[UNIT_HEALTH_WORDS_MAX + 3 + COMMAND] = { HEALTH_NAME, (char *)h->cgroup };
	const char *at = h->health->arg;

	for (int n = COMMAND; *at && n < UNIT_HEALTH_WORDS_MAX + 2 + COMMAND; n++) {
		argv[n] = (char *)at;
		at += strlen(at) + 1;
	}
	join_sealed(argv);
	return complain("a sealed copy of this program");
}

int health_main(char **argv)
{
	const struct start_request q = { .record_fd = HEALTH_RECORD_FD, .die_with_parent = true };
	static struct start_context c;
	int ends[2];
	pid_t pid;

	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_NAME, "health");
	c.request = &q;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return complain("socketpair");
	c.report_fd = ends[1];
	if (start_load(&c) < 0) {
		close(ends[1]);
		return outcome(ends[0], -1);
	}
	/* Its memory and processes are the unit's. */
	if (argv[CGROUP][0] && cgroup_write(argv[CGROUP], "cgroup.procs", "0") < 0)
		return complain(argv[CGROUP]);
	if (join_container(&c, HEALTH_PIDFD) < 0)
		return complain("setns");
	pid = fork();
	if (pid < 0)
		return complain("fork");
	if (pid == 0) {
		close(ends[0]);
		c.argv = argv + COMMAND;
		if (enter_drop(&c) == 0)
			enter_exec(&c);
		_exit(126);
	}
	close(ends[1]);
	return outcome(ends[0], pid);
}

static bool drop_all(void)
{
	return setgroups(0, NULL) == 0 && setgid(USER) == 0 && setuid(USER) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

/* The first words of the answer: "HTTP/1.1 200". */
static int ask_http(int fd, const char *path)
{
	char text[UNIT_HEALTH_ARG_MAX + 96];
	int len = snprintf(text, sizeof(text), "GET %s HTTP/1.0\r\nHost: localhost\r\nUser-Agent: coracle\r\nConnection: close\r\n\r\n", path);
	ssize_t n = send(fd, text, (size_t)len, MSG_NOSIGNAL);

	if (n != len)
		return complain("send");
	n = recv(fd, text, 12, MSG_WAITALL);
	if (n < 0)
		return complain("receive");
	text[n] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	printf("%s\n", text);
	fflush(stdout);
	return !(n >= 12 && !strncmp(text, "HTTP/1.", 7) && text[8] == ' ' && (text[9] == '2' || text[9] == '3'));
}

static int knock(const struct health_check *h)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)h->health->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd;

	/* With the host's network this is where we are already. */
	if (setns(HEALTH_PIDFD, CLONE_NEWNET) < 0)
		return complain("setns");
	if (!drop_all())
		return complain("drop of rights");
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return complain("connect");
	return h->health->kind == UNIT_HEALTH_HTTP ? ask_http(fd, h->health->arg) : 0;
}

int health_check(void *arg)
{
	const struct health_check *h = arg;

	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return h->health->kind == UNIT_HEALTH_CMD ? run_command(h) : knock(h);
}
