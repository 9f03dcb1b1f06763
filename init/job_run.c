/* SPDX-License-Identifier: MIT */
/*
 * PID 1's half of a job: fork, listen, deadline, end. What a job writes is
 * believed in nothing but its fixed shape. The exec and the in-process jobs
 * happen in the child (job_child.c).
 */
#include "job_run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "board.h"
#include "job_child.h"
#include "pid1.h"
#include "plog.h"
#include "reexec.h"
#include "spawn.h"
#include "sup.h"
#include "text.h"
#include "update_run.h"

const char *job_kind_name(enum job_kind kind)
{
	static const char *const name[] = {
		"free", "modules", "mount", "net", "units", "pull", "prepare", "sync", "resets", "grow", "verify", "reexec", "network", "check", "fetch", "slot",
		"note", "gc",
	};

	return (unsigned)kind < sizeof(name) / sizeof(name[0]) ? name[kind] : "job";
}

static const char *job_name(const struct pid1 *p, const struct job *j)
{
	static char name[UNIT_NAME_MAX + 16];

	snprintf(name, sizeof(name), "%s%s%s", job_kind_name(j->kind), j->unit >= 0 ? " " : "",
		j->unit >= 0 ? p->units[j->unit].entry.name : "");
	return name;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static uint64_t deadline_of(enum job_kind kind)
{
	switch (kind) {
	case JOB_MODULES:
	case JOB_MOUNT:
		return CONFIG_MOUNT_DEADLINE_S * 1000ULL;
	case JOB_GROW:
		return CONFIG_GROW_DEADLINE_S * 1000ULL;
	case JOB_NET:
		return CONFIG_NET_DEADLINE_S * 1000ULL;
	case JOB_UNITS:
		return CONFIG_UNITS_DEADLINE_S * 1000ULL;
	case JOB_CHECK:
		return CONFIG_CHECK_DEADLINE_S * 1000ULL;
	case JOB_PULL:
	case JOB_FETCH:
	case JOB_GC:
	case JOB_VERIFY:
		return CONFIG_PULL_DEADLINE_S * 1000ULL;
	case JOB_SYNC:
	case JOB_RESETS:
		return CONFIG_SYNC_DEADLINE_S * 1000ULL;
	default:
		return CONFIG_PREPARE_DEADLINE_S * 1000ULL;
	}
}

/* Does the unit wait for this job? The networks' is also run for none, to tidy up. */
static bool is_of_unit(enum job_kind kind, int unit)
{
	return kind == JOB_PULL || kind == JOB_PREPARE || (kind == JOB_NETWORKS && unit >= 0);
}

/* The reason of a unit that waits for this job, else a line of the log. */
static void not_started(struct pid1 *p, enum job_kind kind, int unit, int err)
{
	char text[96];

	snprintf(text, sizeof(text), "%s: not started: %s", job_kind_name(kind), strerror(err));
	if (is_of_unit(kind, unit))
		sup_say(p, (unsigned)unit, text);
	else
		plog("%s", text);
}

/* A place with its pipes and, where asked, a memfd; NULL where there is none. */
static struct job *place(struct pid1 *p, enum job_kind kind, int unit, bool has_memfd, int ends[2])
{
	int result[2] = { -1, -1 }, err = -1;
	struct job *j = NULL;

	for (unsigned i = 0; i < JOBS_MAX && !j; i++)
		if (p->jobs[i].kind == JOB_FREE)
			j = &p->jobs[i];
	if (!j)
		return NULL;
	memset(j, 0, sizeof(*j));
	j->memfd = j->err.fd = -1;
	if (pipe2(result, O_CLOEXEC) < 0 || (err = lines_open(&j->err)) < 0 ||
	    (has_memfd && (j->memfd = memfd_create("coracle-job", MFD_CLOEXEC | MFD_ALLOW_SEALING)) < 0)) {
		not_started(p, kind, unit, errno);
		close_fd(&result[0]);
		close_fd(&result[1]);
		close_fd(&err);
		close_fd(&j->err.fd);
		return NULL;
	}
	fcntl(result[0], F_SETFL, O_NONBLOCK);
	j->unit = unit;
	j->result_fd = result[0];
	j->begin_ms = j->heard_ms = p->now_ms;
	j->deadline_ms = p->now_ms + deadline_of(kind) + (kind == JOB_PREPARE ? p->units[unit].entry.switch_ms : 0);
	j->stall_ms = kind == JOB_PULL || kind == JOB_FETCH ? CONFIG_PULL_STALL_S * 1000ULL : 0;
	j->kind = kind;
	ends[0] = result[1];
	ends[1] = err;
	return j;
}

static void leave(struct job *j)
{
	close_fd(&j->result_fd);
	close_fd(&j->err.fd);
	close_fd(&j->memfd);
	j->kind = JOB_FREE;
	j->pid = 0;
}

static bool run(struct pid1 *p, enum job_kind kind, int unit, bool has_memfd, bool flag)
{
	int ends[2];
	struct job *j = place(p, kind, unit, has_memfd, ends);
	struct job_child arg = { .pid1 = p, .kind = kind, .unit = unit, .flag = flag };
	struct spawn s = { .name = job_kind_name(kind), .stdio = { -1, -1, -1 }, .run = job_child, .arg = &arg };
	pid_t pid;

	if (!j)
		return false;
	s.stdio[1] = s.stdio[2] = ends[1];
	s.fds[s.fds_len++] = ends[0];
	if (has_memfd)
		s.fds[s.fds_len++] = j->memfd;
	pid = spawn(&s);
	close(ends[0]);
	close(ends[1]);
	if (pid < 0) {
		not_started(p, kind, unit, (int)-pid);
		leave(j);
		return false;
	}
	j->pid = pid;
	return true;
}

bool job_run_modules(struct pid1 *p)
{
	return run(p, JOB_MODULES, -1, false, false);
}

bool job_run_mount(struct pid1 *p)
{
	return run(p, JOB_MOUNT, -1, false, false);
}

bool job_run_grow(struct pid1 *p)
{
	return run(p, JOB_GROW, -1, false, false);
}

bool job_run_verify(struct pid1 *p)
{
	return run(p, JOB_VERIFY, -1, false, false);
}

bool job_run_net(struct pid1 *p)
{
	return run(p, JOB_NET, -1, false, false);
}

bool job_run_sync(struct pid1 *p, bool umounts)
{
	return run(p, JOB_SYNC, -1, false, umounts);
}

bool job_run_resets(struct pid1 *p)
{
	return run(p, JOB_RESETS, -1, false, false);
}

bool job_run_reexec(struct pid1 *p)
{
	return run(p, JOB_REEXEC, -1, false, false);
}

bool job_run_units(struct pid1 *p, bool has_store)
{
	return run(p, JOB_UNITS, -1, true, has_store);
}

bool job_run_pull(struct pid1 *p, unsigned unit)
{
	return run(p, JOB_PULL, (int)unit, false, false);
}

bool job_run_prepare(struct pid1 *p, unsigned unit)
{
	return run(p, JOB_PREPARE, (int)unit, true, false);
}

bool job_run_networks(struct pid1 *p, int unit)
{
	return job_count(p, JOB_NETWORKS, -1) == 0 && run(p, JOB_NETWORKS, unit, false, false);
}

bool job_run_update(struct pid1 *p, enum job_kind kind, int unit)
{
	return run(p, kind, unit, false, false);
}

unsigned job_count(const struct pid1 *p, enum job_kind kind, int unit)
{
	unsigned n = 0;

	for (unsigned i = 0; i < JOBS_MAX; i++)
		n += p->jobs[i].kind == kind && (unit < 0 || p->jobs[i].unit == unit);
	return n;
}

void job_kill(struct job *j, const char *why)
{
	if (j->kind == JOB_FREE || j->pid <= 0)
		return;
	if (!j->killed)
		j->killed = why;
	kill(-j->pid, SIGKILL);		/* its session; it may not have made it yet: */
	kill(j->pid, SIGKILL);
}

void job_kill_of_unit(struct pid1 *p, unsigned unit, const char *why)
{
	for (unsigned i = 0; i < JOBS_MAX; i++)
		if (p->jobs[i].kind != JOB_FREE && p->jobs[i].unit == (int)unit)
			job_kill(&p->jobs[i], why);
}

static void hear_results(struct pid1 *p, struct job *j)
{
	struct job_result r;
	ssize_t n;

	while (j->result_fd >= 0 && (n = read(j->result_fd, &r, sizeof(r))) != -1) {
		if (n == 0) {
			close_fd(&j->result_fd);
			return;
		}
		if (n != sizeof(r) || r.magic != JOB_MAGIC || r.code > JOB_LATER) {
			plog("%s: sent something that is no job message", job_name(p, j));
			continue;
		}
		r.digest[sizeof(r.digest) - 1] = '\0';
		r.signer[sizeof(r.signer) - 1] = '\0';
		r.text[sizeof(r.text) - 1] = '\0';
		r.health.arg[sizeof(r.health.arg) - 1] = '\0';
		j->heard_ms = p->now_ms;
		if (r.code != JOB_PROGRESS) {
			j->has_result = true;
			j->result = r;
		} else if (j->kind == JOB_FETCH) {
			update_progress(p, (unsigned)j->unit, &r);
		} else if (j->unit >= 0) {
			sup_job_progress(p, (unsigned)j->unit, &r);
		}
	}
}

void job_hear(struct pid1 *p, struct job *j)
{
	hear_results(p, j);
	lines_hear(&j->err, job_name(p, j));
}

/* What the end means: a final message with the exit status that belongs to it, else worth another try. */
static unsigned judge(const struct job *j, int status, char *text, size_t size)
{
	/* The board's own jobs are named by whoever shows the text. */
	const char *kind = j->unit >= 0 ? job_kind_name(j->kind) : "", *colon = j->unit >= 0 ? ": " : "";

	if (j->killed) {
		snprintf(text, size, "%s%s%s", kind, colon, j->killed);
	} else if (WIFSIGNALED(status)) {
		snprintf(text, size, "%s%sits process was killed by signal %d", kind, colon, WTERMSIG(status));
	} else if (!j->has_result) {
		snprintf(text, size, "%s%sended with code %d and said nothing", kind, colon, WEXITSTATUS(status));
	} else if ((j->result.code == JOB_DONE) != (WEXITSTATUS(status) == 0)) {
		snprintf(text, size, "%s%ssaid %s but ended with code %d", kind, colon,
			j->result.code == JOB_DONE ? "done" : "failed", WEXITSTATUS(status));
	} else {
		text_copy(text, size, j->result.text);
		return j->result.code;
	}
	return JOB_RETRY;
}

bool job_reaped(struct pid1 *p, pid_t pid, int status)
{
	char text[UNIT_TEXT_MAX];
	struct job *j = NULL;
	struct job ended;
	unsigned code;
	int memfd;

	for (unsigned i = 0; i < JOBS_MAX && !j; i++)
		if (p->jobs[i].kind != JOB_FREE && p->jobs[i].pid == pid)
			j = &p->jobs[i];
	if (!j)
		return false;
	job_hear(p, j);
	lines_close(&j->err, job_name(p, j));
	code = judge(j, status, text, sizeof(text));
	p->wants_gc |= j->result.wants_room != 0;

	ended = *j;
	memfd = j->memfd;
	j->memfd = -1;
	leave(j);	/* the place is free before the next job is thought of */
	if (is_of_unit(ended.kind, ended.unit))
		sup_job_ended(p, (unsigned)ended.unit, ended.kind, code, &ended.result, text, memfd);
	else if (ended.kind == JOB_REEXEC)
		reexec_checked(p, code, text);
	else if (ended.kind == JOB_RESETS)
		resets_ended(p, code, &ended.result, text);
	else if (ended.kind >= JOB_CHECK)
		update_job_ended(p, &ended, code, text);
	else
		board_job_ended(p, &ended, code, text, memfd);
	if (ended.kind != JOB_PREPARE && memfd >= 0)
		close(memfd);
	return true;
}

uint64_t job_expire(struct pid1 *p, uint64_t now_ms)
{
	uint64_t next = 0;

	for (unsigned i = 0; i < JOBS_MAX; i++) {
		struct job *j = &p->jobs[i];
		uint64_t due = j->deadline_ms;

		if (j->kind == JOB_FREE || j->killed)
			continue;
		if (j->stall_ms && j->heard_ms + j->stall_ms < due)
			due = j->heard_ms + j->stall_ms;
		if (due <= now_ms) {
			plog("%s: killed, %s", job_name(p, j), due == j->deadline_ms ?
				"its deadline passed" : "no progress for too long");
			job_kill(j, due == j->deadline_ms ? "took longer than its deadline" :
				"made no progress for too long");
		} else if (!next || due < next) {
			next = due;
		}
	}
	return next;
}
