/* SPDX-License-Identifier: MIT */
/*
 * The board's own three wishes (data partition, network, unit table), each a
 * job that is repeated with growing pauses until it is done. None of them
 * holds anything else up: the console is there before the first ends. Never
 * allocates, never waits.
 */
#include "board.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "err.h"
#include "pid1.h"
#include "plog.h"
#include "sup.h"
#include "text.h"

enum { TASK_RETRY_FIRST_MS = 1000, TASK_RETRY_CAP_MS = 30000, READY_AFTER_MS = 2500 };

static void say_data(struct pid1 *p, bool is_there, const char *text)
{
	status_begin(p->status);
	p->status->is_data_there = is_there;
	text_printable(p->status->data, sizeof(p->status->data), text);
	status_end(p->status);
}

static void say_network(struct pid1 *p, const char *text)
{
	status_begin(p->status);
	text_printable(p->status->network, sizeof(p->status->network), text);
	status_end(p->status);
}

/* What board.conf says, or the device's own over it. */
static void say_conf(struct pid1 *p)
{
	p->is_net_up = p->conf.net == BOARD_NET_NONE;
	status_begin(p->status);
	p->status->net = !p->is_board ? STATUS_NET_HOST : p->conf.net == BOARD_NET_DHCP ? STATUS_NET_DHCP :
		p->conf.net == BOARD_NET_STATIC ? STATUS_NET_STATIC : STATUS_NET_NONE;
	text_copy(p->status->hostname, sizeof(p->status->hostname), p->conf.hostname);
	status_end(p->status);
}

void board_begin(struct pid1 *p)
{
	p->mount.is_wanted = p->read_units.is_wanted = true;
	p->modules.is_wanted = p->net.is_wanted = p->is_board;
	p->grow.is_wanted = p->is_board && p->conf.is_data_grown && !p->conf.data_dir[0];
	p->verify.is_wanted = p->conf.is_verified;
	p->modules.is_done = !p->is_board;
	say_data(p, false, "not looked for yet");
	say_conf(p);
	status_begin(p->status);
	text_copy(p->status->data_dir, sizeof(p->status->data_dir),
		p->conf.data_dir[0] ? p->conf.data_dir : "/data");
	status_end(p->status);
	if (!p->is_board)
		p->is_net_up = true;
}

static void again(struct pid1 *p, struct board_task *t)
{
	t->due_ms = p->now_ms + unit_backoff_ms(TASK_RETRY_FIRST_MS, TASK_RETRY_CAP_MS, t->fails);
	if (t->fails < 32)
		t->fails++;
}

static void done(struct board_task *t)
{
	t->is_done = true;
	t->fails = 0;
	t->due_ms = 0;
}

static void mount_ended(struct pid1 *p, unsigned code, const char *text)
{
	if (code == JOB_DONE) {
		done(&p->mount);
		say_data(p, true, text);
		plog("data: %s", text);
		p->read_units.is_done = false;	/* now with its slots and its own units */
		p->read_units.due_ms = 0;
		return;
	}
	if (strcmp(p->status->data, text) != 0)
		plog("data: not mounted: %s", text);
	say_data(p, false, text);
	again(p, &p->mount);
}

static void net_ended(struct pid1 *p, unsigned code, const char *text)
{
	if (code == JOB_DONE) {
		done(&p->net);
		plog("network: %s", text);
		if (p->conf.net != BOARD_NET_DHCP) {
			p->is_net_up = true;
			sup_retry_pulls(p);
			say_network(p, "");
			text_printable(p->net_text, sizeof(p->net_text), text);
		}
		return;
	}
	if (strcmp(p->status->network, text) != 0)
		plog("network: %s", text);
	say_network(p, text);
	again(p, &p->net);
}

void board_wants_networks(struct pid1 *p)
{
	p->networks.is_wanted = true;
	p->networks.is_done = false;
}

static void networks_changed(struct pid1 *p)
{
	for (unsigned i = 0; i < p->units_len; i++)
		if (p->units[i].has_network)
			board_wants_networks(p);
}

