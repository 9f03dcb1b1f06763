/* SPDX-License-Identifier: MIT */
/*
 * PID 1's helpers: started, started again when they end, with growing pauses
 * for what ends at once. A helper's death is a line in the log, nothing more. Never
 * allocates, never waits.
 */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "logger.h"
#include "pid1.h"
#include "plog.h"
#include "saver.h"
#include "spawn.h"
#include "text.h"

enum { AGAIN_FIRST_MS = 200, AGAIN_CAP_MS = 10000, LOGGER_CAP_MS = 500, SHORT_LIFE_MS = 10000, METRICS_BACKLOG = 8, NOBODY = 65534 };

struct helper_child {
	struct pid1 *pid1;
	unsigned which;
};

const char *helper_name(unsigned which)
{
	return which == HELPER_LOGGER ? "logger" : which == HELPER_SAVER ? "saver" : which == HELPER_DHCPCD ? "dhcpcd" :
		which == HELPER_ATTEND ? "attendant" : which == HELPER_METRICS ? "metrics" : "console";
}

/* Programs wait for the logger once their pipes are full. */
static unsigned cap_ms(unsigned which)
{
	return which == HELPER_LOGGER ? LOGGER_CAP_MS : AGAIN_CAP_MS;
}

static int run_dhcpcd(const struct pid1 *p)
{
	char path[192], script[192], conf[192];
	char *argv[10];
	int n = 0;

	snprintf(path, sizeof(path), "%s/dhcpcd", p->bin_dir);
	snprintf(script, sizeof(script), "%s/dhcp-script", p->bin_dir);
	snprintf(conf, sizeof(conf), "%s/dhcpcd.conf", p->etc_dir);
	argv[n++] = "dhcpcd";
	argv[n++] = "-B";
	argv[n++] = "-4";
	argv[n++] = "-c";
	argv[n++] = script;
	argv[n++] = "-f";
	argv[n++] = access(conf, R_OK) == 0 ? conf : "/dev/null";
	if (p->conf.net_iface[0])
		argv[n++] = (char *)p->conf.net_iface;
	argv[n] = NULL;
	return spawn_exec(path, argv);
}

static int run_attendant(const struct pid1 *p)
{
	char *argv[] = { "coracle-fetch", "attend", (char *)p->etc_dir, NULL };
	char path[192];

	snprintf(path, sizeof(path), "%s/coracle-fetch", p->bin_dir);
	return spawn_exec(path, argv);
}

/* Makes DEV the controlling terminal and 0, 1, 2; "-" keeps what PID 1 was started with. */
static int run_console(const struct pid1 *p, unsigned line)
{
	char *argv[] = { "coracle-bundle", "client", "console", (char *)p->etc_dir, p->conf.is_plain[line] ? "--plain" : NULL, NULL };
	const char *dev = p->conf.console[line];
	char path[192];
	int fd = 0;

	if (strcmp(dev, "-") != 0) {
		fd = open(dev, O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (fd < 0)
			return 1;
		for (int i = 0; i < 3; i++)
			dup2(fd, i);
	}
	/* Fails on a host where the terminal belongs to another session; then Ctrl-C is a byte that the prompt reads itself. */
	if (ioctl(0, TIOCSCTTY, 0) < 0)
		fd = 0;
	snprintf(path, sizeof(path), "%s/coracle-bundle", p->bin_dir);
	return spawn_exec(path, argv);
}

/* The exporter is handed the socket it answers on as descriptor 0, and the ids of nobody; its exit status says what failed before that. */
static int run_metrics(const struct pid1 *p)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)p->conf.metrics_port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	gid_t group = p->conf.read_group ? p->conf.read_group : NOBODY;
	char *argv[] = { "coracle-bundle", "client", "metrics", "--listen", NULL };
	int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	char path[192];

	/* lo may not be up yet. */
	if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on)) < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, METRICS_BACKLOG) < 0 || dup2(fd, 0) < 0)
		return errno;
	close(fd);
	if (setgroups(0, NULL) < 0 || setresgid(group, group, group) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return errno;
	snprintf(path, sizeof(path), "%s/coracle-bundle", p->bin_dir);
	return spawn_exec(path, argv);
}

static int helper_child(void *arg)
{
	const struct helper_child *c = arg;

	if (c->which == HELPER_LOGGER)
		return logger_run(c->pid1);
	if (c->which == HELPER_SAVER)
		return saver_run(c->pid1);
	if (c->which == HELPER_DHCPCD)
		return run_dhcpcd(c->pid1);
	if (c->which == HELPER_METRICS)
		return run_metrics(c->pid1);
	if (c->which == HELPER_ATTEND)
		return run_attendant(c->pid1);
	return run_console(c->pid1, c->which - HELPER_CONSOLE);
}

