/* SPDX-License-Identifier: MIT */
/*
 * init/sup*.c, job_run.c, board.c and helper.c as PID 1 calls them, with the clock in our hand: tables taken in, deadlines, orders of
 * events that a real run meets once in a thousand.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "board.h"
#include "control.h"
#include "notify.h"
#include "pid1.h"
#include "start.h"
#include "sup.h"

static struct pid1 p;
static struct status status;
static struct unit_table table;

static int fresh(void **state)
{
	(void)state;
	memset(&p, 0, sizeof(p));
	memset(&status, 0, sizeof(status));
	memset(&table, 0, sizeof(table));
	p.status = &status;
	p.now_ms = 1000000;
	p.is_net_up = true;
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
		p.clients[i].fd = -1;
	for (unsigned i = 0; i < JOBS_MAX; i++)
		p.jobs[i].result_fd = p.jobs[i].err.fd = p.jobs[i].memfd = -1;
	snprintf(p.bin_dir, sizeof(p.bin_dir), "/nonexistent");
	return 0;
}

static void add_unit(const char *name)
{
	struct unit_entry *u = &table.unit[table.count++];

	snprintf(u->name, sizeof(u->name), "%s", name);
	snprintf(u->image, sizeof(u->image), "registry.test/%s:1", name);
	u->restart = UNIT_RESTART_ALWAYS;
	u->restart_sec_ms = 100;
	u->restart_max_sec_ms = 1000;
	u->timeout_start_ms = u->timeout_stop_ms = 5000;
	u->is_enabled = 1;
}

static pid_t sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setsid();
		for (;;)
			pause();
	}
	return pid;
}

/* As loop.c reaps one known child. */
static void reap(pid_t pid)
{
	int s;

	assert_int_equal(waitpid(pid, &s, 0), pid);
	sup_hear_all_starts(&p);
	if (!sup_reaped(&p, pid, s) && !job_reaped(&p, pid, s))
		sup_reaped_stranger(&p, pid, s);
}

static void units_come_and_go(void **state)
{
	char name[32];

	(void)state;
	for (int i = 0; i < CONFIG_UNITS_MAX; i++) {
		snprintf(name, sizeof(name), "a%d", i);
		add_unit(name);
	}
	sup_adopt(&p, &table);
	assert_int_equal(p.units_len, CONFIG_UNITS_MAX);
	assert_int_equal(status.count, CONFIG_UNITS_MAX);
	assert_int_equal(p.units[0].state, UNIT_WAITING);

	/* All others: no place until the first are down, which they are at once. */
	for (int i = 1; i < CONFIG_UNITS_MAX; i++)
		snprintf(table.unit[i].name, UNIT_NAME_MAX, "b%d", i);
	sup_adopt(&p, &table);
	assert_true(sup_find(&p, "a0") == 0 && sup_find(&p, "b1") < 0 && sup_find(&p, "a1") > 0);
	assert_int_equal(p.units[1].state, UNIT_INACTIVE);
	sup_scan(&p, p.now_ms);
	sup_drop_gone(&p);
	assert_true(sup_find(&p, "a1") < 0);
	assert_string_equal(status.unit[1].name, "");
	sup_adopt(&p, &table);
	for (int i = 1; i < CONFIG_UNITS_MAX; i++)
		assert_true(sup_find(&p, table.unit[i].name) >= 0);
}

static void what_was_pulled_outlives_a_new_table(void **state)
{
	(void)state;
	add_unit("one");
	sup_adopt(&p, &table);
	snprintf(p.units[0].entry.current, sizeof(p.units[0].entry.current), "sha256:ab");
	sup_adopt(&p, &table);
	assert_string_equal(p.units[0].entry.current, "sha256:ab");
	snprintf(table.unit[0].image, UNIT_IMAGE_MAX, "registry.test/other:2");
	sup_adopt(&p, &table);
	assert_string_equal(p.units[0].entry.current, "");
}

