/* SPDX-License-Identifier: MIT */
/* The hardware watchdog's device: opened once, fed by a write. Nothing here waits; what the driver refuses is a line in the log. */
#include "watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "pid1.h"
#include "plog.h"

/* A driver may come late; after the first minute a board is taken to have none. */
enum { LOOK_MS = 250, LOOK_UNTIL_MS = 60000, FEEDS = 4 };

static const char device[] = "/dev/watchdog0";

static void arm(struct pid1 *p)
{
	struct watchdog *w = &p->watchdog;
	int timeout = (int)p->conf.watchdog_s, flags = 0;

	w->fd = open(device, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
	if (w->fd < 0) {
		if (errno != ENOENT)
			plog("watchdog: %s: %s", device, strerror(errno));
		return;
	}
	w->has_bitten = ioctl(w->fd, WDIOC_GETBOOTSTATUS, &flags) == 0 && flags & WDIOF_CARDRESET;
	if (ioctl(w->fd, WDIOC_SETTIMEOUT, &timeout) < 0)
		plog("watchdog: %d s not taken: %s", timeout, strerror(errno));
	if (ioctl(w->fd, WDIOC_GETTIMEOUT, &timeout) < 0 || timeout < 1)
		timeout = 1;
	w->timeout_s = (unsigned)timeout;
	status_begin(p->status);
	p->status->watchdog_s = w->timeout_s;
	status_end(p->status);
	plog("watchdog: armed, %d s%s", timeout, w->has_bitten ? "; the last reset was its doing" : "");
}

uint64_t watchdog_scan(struct pid1 *p, uint64_t now_ms)
{
	struct watchdog *w = &p->watchdog;

	if (!p->conf.watchdog_s || (w->fd < 0 && now_ms > p->status->boot_ms + LOOK_UNTIL_MS) ||
	    (w->until_ms && now_ms >= w->until_ms))
		return 0;
	if (now_ms < w->due_ms)
		return w->due_ms;
	w->due_ms = now_ms + LOOK_MS;
	if (w->fd < 0)
		arm(p);
	if (w->fd < 0)
		return w->due_ms;
	if (write(w->fd, "\0", 1) != 1)
		plog("watchdog: not fed: %s", strerror(errno));
	w->due_ms = now_ms + w->timeout_s * 1000ULL / FEEDS;
	return w->due_ms;
}

void watchdog_let_go(struct pid1 *p, uint64_t ms)
{
	p->watchdog.until_ms = p->now_ms + ms;
}

void watchdog_disarm(struct pid1 *p)
{
	/* "V" and close is the magic that means it (nowayout drivers do not listen). */
	if (p->watchdog.fd >= 0 && write(p->watchdog.fd, "V", 1) == 1)
		close(p->watchdog.fd);
	p->watchdog.fd = -1;
}
