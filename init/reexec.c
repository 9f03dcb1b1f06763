/* SPDX-License-Identifier: MIT */
/*
 * The state is struct pid1 as it lies in memory, behind a head that says for which build's shape of it; its two pointers are made anew
 * from descriptors. It comes from PID 1 alone, in a sealed memfd.
 */
#include "reexec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "job_child.h"
#include "pid1.h"
#include "plog.h"
#include "spawn.h"
#include "text.h"

enum { REEXEC_FORMAT = 1, FDS_MAX = 1024, SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL };

struct head {
	char magic[8];
	uint32_t format;
	uint32_t size, unit_size, status_size;	/* of the structures; another shape is another number, as a rule */
};

static const struct head ours = { .magic = "CORSTAT", .format = REEXEC_FORMAT, .size = sizeof(struct pid1),
	.unit_size = sizeof(struct unit), .status_size = sizeof(struct status) };

/* A memfd with the state, or -errno. */
static int save(const struct pid1 *p)
{
	int fd = memfd_create("coracle-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (write(fd, &ours, sizeof(ours)) == sizeof(ours) && write(fd, p, sizeof(*p)) == sizeof(*p) &&
	    fcntl(fd, F_ADD_SEALS, SEALS) == 0)
		return fd;
	close(fd);
	return -ENOSPC;
}

static bool is_readable(int fd)
{
	struct head h;

	return fcntl(fd, F_GET_SEALS) == SEALS && pread(fd, &h, sizeof(h), 0) == sizeof(h) && !memcmp(&h, &ours, sizeof(h)) &&
		lseek(fd, 0, SEEK_END) == (off_t)(sizeof(h) + sizeof(struct pid1));
}

int reexec_check(int fd)
{
	return is_readable(fd) ? job_say(JOB_DONE, "") : job_say(JOB_REFUSED, "it has another shape of the state");
}

int reexec_job(const struct pid1 *p)
{
	char path[192], number[12];
	char *argv[] = { "coracle-init", "--check-state", number, NULL };
	int fd = save(p);

	if (fd < 0)
		return job_say(JOB_RETRY, strerror(-fd));
	fcntl(fd, F_SETFD, 0);
	snprintf(path, sizeof(path), "%s/coracle-init", p->bin_dir);
	snprintf(number, sizeof(number), "%d", fd);
	return spawn_exec(path, argv);
}

void reexec_checked(struct pid1 *p, unsigned code, const char *text)
{
	p->is_reexec_due = code == JOB_DONE;
	if (code != JOB_DONE)
		plog("reexec: the coracle-init that lies there now cannot go on from here: %s; reboot to use it", text);
}

static void keep_over_exec(bool is_kept)
{
	for (int fd = 3; fd < FDS_MAX; fd++)
		fcntl(fd, F_SETFD, is_kept ? 0 : FD_CLOEXEC);
}

void reexec_now(struct pid1 *p)
{
	char path[192], number[12];
	char *argv[] = { path, "--state", number, NULL };
	int fd;

	if (!p->is_reexec_due || p->power != STATUS_POWER_ON)
		return;
	p->is_reexec_due = false;
	fd = save(p);
	if (fd < 0) {
		plog("reexec: %s", strerror(-fd));
		return;
	}
	snprintf(path, sizeof(path), "%s/coracle-init", p->bin_dir);
	snprintf(number, sizeof(number), "%d", fd);
	plog("reexec: %s takes over", path);
	keep_over_exec(true);
	execv(path, argv);
	plog("reexec: %s: %s", path, strerror(errno));
	keep_over_exec(false);
	close(fd);
}

bool reexec_resume(struct pid1 *p, int fd)
{
	size_t len;

	if (!is_readable(fd) || pread(fd, p, sizeof(*p), sizeof(struct head)) != sizeof(*p))
		return false;
	close(fd);
	keep_over_exec(false);
	p->status = status_map(p->status_fd);
	p->log = ring_map(p->log_fd, 1, &len);
	if (!p->status)
		return false;
	for (unsigned i = 0; i < JOBS_MAX; i++)
		if (p->jobs[i].killed)
			p->jobs[i].killed = "killed";	/* by the program before: its text is gone with it */
	prctl(PR_SET_DUMPABLE, 0);
	plog_open(p->log, -1, p->kmsg_fd);
	status_begin(p->status);
	text_copy(p->status->version, sizeof(p->status->version), CORACLE_VERSION);
	status_end(p->status);
	plog("coracle-init %s goes on from the one before, %u unit%s", CORACLE_VERSION, p->units_len, p->units_len == 1 ? "" : "s");
	return true;
}