static void obstacles_in_their_order(void **state)
{
	enum unit_event event;

	(void)state;
	add_unit("one");
	sup_adopt(&p, &table);
	assert_non_null(strstr(sup_obstacle(&p, 0, &event), "data partition"));
	status.is_data_there = 1;
	assert_non_null(strstr(sup_obstacle(&p, 0, &event), "units to be read"));
	p.is_table_with_store = true;
	assert_non_null(strstr(sup_obstacle(&p, 0, &event), "why the board came up"));
	p.has_resets = true;
	p.is_rescue = true;
	assert_non_null(strstr(sup_obstacle(&p, 0, &event), "rescue"));
	p.is_rescue = false;
	p.conf.net = BOARD_NET_DHCP;
	p.is_net_up = false;
	status.boot_ms = p.now_ms;
	assert_non_null(strstr(sup_obstacle(&p, 0, &event), "network"));
	p.now_ms += CONFIG_NET_WAIT_S * 1000;
	assert_null(sup_obstacle(&p, 0, &event));
	assert_int_equal(event, UNIT_EV_PULL);
	snprintf(p.units[0].entry.current, sizeof(p.units[0].entry.current), "sha256:ab");
	assert_null(sup_obstacle(&p, 0, &event));
	assert_int_equal(event, UNIT_EV_PREPARE);
	p.units[0].record_fd = 99;
	assert_null(sup_obstacle(&p, 0, &event));
	assert_int_equal(event, UNIT_EV_LAUNCH);
	p.units[0].entry.pull = UNIT_PULL_ALWAYS;
	assert_null(sup_obstacle(&p, 0, &event));
	assert_int_equal(event, UNIT_EV_PULL);
	p.units[0].record_fd = -1;
	snprintf(p.units[0].entry.error, sizeof(p.units[0].entry.error), "x.container:3: unknown key");
	assert_null(sup_obstacle(&p, 0, &event));
	assert_int_equal(event, UNIT_EV_REFUSED);
	p.power = STATUS_POWER_OFF;
	assert_non_null(strstr(sup_obstacle(&p, 0, &event), "going down"));
}

/* A job in place JOBS[0] whose process is real and sleeps. */
static struct job *sleeping_job(enum job_kind kind, int unit)
{
	struct job *j = &p.jobs[0];

	*j = (struct job){ .kind = kind, .unit = unit, .pid = sleeper(), .result_fd = -1, .memfd = -1, .err = { .fd = -1 },
		.begin_ms = p.now_ms, .heard_ms = p.now_ms, .deadline_ms = p.now_ms + 60000,
		.stall_ms = kind == JOB_PULL ? 5000 : 0 };
	return j;
}

static void a_pull_without_progress_is_killed_and_named(void **state)
{
	struct job *j;
	pid_t pid;

	(void)state;
	add_unit("one");
	sup_adopt(&p, &table);
	p.units[0].state = UNIT_PULLING;
	j = sleeping_job(JOB_PULL, 0);
	pid = j->pid;
	assert_int_equal(job_expire(&p, p.now_ms + 4999), p.now_ms + 5000);
	assert_null(j->killed);
	j->heard_ms += 3000;
	assert_int_equal(job_expire(&p, p.now_ms + 5000), p.now_ms + 8000);
	job_expire(&p, p.now_ms + 8000);
	assert_non_null(j->killed);
	reap(pid);
	assert_int_equal(j->kind, JOB_FREE);
	assert_int_equal(p.units[0].state, UNIT_BACKOFF);
	assert_non_null(strstr(status.unit[0].reason, "no progress"));
	assert_true(p.units[0].timer_ms >= p.now_ms + 1600 && p.units[0].timer_ms <= p.now_ms + 2400);
}

static void a_mount_past_its_deadline_is_killed_and_tried_again(void **state)
{
	struct job *j = sleeping_job(JOB_MOUNT, -1);
	pid_t pid = j->pid;

	(void)state;
	p.mount.is_wanted = true;
	p.modules.is_done = true;
	assert_int_equal(job_expire(&p, p.now_ms + 59999), p.now_ms + 60000);
	job_expire(&p, p.now_ms + 60000);
	board_scan(&p, p.now_ms);
	assert_non_null(strstr(status.data, "does not answer"));
	reap(pid);
	assert_true(p.mount.due_ms > p.now_ms && !status.is_data_there);
}

static void send_report(int fd, uint32_t kind, pid_t pid, int pidfd)
{
	struct start_report r = { .kind = kind, .pid = pid, .error = ENOENT, .step = "exec", .object = "/guest" };
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec io = { &r, sizeof(r) };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1 };

	if (pidfd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &pidfd, sizeof(pidfd));
	}
	assert_int_equal(sendmsg(fd, &m, 0), sizeof(r));
}

