/* SPDX-License-Identifier: MIT */
/*
 * Boot: from the kernel's hand-off to the named line. Reads board.conf, moves
 * off the rootfs, mounts, opens every descriptor that PID 1 keeps, blocks
 * signals. Each failure is a line; only the lack of a signal descriptor, without
 * which nothing could be reaped in time, is answered by polling instead.
 */
#include "boot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "board.h"
#include "pid1.h"
#include "plog.h"
#include "text.h"

enum { CGROUP2 = 0x63677270 };

static void write_file(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		plog("%s: not set to %s: %s", path, value, strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* 0, 1, 2 must be something: a program started without them would get its files there. */
static void hold_stdio(bool is_board)
{
	const char *dev = is_board ? "/dev/console" : "/dev/null";

	for (int fd = 0; fd < 3; fd++) {
		int got;

		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		got = open(dev, O_RDWR | O_NOCTTY);
		if (got < 0)
			got = open("/dev/null", O_RDWR);
		if (got >= 0 && got != fd) {
			dup2(got, fd);
			close(got);
		}
	}
}

/* A description of its own, so that being non-blocking is not shared with whoever else has the terminal. */
static int open_console(const struct board_conf *c, bool is_board)
{
	const char *dev = c->console_len ? c->console[0] : is_board ? "/dev/console" : "-";
	int fd = open(!strcmp(dev, "-") ? "/proc/self/fd/2" : dev, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC | O_APPEND);

	return fd;
}

static void programs_dir(char *out, size_t size)
{
	char path[256];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	path[n < 0 ? 0 : n] = '\0';
	slash = strrchr(path, '/');
	if (slash && slash != path)
		*slash = '\0';
	text_copy(out, size, slash && slash != path ? path : "/usr/bin");
}

static void find_cgroup(struct pid1 *p)
{
	static const char *const place[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	struct statfs fs;

	for (unsigned i = 0; i < 2; i++) {
		if (statfs(place[i], &fs) < 0 || fs.f_type != CGROUP2)
			continue;
		/* Host runs may stand beside each other. */
		if (p->is_board)
			snprintf(p->cgroup_dir, sizeof(p->cgroup_dir), "%s/coracle", place[i]);
		else
			snprintf(p->cgroup_dir, sizeof(p->cgroup_dir), "%s/coracle-%llx", place[i],
				(unsigned long long)p->status->boot_ms);
		return;
	}
	plog("no cgroup v2: limits are skipped, and memory is not shown");
}

/* No RTC, or an empty one: certificates are not valid in 1970. Later than the build it certainly is. */
static void clock_floor(struct pid1 *p)
{
	const struct timespec floor = { .tv_sec = (time_t)CONFIG_BUILD_STAMP };
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec >= floor.tv_sec)
		return;
	if (clock_settime(CLOCK_REALTIME, &floor) < 0)
		plog("clock: not set to the time of the build: %s", strerror(errno));
	else
		plog("clock: it was before the build of this software; set to the time of the build");
	p->status->is_clock_floor = 1;
}

static void signals(struct pid1 *p)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	p->signal_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (p->signal_fd < 0)
		plog("signalfd: %s", strerror(errno));
	if (p->is_board && reboot(RB_DISABLE_CAD) < 0)
		plog("ctrl-alt-del resets at once: %s", strerror(errno));
}

static void consoles(struct pid1 *p)
{
	struct board_conf *c = &p->conf;

	if (!c->is_console_set) {
		if (p->is_board)
			text_copy(c->console[c->console_len++], sizeof(c->console[0]), "/dev/console");
		else if (isatty(0))
			text_copy(c->console[c->console_len++], sizeof(c->console[0]), "-");
	}
	for (unsigned i = 0; i < c->console_len; i++)
		p->helpers[HELPER_CONSOLE + i].is_wanted = true;
}

static void make_status(struct pid1 *p)
{
	static struct status fallback;
	int fd, read_fd;
	size_t len;

	p->status = status_make(&p->status_fd, &p->status_read_fd);
	if (!p->status) {
		plog("status record: %s; `coracle status` will not work", strerror(errno));
		p->status = &fallback;
		p->status_read_fd = -1;
	}
	p->log = NULL;
	p->log_read_fd = -1;
	if (ring_make("coracle-log", CONFIG_LOG_RING_KIB, &fd, &read_fd) == 0) {
		p->log = ring_map(fd, 1, &len);
		p->log_read_fd = read_fd;
		p->log_fd = fd;
		/* Touched now, so that PID 1's resident memory does not grow with the lines to come. */
		for (uint32_t at = 0; p->log && at < p->log->size; at += 4096)
			p->log->data[at] = 0;
	}
	p->status->boot_ms = text_now_ms();
	text_copy(p->status->version, sizeof(p->status->version), CORACLE_VERSION);
	text_copy(p->status->bin_dir, sizeof(p->status->bin_dir), p->bin_dir);
	p->status->is_host = !p->is_board;
}

static void empty(struct pid1 *p)
{
	memset(p, 0, sizeof(*p));
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
		p->clients[i].fd = -1;
	for (unsigned i = 0; i < JOBS_MAX; i++)
		p->jobs[i].result_fd = p->jobs[i].err.fd = p->jobs[i].memfd = -1;
	for (unsigned i = 0; i < CONFIG_UNITS_MAX; i++)
		p->units[i].report_fd = p->units[i].notify_fd = p->units[i].health.out_fd = -1;
	text_copy(p->etc_dir, sizeof(p->etc_dir), "/etc/coracle");
	p->console_fd = p->said[0].fd = p->said[1].fd = p->watchdog.fd = p->kmsg_fd = p->log_fd = -1;
}

/* Kernel messages below "warning" do not belong between a technician's keys. */
static void quiet_kernel(void)
{
	static const char path[] = "/proc/sys/kernel/printk";
	char now[64];

	if (text_file(path, now, sizeof(now)) > 0 && now[0] > '4')
		write_file(path, "4");
}

void boot(struct pid1 *p, int argc, char **argv)
{
	bool is_moved = false;
	char path[192];

	empty(p);
	umask(022);
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--etc") && i + 1 < argc)
			text_copy(p->etc_dir, sizeof(p->etc_dir), argv[++i]);
		else if (!strcmp(argv[i], "--moved"))
			is_moved = true;
	}
	snprintf(path, sizeof(path), "%s/board.conf", p->etc_dir);
	board_conf_read(&p->conf, path);
	p->is_board = !p->conf.is_host;
	if (p->is_board && !is_moved && boot_is_rootfs()) {
		int ret = boot_move();

		if (ret == 0) {
			char *again[] = { argv[0], "--moved", NULL };

			execv(argv[0], again);
			ret = -errno;
		}
		plog("initramfs: not moved to a tmpfs, containers will not start: %s", strerror(-ret));
	}
	boot_mounts(p->is_board);
	hold_stdio(p->is_board);
	programs_dir(p->bin_dir, sizeof(p->bin_dir));
	p->console_fd = open_console(&p->conf, p->is_board);
	make_status(p);
	if (p->is_board)
		p->kmsg_fd = open("/dev/kmsg", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	plog_open(p->log, p->console_fd, p->kmsg_fd);
	plog("coracle-init %s", CORACLE_VERSION);
	for (unsigned i = 0; i < p->conf.errors && i < BOARD_CONF_ERRORS; i++)
		plog("%s", p->conf.error[i]);

	if (p->is_board) {
		write_file("/proc/self/oom_score_adj", "-1000");
		write_file("/proc/sys/kernel/panic", "5");
		/* A break on the serial line and one character more would reboot the board, whatever the passphrase. */
		write_file("/proc/sys/kernel/sysrq", "0");
		quiet_kernel();
		clock_floor(p);
	}
	if (sethostname(p->conf.hostname, strlen(p->conf.hostname)) < 0)
		plog("hostname: %s", strerror(errno));
	find_cgroup(p);
	signals(p);
	p->control_fd = control_listen(CONTROL_PATH, p->conf.read_group);
	if (p->control_fd < 0)
		plog("%s: %s; `coracle` will not work", CONTROL_PATH, strerror(-p->control_fd));
	consoles(p);
	p->helpers[HELPER_ATTEND].is_wanted = p->is_board;
	p->helpers[HELPER_METRICS].is_wanted = p->conf.metrics_port;
	p->now_ms = text_now_ms();
	board_begin(p);
	/* Programs must not look into PID 1, nor PID 1's pages go to swap under pressure. */
	prctl(PR_SET_DUMPABLE, 0);
}
