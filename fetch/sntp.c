/* SPDX-License-Identifier: MIT */
/* Servers come from board.conf (trusted) or leases that dhcp-script checked (hostile in what they name: an address, no more). What chronyd sets is judged. */
#include "sntp.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "file.h"
#include "filter.h"
#include "jail.h"
#include "link.h"

enum { LEASE_MAX = 1024, LIST_MAX = 512, CONF_MAX = 2048, HOSTS_MAX = 65536, AGAIN_FIRST_MS = 5000, AGAIN_CAP_MS = 300000,
	DOUBT_MS = 60000, KEEP_MS = 3600000, WAIT_LOOK_MS = 200 };

static struct {
	struct jail jail;
	char list[LIST_MAX];		/* servers in use */
	uint64_t again_ms, pause_ms;	/* when chronyd is started (again); the pause before the next */
	uint64_t wait_ms;		/* until then others should wait */
	uint64_t kept_ms;
	int64_t good_ms;		/* the last believable time less now_ms of then; 0: none yet */
	bool is_confirmed;
	char told[40];			/* what stands in SNTP_FILE */
} me = { .jail = { 0, -1 } };

static void tell(const char *text)
{
	int dir;

	if (!strcmp(text, me.told))
		return;
	dir = open(ATTEND_RUN, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return;
	if (!*text)
		unlinkat(dir, "clock", 0);
	if (!*text || file_replace(dir, "clock", span_str(text), 0644, NULL) == 0)
		snprintf(me.told, sizeof(me.told), "%s", text);
	close(dir);
}

static bool is_host(const char *s, size_t len)
{
	return len > 0 && len < 128 && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") >= len && s[0] != '-' && s[0] != '.';
}

unsigned sntp_config(const char *list, char *out, size_t size, char *bad, size_t bad_size)
{
	unsigned count = 0;
	size_t at;

	/* Steps whatever the offset and whenever: PID 1 measures by the time since boot. rtcsync: the kernel's "synchronised" is what we look at,
	 * and a clock in hardware is set by it. */
	at = (size_t)snprintf(out, size, "makestep 1.0 -1\nrtcsync\npidfile /\nbindcmdaddress /\nport 0\n");
	bad[0] = '\0';
	while (*list) {
		size_t len = strcspn(list, "\n"), name = strcspn(list, ":\n");
		unsigned long port = name < len ? strtoul(list + name + 1, NULL, 10) : 123;

		if (is_host(list, name) && port > 0 && port < 65536 && at + name + 80 < size) {
			at += (size_t)snprintf(out + at, size - at, "server %.*s port %lu iburst\n", (int)name, list, port);
			count++;
		} else if (len && bad_size) {
			snprintf(bad, bad_size, "%.*s", (int)len, list);
		}
		list += len + (list[len] == '\n');
	}
	return count;
}

/* What the leases name, one a line. Not by glob(3), which brings 25 KB of character classes along. */
static void from_leases(char out[LIST_MAX])
{
	DIR *dir = opendir(ATTEND_RUN);
	size_t at = 0;

	out[0] = '\0';
	for (struct dirent *d = dir ? readdir(dir) : NULL; d; d = readdir(dir)) {
		char *text, *save, *line;
		size_t len;

		if (strncmp(d->d_name, "lease.", 6) != 0 || file_read(dirfd(dir), d->d_name, LEASE_MAX, &text, &len, NULL) < 0)
			continue;
		for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
			if (!strncmp(line, "ntp=", 4) && at + strlen(line) < LIST_MAX)
				at += (size_t)snprintf(out + at, LIST_MAX - at, "%s\n", line + 4);
		free(text);
	}
	if (dir)
		closedir(dir);
}

static const struct sock_filter filter[] = {
	FILTER_BEGIN, FILTER_START,
#ifdef SYS_select
	FILTER_ALLOW(select),
#endif
#ifdef SYS__newselect
	FILTER_ALLOW(_newselect),
#endif
	FILTER_OPEN, FILTER_POLL, FILTER_ALLOW(lseek_any), FILTER_ALLOW(socket), FILTER_ALLOW(connect), FILTER_ALLOW(bind), FILTER_ALLOW(sendto),
	FILTER_ALLOW(sendmsg), FILTER_ALLOW(sendmmsg), FILTER_ALLOW(recvfrom), FILTER_ALLOW(recvmsg), FILTER_ALLOW(recvmmsg_any),
	FILTER_ALLOW(getsockname), FILTER_ALLOW(getsockopt), FILTER_ALLOW(setsockopt),
	FILTER_ALLOW(pselect_any), FILTER_ALLOW(getrandom), FILTER_ALLOW(gettimeofday_old), FILTER_ALLOW(nanosleep_any),
	FILTER_ALLOW(adjtime_any), FILTER_ALLOW(adjtimex), FILTER_ALLOW(settime_any), FILTER_ALLOW(settimeofday_old), FILTER_ALLOW(getuid_any), FILTER_ALLOW(geteuid_any),
	FILTER_ALLOW(getgid_any), FILTER_ALLOW(getegid_any), FILTER_ALLOW(getpid), FILTER_ALLOW(umask), FILTER_ALLOW(uname), FILTER_ALLOW(prlimit64),
	/* A program of others: what it can do without it is denied, not killed for. */
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
};

/* chronyd lies beside this program. */
static int open_chronyd(void)
{
	char path[4096];
	int r = file_sibling("chronyd", path, sizeof(path)), fd = r < 0 ? r : open(path, O_PATH | O_CLOEXEC);

	return fd < 0 && r == 0 ? -errno : fd;
}

static void start(uint64_t now_ms)
{
	char conf[CONF_MAX], bad[128], *resolv = NULL, *hosts = NULL;
	/* It looks for the name of user 0, which it is not. */
	struct jail_file files[4] = { { "etc/chrony.conf", { NULL, 0 } }, { "etc/passwd", span_str("root:x:0:0:::\n") } };
	char *argv[] = { "chronyd", "-d", "-U", "-f", "/etc/chrony.conf", NULL };
	struct jail_spec spec = {
		.name = "chronyd", .uid = CONFIG_UID_SNTP, .caps = 1ull << CAP_SYS_TIME, .host_network = true, .files = files, .files_len = 2,
		.memory_max = 64ull << 20, .fds_max = 64, .filter = filter, .filter_len = sizeof(filter) / sizeof(*filter),
	};
	struct err e = { "" };
	int exe = open_chronyd(), r = exe;
	size_t len;

	sntp_config(me.list, conf, sizeof(conf), bad, sizeof(bad));
	if (bad[0])
		fprintf(stderr, "clock: %s: no HOST or HOST:PORT; passed over\n", bad);
	files[0].data = span_str(conf);
	/* Read afresh each time, as a new lease may have replaced them. */
	if (file_read(AT_FDCWD, "/etc/resolv.conf", HOSTS_MAX, &resolv, &len, NULL) == 0)
		files[spec.files_len++] = (struct jail_file){ "etc/resolv.conf", span_of(resolv, len) };
	if (file_read(AT_FDCWD, "/etc/hosts", HOSTS_MAX, &hosts, &len, NULL) == 0)
		files[spec.files_len++] = (struct jail_file){ "etc/hosts", span_of(hosts, len) };
	if (exe < 0)
		err_sys(&e, -exe, "chronyd is not beside this program");
	else
		r = jail_start(&me.jail, &spec, exe, argv, (struct jail_fd[]){ { 2, 1 }, { 2, 2 } }, 2, &e);
	if (r < 0)
		fprintf(stderr, "clock: not asked for: %s\n", e.text);
	me.pause_ms = me.pause_ms ? me.pause_ms * 2 : AGAIN_FIRST_MS;
	if (me.pause_ms > AGAIN_CAP_MS)
		me.pause_ms = AGAIN_CAP_MS;
	me.again_ms = now_ms + me.pause_ms;
	if (exe >= 0)
		close(exe);
	free(resolv);
	free(hosts);
}

static bool has_ended(void)
{
	struct pollfd p = { .fd = me.jail.pidfd, .events = POLLIN };

	return me.jail.pid > 0 && poll(&p, 1, 0) > 0;
}

static void use(const char *list, uint64_t now_ms)
{
	snprintf(me.list, sizeof(me.list), "%s", list);
	jail_kill(&me.jail);
	me.again_ms = now_ms;
	me.pause_ms = 0;
	me.wait_ms = UINT64_MAX;	/* until it can be asked */
}

/* Before there is a way out of the board an answer would only be waited for: chronyd then asks again a minute later. */
static bool has_route(void)
{
	int fd = open("/proc/net/route", O_RDONLY | O_CLOEXEC);	/* a headline, then a line for each */
	char text[1024];
	ssize_t n = fd < 0 ? 0 : file_read_full(fd, text, sizeof(text));
	const char *end = n <= 0 ? NULL : memchr(text, '\n', (size_t)n);

	if (fd >= 0)
		close(fd);
	return fd < 0 || (end && end + 1 < text + n);
}

static bool is_synced(void)
{
	struct timex t = { .modes = 0 };

	return adjtimex(&t) >= 0 && !(t.status & STA_UNSYNC);
}

/* The last confirmed time, or the build. */
static time_t lowest(int data)
{
	int64_t saved = data < 0 ? 0 : clock_saved(data);

	return saved > CONFIG_BUILD_STAMP ? (time_t)saved : (time_t)CONFIG_BUILD_STAMP;
}

/* A time that cannot be is put back to what it was before, or else to the lowest there is; true where it can be. */
static bool judge(int data, uint64_t now_ms)
{
	struct timespec now, floor = { .tv_sec = lowest(data) };
	int64_t was_s = me.good_ms ? (me.good_ms + (int64_t)now_ms) / 1000 : 0;
	char shown[2][24];

	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec >= floor.tv_sec && now.tv_sec < (time_t)CONFIG_BUILD_STAMP + CLOCK_LIFE_S) {
		me.good_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - (int64_t)now_ms;
		return true;
	}
	if (was_s > floor.tv_sec)
		floor.tv_sec = (time_t)was_s;
	strftime(shown[0], sizeof(shown[0]), "%Y-%m-%d %H:%M:%SZ", gmtime(&now.tv_sec));
	strftime(shown[1], sizeof(shown[1]), "%Y-%m-%d %H:%M:%SZ", gmtime(&floor.tv_sec));
	if (me.jail.pid > 0) {
		jail_kill(&me.jail);
		me.again_ms = now_ms + DOUBT_MS;
	}
	if (clock_settime(CLOCK_REALTIME, &floor) < 0)
		fprintf(stderr, "clock: not set to %s: %s\n", shown[1], strerror(errno));
	else
		fprintf(stderr, "clock: it said %s, which is not believed: set to %s, %s\n", shown[0], shown[1],
			was_s == floor.tv_sec ? "as before" : "the later of build and last confirmed time");
	me.is_confirmed = false;
	return false;
}