/* Unit 0 as launch() leaves it: starter and report descriptor are ours. Returns the starter's end. */
static int launched(pid_t *starter)
{
	int pair[2];

	*starter = sleeper();	/* before the pair, of which it must hold no end */
	add_unit("one");
	sup_adopt(&p, &table);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	p.units[0].state = UNIT_STARTING;
	p.units[0].is_launched = true;
	p.units[0].starter = *starter;
	p.units[0].report_fd = pair[0];
	return pair[1];
}

static void kill_and_reap(pid_t pid)
{
	kill(pid, SIGKILL);
	reap(pid);
}

static void a_start_in_its_usual_order(void **state)
{
	pid_t starter, program = sleeper();
	int pidfd = (int)syscall(SYS_pidfd_open, program, 0), fd = launched(&starter);

	(void)state;
	send_report(fd, START_CREATED, program, pidfd);
	close(pidfd);
	sup_hear_start(&p, 0);
	assert_int_equal(status.unit[0].pid, program);
	assert_int_equal(p.units[0].state, UNIT_STARTING);
	close(fd);
	sup_hear_start(&p, 0);
	assert_int_equal(p.units[0].state, UNIT_RUNNING);
	kill_and_reap(starter);
	assert_int_equal(p.units[0].state, UNIT_RUNNING);
	kill_and_reap(program);
	assert_int_equal(p.units[0].state, UNIT_BACKOFF);
	assert_string_equal(status.unit[0].reason, "killed by signal 9");
	assert_int_equal(status.unit[0].restarts, 1);
	assert_int_equal(p.units[0].pidfd, -1);
}

static void a_program_reaped_before_its_report_is_not_lost(void **state)
{
	pid_t starter, program = sleeper();
	int pidfd = (int)syscall(SYS_pidfd_open, program, 0), fd = launched(&starter);

	(void)state;
	kill_and_reap(program);
	assert_int_equal(p.units[0].state, UNIT_STARTING);
	send_report(fd, START_CREATED, program, pidfd);
	close(pidfd);
	close(fd);
	sup_hear_start(&p, 0);
	assert_int_equal(p.units[0].pid, 0);
	kill_and_reap(starter);
	assert_int_equal(p.units[0].state, UNIT_BACKOFF);
	assert_string_equal(status.unit[0].reason, "killed by signal 9");
}

static void a_starter_that_dies_early_is_a_failed_start(void **state)
{
	pid_t starter;
	int fd = launched(&starter);

	(void)state;
	close(fd);
	kill_and_reap(starter);
	assert_int_equal(p.units[0].state, UNIT_BACKOFF);
	assert_string_equal(status.unit[0].reason, "start failed: the starter was killed by signal 9");
}

static void a_start_that_fails_is_told_by_its_report(void **state)
{
	pid_t starter, program = sleeper();
	int pidfd = (int)syscall(SYS_pidfd_open, program, 0), fd = launched(&starter);

	(void)state;
	send_report(fd, START_CREATED, program, pidfd);
	send_report(fd, START_FAILED, 0, -1);
	close(pidfd);
	close(fd);
	kill_and_reap(program);		/* in whichever order they are reaped */
	assert_int_equal(p.units[0].state, UNIT_STARTING);
	kill_and_reap(starter);
	assert_int_equal(p.units[0].state, UNIT_BACKOFF);
	assert_string_equal(status.unit[0].reason, "start failed: exec /guest: No such file or directory");
}

static void a_start_that_takes_too_long_is_killed(void **state)
{
	pid_t starter;
	int fd = launched(&starter);

	(void)state;
	p.units[0].timer_ms = p.now_ms + 5000;
	sup_scan(&p, p.now_ms + 4999);
	assert_int_equal(p.units[0].cause, UNIT_END_EXIT);
	p.now_ms += 5000;
	sup_scan(&p, p.now_ms);
	close(fd);
	reap(starter);
	assert_int_equal(p.units[0].state, UNIT_BACKOFF);
	assert_non_null(strstr(status.unit[0].reason, "TimeoutStartSec"));
}