static void start(struct pid1 *p, unsigned which, uint64_t now_ms)
{
	struct helper *h = &p->helpers[which];
	struct helper_child c = { p, which };
	struct spawn s = { .name = helper_name(which), .stdio = { -1, -1, -1 }, .run = helper_child, .arg = &c };
	int err = -1;

	if (which >= HELPER_CONSOLE) {
		plog_quiet();
		if (!strcmp(p->conf.console[which - HELPER_CONSOLE], "-"))
			for (int i = 0; i < 3; i++)
				s.stdio[i] = i;
	}
	if (which >= HELPER_HEARD && which < HELPER_METRICS) {
		struct lines *said = &p->said[which - HELPER_HEARD];

		lines_close(said, helper_name(which));
		err = lines_open(said);
		s.stdio[1] = s.stdio[2] = err;
	}
	s.keeps_fds = which == HELPER_LOGGER || which == HELPER_SAVER;
	h->pid = spawn(&s);
	if (err >= 0)
		close(err);
	h->since_ms = now_ms;
	if (h->pid < 0) {
		if (!h->is_kept_out)
			plog("%s: not started: %s", helper_name(which), strerror((int)-h->pid));
		h->pid = 0;
		h->due_ms = now_ms + cap_ms(which);
	}
	h->is_kept_out = !h->pid;
}

uint64_t helper_scan(struct pid1 *p, uint64_t now_ms)
{
	uint64_t next = 0;

	if (p->power_step > 1)
		return 0;
	for (unsigned i = 0; i < HELPERS; i++) {
		struct helper *h = &p->helpers[i];

		if (!h->is_wanted || h->pid || (i == HELPER_SAVER && !p->status->is_data_there))
			continue;
		if (h->due_ms <= now_ms)
			start(p, i, now_ms);
		if (!h->pid && (!next || h->due_ms < next))
			next = h->due_ms;
	}
	return next;
}

bool helper_reaped(struct pid1 *p, pid_t pid, int status)
{
	for (unsigned i = 0; i < HELPERS; i++) {
		struct helper *h = &p->helpers[i];
		bool is_short = p->now_ms - h->since_ms < SHORT_LIFE_MS;

		if (h->pid != pid)
			continue;
		h->pid = 0;
		h->fails = is_short ? h->fails + 1 : 0;
		h->due_ms = p->now_ms + unit_backoff_ms(AGAIN_FIRST_MS, cap_ms(i), h->fails - is_short);
		if (h->is_replaced) {
			h->fails = 0;
			h->due_ms = p->now_ms;
			h->is_replaced = false;
		} else if (p->power == STATUS_POWER_ON && (i < HELPER_CONSOLE || !WIFEXITED(status) ||
			   WEXITSTATUS(status) != 0)) {
			plog("%s: %s %d, starts again", helper_name(i), WIFSIGNALED(status) ?
				"killed by signal" : "ended with code",
				WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		}
		return true;
	}
	return false;
}

void helper_close_others(struct pid1 *p)
{
	close(p->signal_fd);
	close(p->control_fd);
	for (unsigned i = 0; i < HELPER_METRICS - HELPER_HEARD; i++)
		close(p->said[i].fd);
	close(p->watchdog.fd);
	close(p->kmsg_fd);
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
		if (p->clients[i].fd >= 0)
			close(p->clients[i].fd);
	for (unsigned i = 0; i < EVENTS_READERS; i++)
		if (p->readers[i].fd > 0)
			close(p->readers[i].fd);
	for (unsigned i = 0; i < JOBS_MAX; i++) {
		if (p->jobs[i].kind == JOB_FREE)
			continue;
		close(p->jobs[i].result_fd);
		close(p->jobs[i].err.fd);
		close(p->jobs[i].memfd);
	}
	for (unsigned i = 0; i < p->units_len; i++) {
		if (!p->units[i].is_used)
			continue;
		close(p->units[i].record_fd);
		close(p->units[i].report_fd);
		close(p->units[i].pidfd);
		close(p->units[i].notify_fd);
		close(p->units[i].health.out_fd);
	}
}

void helper_renew_logger(struct pid1 *p)
{
	for (unsigned i = HELPER_LOGGER; i <= HELPER_SAVER; i++) {
		struct helper *h = &p->helpers[i];

		h->is_wanted = i == HELPER_LOGGER || CONFIG_LOG_FLUSH_S;
		if (h->pid && !h->is_replaced) {
			h->is_replaced = true;
			kill(h->pid, SIGTERM);	/* it ends what it is at and leaves */
		}
	}
}
