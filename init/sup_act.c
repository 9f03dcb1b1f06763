/* SPDX-License-Identifier: MIT */
/*
 * The hands of the supervisor: what each action of unit.c's table does, what
 * a waiting unit waits for, and taking a unit table in. System calls here are on cgroupfs,
 * pipes, processes and memfds: none waits for a disk. Never allocates.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cgroup.h"
#include "helper.h"
#include "notify.h"
#include "pid1.h"
#include "plog.h"
#include "record.h"
#include "start.h"
#include "sup.h"
#include "text.h"
#include "update_run.h"

enum { JOB_RETRY_FIRST_MS = 2000, KILL_AGAIN_MS = 1000 };

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

bool sup_is_clean(struct pid1 *p, unsigned i)
{
	struct unit *u = &p->units[i];
	const char *cgroup = p->status->unit[i].cgroup;

	if (!cgroup[0]) {
		u->is_dirty = false;
		return true;
	}
	cgroup_kill(cgroup);
	u->is_dirty = cgroup_remove(cgroup) == -EBUSY;
	return !u->is_dirty;
}

static bool is_coming(const struct unit *u)
{
	return u->is_used && (u->state == UNIT_WAITING || u->state == UNIT_PULLING ||
		u->state == UNIT_PREPARING || u->state == UNIT_STARTING || u->state == UNIT_ACTIVATING ||
		u->state == UNIT_RESTARTING);
}

/* After=: until it is up or has given up; with Requires= too until it is up, or has done what it is there for. */
static const char *obstacle_after(struct pid1 *p, unsigned i)
{
	static char text[UNIT_NAME_MAX + 64];

	for (int d = 0; d < UNIT_DEPS_MAX; d++) {
		const struct unit_dep *dep = &p->units[i].entry.dep[d];
		const struct unit *u = &p->units[dep->unit ? dep->unit - 1u : 0];

		if (!dep->unit || dep->unit > p->units_len || !(dep->kinds & UNIT_DEP_AFTER))
			continue;
		if (is_coming(u)) {
			snprintf(text, sizeof(text), "waits for %s (After=)", u->entry.name);
			return text;
		}
		if (dep->kinds & UNIT_DEP_REQUIRES && !unit_is_active(u->state) &&
		    !(u->entry.type == UNIT_TYPE_ONESHOT && u->state == UNIT_INACTIVE && u->has_done)) {
			snprintf(text, sizeof(text), "waits for %s, which is %s (Requires=)", u->entry.name,
				unit_state_name(u->state));
			return text;
		}
	}
	return NULL;
}

static bool is_net_waited_for(const struct pid1 *p)
{
	return p->conf.net != BOARD_NET_NONE && !p->is_net_up &&
		p->now_ms < p->status->boot_ms + CONFIG_NET_WAIT_S * 1000ULL;
}

static const char *next_pull(struct pid1 *p, unsigned i, enum unit_event *event)
{
	struct unit *u = &p->units[i];

	if (u->entry.pull == UNIT_PULL_NEVER) {
		sup_say(p, i, "no image of this reference in the store, and Pull=never forbids fetching it");
		*event = UNIT_EV_REFUSED;
		return NULL;
	}
	if (is_net_waited_for(p))
		return "waits for the network";
	if (job_count(p, JOB_PULL, -1) + job_count(p, JOB_FETCH, -1) >= CONFIG_PULLS_MAX)
		return "waits for another pull";
	*event = UNIT_EV_PULL;
	return NULL;
}