static void stop_while_starting_ends_both(void **state)
{
	pid_t starter, program = sleeper();
	int pidfd = (int)syscall(SYS_pidfd_open, program, 0), fd = launched(&starter);

	(void)state;
	send_report(fd, START_CREATED, program, pidfd);
	close(pidfd);
	/* The report is not read yet when the wish comes. */
	sup_event(&p, 0, UNIT_EV_STOP);
	assert_int_equal(p.units[0].state, UNIT_STOPPING);
	close(fd);
	reap(starter);
	reap(program);
	assert_int_equal(p.units[0].state, UNIT_INACTIVE);
	assert_string_equal(status.unit[0].reason, "stopped");
}

static void long_life_forgets_short_ones(void **state)
{
	pid_t starter, program = sleeper();
	int pidfd = (int)syscall(SYS_pidfd_open, program, 0), fd = launched(&starter);

	(void)state;
	p.units[0].starts_failed = 3;
	send_report(fd, START_CREATED, program, pidfd);
	close(pidfd);
	close(fd);
	sup_hear_start(&p, 0);
	kill_and_reap(starter);
	p.now_ms += CONFIG_SETTLED_S * 1000;
	kill_and_reap(program);
	assert_int_equal(p.units[0].timer_ms, p.now_ms + 100);
	assert_int_equal(p.units[0].starts_failed, 1);
}

static void stop_all_goes_against_after(void **state)
{
	(void)state;
	add_unit("base");
	add_unit("top");
	table.unit[1].dep[0] = (struct unit_dep){ 1, UNIT_DEP_AFTER };
	sup_adopt(&p, &table);
	p.units[0].state = p.units[1].state = UNIT_RUNNING;
	p.units[0].pidfd = p.units[1].pidfd = -1;
	assert_false(sup_stop_all(&p));
	assert_int_equal(p.units[1].state, UNIT_STOPPING);
	assert_int_equal(p.units[0].state, UNIT_RUNNING);
	sup_event(&p, 1, UNIT_EV_ENDED_DONE);
	assert_false(sup_stop_all(&p));
	assert_int_equal(p.units[0].state, UNIT_STOPPING);
	sup_event(&p, 0, UNIT_EV_ENDED_DONE);
	assert_true(sup_stop_all(&p));
}

static void a_lease_comes_and_goes(void **state)
{
	(void)state;
	add_unit("one");
	sup_adopt(&p, &table);
	p.is_net_up = false;
	p.units[0].state = UNIT_BACKOFF;
	p.units[0].job_fails = 7;
	p.units[0].timer_ms = p.now_ms + 300000;
	board_net_changed(&p, "lost the lease of eth0");
	assert_string_equal(status.network, "");
	board_net_changed(&p, "eth0 10.0.2.15/24 via 10.0.2.2 (dhcp)");
	assert_true(p.is_net_up);
	assert_int_equal(p.units[0].timer_ms, p.now_ms);
	board_net_changed(&p, "lost the lease of eth0");
	assert_string_equal(status.network, "lost the lease of eth0");
	assert_false(p.is_net_up);
}

static void helpers_that_end_at_once_come_back_slower(void **state)
{
	static const uint64_t want[] = { 200, 400, 800, 1600, 3200, 6400, 10000, 10000 };
	struct helper *h = &p.helpers[HELPER_CONSOLE];

	(void)state;
	for (unsigned i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		h->pid = 4242;
		h->since_ms = p.now_ms;
		assert_true(helper_reaped(&p, 4242, 0));
		assert_int_equal(h->due_ms - p.now_ms, want[i]);
	}
	h->pid = 4242;
	h->since_ms = p.now_ms;
	p.now_ms += 20000;
	helper_reaped(&p, 4242, 0);
	assert_int_equal(h->due_ms - p.now_ms, 200);
	assert_false(helper_reaped(&p, 4243, 0));
}

