/* SPDX-License-Identifier: MIT */
/*
 * Rings to disk. Where a ring was saved up to stands in its head, which outlives this process: one that was killed leaves lines to be
 * repeated, not lost.
 */
#include "saver.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "file.h"
#include "pid1.h"
#include "ring.h"
#include "text.h"

enum { TICK_MS = 1000, LAST_WORDS_MS = 300 };

static volatile sig_atomic_t is_told_to_end;

static void on_term(int sig)
{
	(void)sig;
	is_told_to_end = 1;
}

static int open_log(int dir, size_t more, size_t cap)
{
	static const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
	int fd = openat(dir, "0.log", flags, 0600);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size == 0 || (uint64_t)st.st_size + more <= cap)
		return fd;
	close(fd);
	if (renameat(dir, "0.log", dir, "1.log") < 0)
		return -errno;
	fd = openat(dir, "0.log", flags, 0600);
	return fd < 0 ? -errno : fd;
}

int saver_save(struct ring *r, int dir, size_t cap, char *buf, size_t size)
{
	uint64_t from = r->saved;
	char lost[128] = "";
	size_t len;
	int fd, err;

	if (__atomic_load_n(&r->head, __ATOMIC_ACQUIRE) == from)
		return 0;
	len = ring_copy(r, &from, buf, size);
	if (from - r->saved > len) {
		struct timespec now;

		clock_gettime(CLOCK_REALTIME, &now);
		text_time(&now, lost, sizeof(lost));
		snprintf(lost + strlen(lost), sizeof(lost) - strlen(lost), " stderr F coracle: %llu bytes of log lost before they were saved\n",
			(unsigned long long)(from - r->saved - len));
	}
	fd = open_log(dir, len, cap);
	if (fd < 0)
		return fd;
	err = file_write_all(fd, lost, strlen(lost));
	if (err == 0)
		err = file_write_all(fd, buf, len);
	if (err == 0 && fdatasync(fd) < 0)
		err = -errno;
	close(fd);
	if (err == 0)
		r->saved = from;
	return err;
}

static void save_all(struct pid1 *p, struct ring *const *ring, bool is_all)
{
	static char buf[CONFIG_LOG_RING_KIB * 1024];
	struct err e = { "" };
	int data = open(p->status->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (unsigned i = 0; data >= 0 && i < p->units_len; i++) {
		const struct unit_entry *u = &p->units[i].entry;
		char path[UNIT_NAME_MAX + 8];
		int dir;

		if (!ring[i] || !u->log_size_max || (!is_all && ring[i]->head - ring[i]->saved < ring[i]->size / 2))
			continue;
		snprintf(path, sizeof(path), "logs/%s", u->name);
		dir = file_make_dirs(data, path, 0755, &e) < 0 ? -1 : file_open_beneath(data, path, O_RDONLY | O_DIRECTORY, 0);
		if (dir < 0)
			continue;
		saver_save(ring[i], dir, u->log_size_max, buf, sizeof(buf));
		close(dir);
	}
	if (data >= 0)
		close(data);
}

int saver_run(struct pid1 *p)
{
	static struct ring *ring[CONFIG_UNITS_MAX];
	struct sigaction sa = { .sa_handler = on_term };
	unsigned seconds = 0;
	size_t len;

	helper_close_others(p);
	sigaction(SIGTERM, &sa, NULL);
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (unsigned i = 0; i < p->units_len; i++)
		if (p->units[i].is_used && p->units[i].ring_fd >= 0)
			ring[i] = ring_map(p->units[i].ring_fd, 1, &len);
	while (!is_told_to_end) {
		usleep(TICK_MS * 1000);
		if (!is_told_to_end)
			save_all(p, ring, ++seconds % CONFIG_LOG_FLUSH_S == 0);
	}
	usleep(LAST_WORDS_MS * 1000);	/* the logger is told at the same time */
	save_all(p, ring, true);
	return 0;
}