const char *sup_obstacle(struct pid1 *p, unsigned i, enum unit_event *event)
{
	struct unit *u = &p->units[i];
	bool wants_pull = u->entry.pull == UNIT_PULL_ALWAYS && !u->is_pulled;
	const char *after;

	if (p->power != STATUS_POWER_ON)
		return "the board is going down";
	if (u->entry.error[0]) {
		sup_say(p, i, u->entry.error);
		*event = UNIT_EV_REFUSED;
		return NULL;
	}
	if (!p->status->is_data_there)
		return "waits for the data partition";
	if (!p->is_table_with_store)
		return "waits for the units to be read";
	if (!p->has_resets)
		return "waits to know why the board came up";
	if (p->is_rescue && !u->entry.is_critical && !u->is_asked)
		return "rescue: only critical units are started by themselves; `coracle start` starts it";
	after = update_obstacle(p, i);
	if (after)
		return after;
	after = obstacle_after(p, i);
	if (after)
		return after;
	/* The job of preparing may copy its volumes, or put others in their place. */
	if (u->is_dirty && !sup_is_clean(p, i))
		return "waits for processes of its last run to end";
	if (!wants_pull && u->record_fd >= 0 && u->entry.has_network && !u->has_network) {
		if (job_count(p, JOB_NETWORKS, -1))
			return "waits for another unit's network";
		*event = UNIT_EV_PREPARE;
		return NULL;
	}
	if (!wants_pull && u->record_fd >= 0) {
		if (!(p->is_rescue && u->entry.is_critical) && !unit_limit_take(&u->limit, p->now_ms, u->entry.start_limit_burst,
			u->entry.start_limit_interval_ms)) {
			sup_say(p, i, "started too often (StartLimitBurst=); `coracle start` tries again");
			*event = UNIT_EV_LIMIT;
			if (u->entry.is_critical)
				resets_escalate(p, i, "started too often (StartLimitBurst=)");
		} else {
			*event = UNIT_EV_LAUNCH;
		}
		return NULL;
	}
	if (wants_pull || !u->entry.current[0])
		return next_pull(p, i, event);
	if (job_count(p, JOB_PREPARE, -1) >= CONFIG_PREPARES_MAX)
		return "waits for another unit's preparation";
	*event = UNIT_EV_PREPARE;
	return NULL;
}

/* Length, magic and checksum of a record in FD; the starter checks the rest. */
static int check_record(int fd)
{
	uint8_t buf[2048];
	struct record_head head;
	struct stat st;
	uint32_t crc = 0, zero = 0;
	off_t at = 0;
	ssize_t n;

	if (fstat(fd, &st) < 0 || st.st_size < (off_t)sizeof(head) || st.st_size > CONFIG_RECORD_MAX ||
	    pread(fd, &head, sizeof(head), 0) != sizeof(head) ||
	    memcmp(head.magic, RECORD_MAGIC, sizeof(head.magic)) != 0 || head.format != RECORD_FORMAT ||
	    head.size != (uint64_t)st.st_size)
		return -EBADMSG;
	while ((n = pread(fd, buf, sizeof(buf), at)) > 0) {
		if (at == 0)
			memcpy(buf + offsetof(struct record_head, crc32), &zero, sizeof(zero));
		crc = record_crc32(crc, buf, (size_t)n);
		at += n;
	}
	return n == 0 && crc == head.crc32 ? 0 : -EBADMSG;
}

