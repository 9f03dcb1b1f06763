/* SPDX-License-Identifier: MIT */
/*
 * Notification datagrams of programs, on their way to the table of events. The buffer is fixed, and a program that shouts is heard NOTIFY_PER_SECOND times a second and waits for the rest. Descriptors sent along
 * are dropped by the kernel, as no room is offered for them. Never allocates, never waits.
 */
#include "notify.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "pid1.h"
#include "plog.h"
#include "sup.h"
#include "text.h"

enum { TURN_MAX = 16 };

static int make_socket(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd, err = 0;

	mkdir(UNIT_NOTIFY_OUTSIDE, 0755);
	snprintf(a.sun_path, sizeof(a.sun_path), UNIT_NOTIFY_OUTSIDE "/%s", name);
	if (mkdir(a.sun_path, 0755) < 0 && errno != EEXIST)
		return -errno;
	if (snprintf(a.sun_path, sizeof(a.sun_path), UNIT_NOTIFY_OUTSIDE "/%s/socket", name) >= (int)sizeof(a.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(a.sun_path);
	/* Any user of the container may write; who is in another container does not see it. */
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || chmod(a.sun_path, 0666) < 0)
		err = -errno;
	if (err < 0)
		close(fd);
	return err < 0 ? err : fd;
}

void notify_open(struct pid1 *p, unsigned i)
{
	struct unit *u = &p->units[i];

	if (!u->entry.notify) {
		notify_close(p, i);
		return;
	}
	if (u->notify_fd >= 0)
		return;
	u->notify_fd = make_socket(u->entry.name);
	if (u->notify_fd < 0)
		plog("unit %s: no socket for Notify=: %s", u->entry.name, strerror(-u->notify_fd));
}

void notify_close(struct pid1 *p, unsigned i)
{
	struct unit *u = &p->units[i];

	if (u->notify_fd >= 0)
		close(u->notify_fd);
	u->notify_fd = -1;
}

static void say(struct pid1 *p, unsigned i, const char *text)
{
	status_begin(p->status);
	text_copy(p->status->unit[i].said, sizeof(p->status->unit[i].said), text);
	status_end(p->status);
}

/* systemd counts an extension from now on, and never takes time away with it. */
static void extend(struct pid1 *p, struct unit *u, uint64_t ms)
{
	bool has_timer = u->state == UNIT_ACTIVATING || u->state == UNIT_ENDING || u->state == UNIT_STOPPING ||
		u->state == UNIT_RESTARTING;

	if (has_timer && u->timer_ms && u->timer_ms < p->now_ms + ms)
		u->timer_ms = p->now_ms + ms;
}

static void take(struct pid1 *p, unsigned i, const struct notify *n)
{
	struct unit *u = &p->units[i];

	if (!u->pid)
		return;		/* a last word of one that has ended */
	if (n->has_status)
		say(p, i, n->status);
	if (n->has_extend)
		extend(p, u, n->extend_ms);
	if (n->has_watchdog)
		u->watchdog_ms = n->watchdog_ms;
	if (n->is_ready && u->entry.notify == UNIT_NOTIFY_YES)
		sup_event(p, i, UNIT_EV_READY);
	if ((n->is_alive || n->is_ready || n->has_watchdog) && u->state == UNIT_RUNNING)
		u->alive_ms = p->now_ms;
	if (n->is_stopping)
		sup_event(p, i, UNIT_EV_LEAVING);
	if (n->is_hung)
		sup_hung(p, i);
}

void notify_hear(struct pid1 *p, unsigned i)
{
	struct unit *u = &p->units[i];
	char buf[NOTIFY_MAX + 1];
	struct notify n;
	ssize_t len;

	for (int turn = 0; turn < TURN_MAX && notify_fd(p, i) >= 0; turn++) {
		len = recv(u->notify_fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC);
		if (len < 0)
			return;
		if (p->now_ms - u->heard_ms >= 1000) {
			u->heard_ms = p->now_ms;
			u->heard = 0;
		}
		u->heard++;
		if (len > NOTIFY_MAX)
			continue;
		notify_parse(buf, (size_t)len, &n);
		take(p, i, &n);
	}
}

int notify_fd(const struct pid1 *p, unsigned i)
{
	const struct unit *u = &p->units[i];

	if (u->report_fd >= 0)
		return -1;
	return u->heard >= NOTIFY_PER_SECOND && p->now_ms - u->heard_ms < 1000 ? -1 : u->notify_fd;
}