static void timers_start_units(void **state)
{
	(void)state;
	add_unit("boot");
	add_unit("minutely");
	add_unit("never");
	table.unit[0].on_boot_ms = 5000;
	table.unit[1].calendar = table.unit[2].calendar = (struct unit_calendar){ ~0ull, ~0u, ~0u, 0x1ffe, 0x7f };
	table.unit[2].calendar.weekdays = 0;
	status.boot_ms = p.now_ms;
	sup_adopt(&p, &table);
	for (int i = 0; i < 3; i++)
		assert_int_equal(p.units[i].state, UNIT_INACTIVE);
	sup_calendar(&p, p.now_ms);
	assert_int_equal(p.units[0].state, UNIT_INACTIVE);
	assert_int_equal(p.units[1].state, UNIT_WAITING);
	sup_event(&p, 1, UNIT_EV_STOP);
	assert_true(sup_calendar(&p, p.now_ms) <= p.now_ms + 60000);
	p.minute--;		/* the next one, seen from here */
	sup_calendar(&p, p.now_ms + 4999);
	assert_int_equal(p.units[0].state, UNIT_INACTIVE);
	assert_int_equal(p.units[1].state, UNIT_WAITING);
	sup_calendar(&p, p.now_ms + 5000);
	assert_int_equal(p.units[0].state, UNIT_WAITING);
	sup_event(&p, 0, UNIT_EV_STOP);
	sup_calendar(&p, p.now_ms + 6000);
	assert_int_equal(p.units[0].state, UNIT_INACTIVE);
	assert_int_equal(p.units[2].state, UNIT_INACTIVE);
}

/* The starter holds the report's other end until it has ended, and the program may speak before that. */
static void ready_before_the_start_is_reported(void **state)
{
	pid_t starter, program = sleeper();
	int fd = launched(&starter), said[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, said), 0);
	p.units[0].entry.notify = UNIT_NOTIFY_YES;
	p.units[0].notify_fd = said[0];
	p.units[0].pid = program;
	assert_int_equal(send(said[1], "READY=1", 7, 0), 7);
	assert_int_equal(notify_fd(&p, 0), -1);
	notify_hear(&p, 0);
	close(fd);
	sup_hear_start(&p, 0);
	assert_int_equal(p.units[0].state, UNIT_ACTIVATING);
	assert_int_equal(notify_fd(&p, 0), said[0]);
	notify_hear(&p, 0);
	assert_int_equal(p.units[0].state, UNIT_RUNNING);
	kill_and_reap(starter);
	kill_and_reap(program);
	close(said[1]);
}

static void note(int fd, const char *step, const char *object, int error)
{
	struct start_report r = { .kind = START_NOTE, .error = error };

	snprintf(r.step, sizeof(r.step), "%s", step);
	snprintf(r.object, sizeof(r.object), "%s", object);
	assert_int_equal(send(fd, &r, sizeof(r), 0), sizeof(r));
}

static void all_that_is_weaker_than_asked_is_told(void **state)
{
	pid_t starter;
	int fd = launched(&starter);

	(void)state;
	note(fd, "not limited, this kernel lacks", "cpu.max", 0);
	note(fd, "not limited, this kernel lacks", "memory.max", 0);
	note(fd, "user namespace", "none", EPERM);
	note(fd, "not limited, this kernel lacks", "pids.max", 0);
	sup_hear_start(&p, 0);
	assert_string_equal(status.unit[0].note, "not limited, this kernel lacks: cpu.max, memory.max; user namespace none: Operation not permitted; "
		"not limited, this kernel lacks: pids.max");
	for (int i = 0; i < 100; i++)
		note(fd, "not limited, this kernel lacks", "something.with.a.long.name", 0);
	sup_hear_start(&p, 0);
	assert_int_equal(strlen(status.unit[0].note), sizeof(status.unit[0].note) - 1);
	close(fd);
	kill_and_reap(starter);
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(units_come_and_go),
		TEST(what_was_pulled_outlives_a_new_table),
		TEST(obstacles_in_their_order),
		TEST(a_pull_without_progress_is_killed_and_named),
		TEST(a_mount_past_its_deadline_is_killed_and_tried_again),
		TEST(a_start_in_its_usual_order),
		TEST(a_program_reaped_before_its_report_is_not_lost),
		TEST(ready_before_the_start_is_reported),
		TEST(all_that_is_weaker_than_asked_is_told),
		TEST(a_starter_that_dies_early_is_a_failed_start),
		TEST(a_start_that_fails_is_told_by_its_report),
		TEST(a_start_that_takes_too_long_is_killed),
		TEST(stop_while_starting_ends_both),
		TEST(long_life_forgets_short_ones),
		TEST(stop_all_goes_against_after),
		TEST(timers_start_units),
		TEST(a_lease_comes_and_goes),
		TEST(helpers_that_end_at_once_come_back_slower),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