unsigned sup_keep(struct pid1 *p, unsigned i, enum job_kind kind, const struct job_result *r, int *memfd,
	char *why, size_t size)
{
	struct unit *u = &p->units[i];
	struct status_unit *s = &p->status->unit[i];

	if (kind == JOB_PULL && strlen(r->digest) != 71) {
		snprintf(why, size, "pull: done, but named no digest");
		return JOB_RETRY;
	}
	if (kind == JOB_PREPARE) {
		if (fcntl(*memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0 ||
		    check_record(*memfd) < 0) {
			snprintf(why, size, "prepare: done, but the run record is damaged: are coracle-init and "
				"coracle-bundle of one build?");
			return JOB_RETRY;
		}
		close_fd(&u->record_fd);
		u->record_fd = *memfd;
		*memfd = -1;
		u->image_stop_signal = r->stop_signal <= 64 ? (int)r->stop_signal : 0;
		u->image_health = r->health;
	}
	u->is_pulled |= kind == JOB_PULL;
	status_begin(p->status);
	if (kind == JOB_PULL) {
		text_printable(u->entry.current, sizeof(u->entry.current), r->digest);
		text_copy(s->digest, sizeof(s->digest), u->entry.current);
	}
	if (kind == JOB_PREPARE)
		text_printable(s->version, sizeof(s->version), r->version);
	if (r->signer[0])
		text_printable(s->signer, sizeof(s->signer), r->signer);
	status_end(p->status);
	return JOB_DONE;
}

uint32_t sup_random(const struct pid1 *p)
{
	uint32_t r;

	/* Not for secrets: while the pool is not ready the clock will do. */
	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = (uint32_t)p->now_ms * 2654435761u;
	return r;
}

static void arm(struct pid1 *p, struct unit *u, uint64_t ms)
{
	u->timer_ms = p->now_ms + (ms ? ms : 1);
}

static void launch(struct pid1 *p, unsigned i)
{
	struct unit *u = &p->units[i];
	struct status_unit *s = &p->status->unit[i];
	struct start_request q = {
		.record_fd = u->record_fd, .cgroup = s->cgroup[0] ? s->cgroup : NULL,
		.stdio = { -1, u->out_fd[1], u->err_fd[1] }, .chown_stdio = true,
	};
	struct start st;
	int ret;

	status_begin(p->status);
	text_copy(s->note, sizeof(s->note), u->entry.has_host_users ? "in the board's own user namespace (UserNS=host)" : "");
	status_end(p->status);
	u->start_text[0] = '\0';
	u->has_end = u->has_start_failed = u->has_done = false;
	u->cause = UNIT_END_EXIT;
	u->watchdog_ms = u->entry.watchdog_ms;
	u->started_ms = 0;
	u->launched_ms = p->now_ms;
	health_begin(p, i);
	u->is_launched = u->is_dirty = true;
	ret = start_fork(&q, &st);
	if (ret < 0) {
		u->is_launched = false;
		snprintf(u->start_text, sizeof(u->start_text), "fork: %s", strerror(-ret));
		sup_say(p, i, u->start_text);
		sup_event(p, i, UNIT_EV_ENDED_AGAIN);
		return;
	}
	u->starter = st.starter;
	u->report_fd = st.report_fd;
	arm(p, u, u->entry.timeout_start_ms ? u->entry.timeout_start_ms : CONFIG_START_DEADLINE_S * 1000ULL);
}

static void signal_program(const struct unit *u, int sig)
{
	if (u->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, u->pidfd, sig, NULL, 0);
	else if (u->pid > 0)
		kill(u->pid, sig);
}

/* Who is After= unit I, and on its way down: that comes first. */
static const struct unit *stops_before(const struct pid1 *p, unsigned i)
{
	for (unsigned k = 0; k < p->units_len; k++) {
		const struct unit *u = &p->units[k];

		if ((u->state == UNIT_STOPPING || u->state == UNIT_RESTARTING) && sup_depends(p, k, i, UNIT_DEP_AFTER))
			return u;
	}
	return NULL;
}

void sup_terms(struct pid1 *p)
{
	for (unsigned i = 0; i < p->units_len; i++) {
		struct unit *u = &p->units[i];
		const struct unit *first = u->is_term_due && u->state != UNIT_ENDING ? stops_before(p, i) : NULL;
		char text[UNIT_NAME_MAX + 32];

		if (first) {
			snprintf(text, sizeof(text), "waits for %s to stop (After=)", first->entry.name);
			sup_say(p, i, text);
		} else if (u->is_term_due) {
			u->is_term_due = false;
			signal_program(u, u->entry.stop_signal ? (int)u->entry.stop_signal :
				u->image_stop_signal ? u->image_stop_signal : SIGTERM);
			arm(p, u, u->entry.timeout_stop_ms);
		}
	}
}

static void kill_all(struct pid1 *p, unsigned i)
{
	struct unit *u = &p->units[i];

	sup_hear_start(p, i);
	if (u->starter > 0)
		kill(u->starter, SIGKILL);
	if (u->pid > 0)
		signal_program(u, SIGKILL);
	if (p->status->unit[i].cgroup[0])
		cgroup_kill(p->status->unit[i].cgroup);
	arm(p, u, KILL_AGAIN_MS);
}

static void do_backoff(struct pid1 *p, unsigned i)
{
	struct unit *u = &p->units[i];

	arm(p, u, unit_backoff_ms(u->entry.restart_sec_ms, u->entry.restart_max_sec_ms, u->starts_failed));
	if (u->starts_failed < 32)
		u->starts_failed++;
	status_begin(p->status);
	p->status->unit[i].restarts++;
	status_end(p->status);
}

static void do_job_backoff(struct pid1 *p, struct unit *u)
{
	uint64_t ms = unit_backoff_ms(JOB_RETRY_FIRST_MS, CONFIG_RETRY_MAX_S * 1000U, u->job_fails);

	if (u->job_fails < 32)
		u->job_fails++;
	arm(p, u, unit_jitter_ms(ms, sup_random(p)));
}

static void forget(struct pid1 *p, unsigned i)
{
	struct unit *u = &p->units[i];

	close_fd(&u->record_fd);
	u->entry.current[0] = '\0';
	status_begin(p->status);
	p->status->unit[i].digest[0] = '\0';
	status_end(p->status);
}

static void reset(struct unit *u)
{
	close_fd(&u->record_fd);
	u->job_fails = u->starts_failed = 0;
	u->limit = (struct unit_limit){ 0 };
	u->is_pulled = false;
}

void sup_act(struct pid1 *p, unsigned i, enum unit_action action)
{
	struct unit *u = &p->units[i];

	switch (action) {
	case UNIT_DO_NOTHING:
	case UNIT_DO_QUEUE:
	case UNIT_DO_AWAIT:
	case UNIT_ACTIONS:
		break;
	case UNIT_DO_RESET:
		reset(u);
		break;
	case UNIT_DO_PULL:
		if (!job_run_pull(p, i))
			sup_event(p, i, UNIT_EV_RETRY);
		break;
	case UNIT_DO_PREPARE:
		/* With a record it is the network that is missing. */
		if (!(u->record_fd >= 0 ? job_run_networks(p, (int)i) : job_run_prepare(p, i)))
			sup_event(p, i, UNIT_EV_RETRY);
		break;
	case UNIT_DO_LAUNCH:
		/* What could not be made when the unit came, for want of descriptors or memory. */
		notify_open(p, i);
		if (sup_make_log(u))
			helper_renew_logger(p);
		launch(p, i);
		break;
	case UNIT_DO_KEEP:
		u->job_fails = 0;
		break;
	case UNIT_DO_RUN:
		u->started_ms = u->alive_ms = p->now_ms;
		break;
	case UNIT_DO_TERM:
		u->is_term_due = true;
		if (u->state == UNIT_ENDING)
			sup_terms(p);
		break;
	case UNIT_DO_ABORT:
		signal_program(u, SIGABRT);
		arm(p, u, u->entry.timeout_stop_ms);
		break;
	case UNIT_DO_LET:
		arm(p, u, u->entry.timeout_stop_ms);
		break;
	case UNIT_DO_KILL:
		kill_all(p, i);
		break;
	case UNIT_DO_KILL_JOB:
		job_kill_of_unit(p, i, "stopped");
		break;
	case UNIT_DO_BACKOFF:
		do_backoff(p, i);
		break;
	case UNIT_DO_FORGET:
		forget(p, i);
		do_job_backoff(p, u);
		break;
	case UNIT_DO_JOB_BACKOFF:
		do_job_backoff(p, u);
		break;
	case UNIT_DO_REFUSE:
		arm(p, u, CONFIG_REFUSED_RETRY_S * 1000ULL);
		break;
	case UNIT_DO_REST:
		reset(u);
		break;
	}
}