/* config/board.conf of the data partition, which the units job has checked. A network that is up already (the data partition came late) stays. */
static void own_conf(struct pid1 *p, const char *text)
{
	if (!p->is_board || !text[0] || p->is_net_begun)
		return;
	board_conf_own(&p->conf, text);
	say_conf(p);
	sethostname(p->conf.hostname, strlen(p->conf.hostname));
}

/* The network waits for what the data partition says of it, but not for a data partition that is not there. */
static bool is_net_due(struct pid1 *p)
{
	if (!p->is_net_begun && (p->conf.data_dir[0] || p->is_table_with_store || p->mount.fails || p->read_units.fails)) {
		p->is_net_begun = true;
		p->helpers[HELPER_DHCPCD].is_wanted = p->is_board && p->conf.net == BOARD_NET_DHCP;
	}
	return p->is_net_begun;
}

/* Reads the table into static storage; the copy's pages go back to the kernel once the units have been taken in. */
static void units_ended(struct pid1 *p, unsigned code, const char *text, int fd)
{
	static struct unit_table table __attribute__((aligned(4096)));
	struct err e = { "" };
	ssize_t n = -1;

	if (p->is_release_switch && !p->is_switch_read)
		return;		/* of the release before: read anew */
	if (code == JOB_DONE) {
		n = pread(fd, &table, sizeof(table), 0);
		if (unit_table_check(&table, n < 0 ? 0 : (size_t)n, &e) == 0) {
			done(&p->read_units);
			own_conf(p, text);
			p->is_table_with_store = p->status->is_data_there && p->is_read_with_store;
			sup_adopt(p, &table);
			networks_changed(p);
			if (table.error[0])
				plog("units: %s", table.error);
			/* Mounted meanwhile: once more, with the store. */
			p->read_units.is_done = p->is_table_with_store || !p->status->is_data_there;
			madvise(&table, sizeof(table) & ~4095UL, MADV_DONTNEED);
			return;
		}
		text = e.text;
	}
	plog("units: %s", text);
	status_begin(p->status);
	text_printable(p->status->units_error, sizeof(p->status->units_error), text);
	status_end(p->status);
	again(p, &p->read_units);
}

void board_job_ended(struct pid1 *p, const struct job *j, unsigned code, const char *text, int table_fd)
{
	if (j->kind == JOB_MODULES) {
		/* What did not load was said; a second try would say it again. */
		if (code != JOB_DONE)
			plog("%s", text);
		done(&p->modules);
		p->watchdog.due_ms = 0;	/* its driver may be there now */
	} else if (j->kind == JOB_MOUNT) {
		mount_ended(p, code, text);
	} else if (j->kind == JOB_GROW) {
		/* A second try in this boot would find the same disk. */
		if (code != JOB_DONE)
			plog("%s", text);
		done(&p->grow);
	} else if (j->kind == JOB_VERIFY) {
		plog("verify: %s", text);
		done(&p->verify);
		if (code == JOB_DAMAGED) {
			size_t len = strlen(p->status->data);

			status_begin(p->status);
			text_copy(p->status->data + len, sizeof(p->status->data) - len, ", damaged: see `log`");
			status_end(p->status);
		}
	} else if (j->kind == JOB_NET) {
		net_ended(p, code, text);
	} else if (j->kind == JOB_UNITS) {
		units_ended(p, code, text, table_fd);
	} else if (code != JOB_DONE) {
		plog("%s", text);
		if (j->kind == JOB_NETWORKS) {
			board_wants_networks(p);
			again(p, &p->networks);
		}
	} else if (j->kind == JOB_NETWORKS) {
		p->networks.fails = 0;
		p->networks.due_ms = 0;
	}
}

void board_net_changed(struct pid1 *p, const char *text)
{
	bool is_lost = strncmp(text, "lost", 4) == 0;

	/* dhcpcd says so also of what it never had. */
	if (is_lost && !p->is_net_up)
		return;
	plog("network: %s", text);
	p->is_net_up = !is_lost;
	text_printable(p->net_text, sizeof(p->net_text), text);
	say_network(p, is_lost ? text : "");
	networks_changed(p);
	if (!is_lost)
		sup_retry_pulls(p);
}