static void keep(int data, uint64_t now_ms)
{
	struct err e = { "" };

	if (data < 0 || (me.kept_ms && now_ms < me.kept_ms + KEEP_MS))
		return;
	if (clock_save(data, &e) < 0)
		fprintf(stderr, "clock: the time is not kept: %s\n", e.text);
	me.kept_ms = now_ms;
}

/* The data partition, once it is there: -1 before. */
static int open_data(const struct attend *a)
{
	int dir = open(a->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir >= 0 && faccessat(dir, "state", F_OK, 0) < 0) {
		close(dir);
		return -1;
	}
	return dir;
}

void sntp_look(const struct attend *a, uint64_t now_ms)
{
	int data = open_data(a);
	char list[LIST_MAX], text[40];
	bool is_good = judge(data, now_ms);

	from_leases(list);
	if (a->ntp[0])
		snprintf(list, sizeof(list), "%s", strstr(a->ntp, "none\n") ? "" : a->ntp);
	if (strcmp(list, me.list) != 0)
		use(list, now_ms);
	if (has_ended()) {
		int status = jail_wait(&me.jail, -1);

		fprintf(stderr, "clock: chronyd ended with %d; again in %llu s\n", status,
			(unsigned long long)(me.again_ms > now_ms ? (me.again_ms - now_ms) / 1000 : 0));
	}
	if (me.list[0] && me.jail.pid <= 0 && now_ms >= me.again_ms && has_route()) {
		start(now_ms);
		if (me.wait_ms == UINT64_MAX)
			me.wait_ms = now_ms + CONFIG_CLOCK_WAIT_S * 1000ULL;
	}
	if (is_good && me.jail.pid > 0 && is_synced()) {
		if (!me.is_confirmed)
			fprintf(stderr, "clock: confirmed by SNTP\n");
		me.is_confirmed = true;
		me.pause_ms = 0;
		keep(data, now_ms);
	} else if (me.jail.pid <= 0 || !is_synced()) {
		me.is_confirmed = false;
	}
	snprintf(text, sizeof(text), "wait %llu\n", (unsigned long long)me.wait_ms);
	tell(!me.list[0] ? "" : me.is_confirmed ? "confirmed\n" : now_ms < me.wait_ms ? text : "unconfirmed\n");
	if (data >= 0)
		close(data);
}

void sntp_end(const struct attend *a)
{
	int data = open_data(a);

	me.kept_ms = 0;
	if (me.is_confirmed && data >= 0)
		keep(data, 1);
	jail_kill(&me.jail);
	if (data >= 0)
		close(data);
}

bool sntp_wait(void (*say)(void *to, const char *line), void *to)
{
	uint64_t end_ms = (uint64_t)link_now_ms() + CONFIG_CLOCK_WAIT_S * 1000ULL;
	bool has_said = false;

	for (;;) {
		char *text;
		size_t len;
		unsigned long long until = 0;
		bool is_asked = file_read(AT_FDCWD, SNTP_FILE, LEASE_MAX, &text, &len, NULL) == 0;
		bool is_confirmed = is_asked && !strcmp(text, "confirmed\n");

		if (is_asked) {
			sscanf(text, "wait %llu", &until);
			free(text);
		}
		if (!is_asked || is_confirmed || (uint64_t)link_now_ms() >= (until < end_ms ? until : end_ms))
			return !is_asked || is_confirmed;
		if (!has_said && say)
			say(to, "waiting for the time from a server");
		has_said = true;
		usleep(WAIT_LOOK_MS * 1000);
	}
}