static uint64_t scan_task(struct pid1 *p, struct board_task *t, enum job_kind kind, bool (*run)(struct pid1 *))
{
	if (!t->is_wanted || t->is_done || job_count(p, kind, -1))
		return 0;
	if (t->due_ms > p->now_ms)
		return t->due_ms;
	if (!run(p))
		again(p, t);
	return t->due_ms;
}

static bool run_networks(struct pid1 *p)
{
	p->networks.is_done = job_run_networks(p, -1);	/* unless it fails, or more comes meanwhile */
	return p->networks.is_done;
}

static bool run_units(struct pid1 *p)
{
	p->is_read_with_store = p->status->is_data_there;
	p->is_switch_read = p->is_release_switch;
	return job_run_units(p, p->is_read_with_store);
}

static const char *net_text(const struct pid1 *p)
{
	if (!p->is_board)
		return "the host's";
	if (p->status->network[0])
		return p->status->network;
	if (p->net_text[0])
		return p->net_text;
	return p->conf.net == BOARD_NET_DHCP ? "no address yet (dhcp)" : "none";
}

/* One line for whoever looks at the serial console, once the first answers are in, or soon. */
static uint64_t ready_line(struct pid1 *p)
{
	bool is_settled = p->units_len && (p->mount.is_done || p->mount.fails) &&
		(p->is_net_up || p->net.fails || (p->net.is_done && p->conf.net != BOARD_NET_DHCP));
	uint64_t latest = p->status->boot_ms + READY_AFTER_MS;

	if (p->is_ready_said)
		return 0;
	if (!is_settled && p->now_ms < latest)
		return latest;
	p->is_ready_said = true;
	status_begin(p->status);
	snprintf(p->status->ready, sizeof(p->status->ready), "PID 1 ready, %u unit%s; data: %s%.200s; network: %.100s",
		p->units_len - !!p->release, p->units_len - !!p->release == 1 ? "" : "s", p->status->is_data_there ? "" : "not mounted: ",
		p->status->data, net_text(p));
	status_end(p->status);
	plog("%s", p->status->ready);
	return 0;
}

/* A mount that outlived its deadline and its SIGKILL: the kernel waits for a disk that does not answer. */
static void say_stuck(struct pid1 *p)
{
	static const char text[] = "the disk does not answer: mounting it takes longer than its deadline";

	for (unsigned i = 0; i < JOBS_MAX; i++)
		if (p->jobs[i].kind == JOB_MOUNT && p->jobs[i].killed && strcmp(p->status->data, text) != 0)
			say_data(p, false, text);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return !a || (b && b < a) ? b : a;
}

uint64_t board_scan(struct pid1 *p, uint64_t now_ms)
{
	uint64_t next = 0;

	if (p->power != STATUS_POWER_ON)
		return 0;
	next = sooner(next, scan_task(p, &p->modules, JOB_MODULES, job_run_modules));
	if (p->modules.is_done) {	/* disks and interfaces may need their drivers */
		next = sooner(next, scan_task(p, &p->mount, JOB_MOUNT, job_run_mount));
		if (is_net_due(p))
			next = sooner(next, scan_task(p, &p->net, JOB_NET, job_run_net));
	}
	if (p->mount.is_done) {
		next = sooner(next, scan_task(p, &p->grow, JOB_GROW, job_run_grow));
		next = sooner(next, scan_task(p, &p->verify, JOB_VERIFY, job_run_verify));
	}
	next = sooner(next, scan_task(p, &p->read_units, JOB_UNITS, run_units));
	next = sooner(next, scan_task(p, &p->networks, JOB_NETWORKS, run_networks));
	say_stuck(p);
	next = sooner(next, ready_line(p));
	return next && next < now_ms ? now_ms : next;
}
