/* SPDX-License-Identifier: MIT */
/*
 * PID 1's side of the control socket. Anyone on the board may connect, so a
 * request is a fixed number of bytes, read once, answered once; nobody is
 * waited for, and who changes something must be root by SO_PEERCRED. Never allocates.
 */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "board.h"
#include "pid1.h"
#include "plog.h"
#include "shutdown.h"
#include "sup.h"
#include "text.h"
#include "update_run.h"

enum { GROUPS_MAX = 64 };

int control_listen(const char *path, unsigned group)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int ret;

	if (fd < 0)
		return -errno;
	text_copy(a.sun_path, sizeof(a.sun_path), path);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && chmod(path, group ? 0660 : 0666) == 0 &&
	    (!group || chown(path, 0, group) == 0) && listen(fd, CONTROL_CLIENTS) == 0)
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

static void drop(struct client *c)
{
	close(c->fd);
	c->fd = -1;
}

void control_accept(struct pid1 *p)
{
	struct client *place = &p->clients[0];
	int fd = accept4(p->control_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
		struct client *c = &p->clients[i];

		if (c->fd < 0 || c->since_ms < place->since_ms)
			place = c;
		if (c->fd < 0)
			break;
	}
	if (place->fd >= 0)
		drop(place);
	place->fd = fd;
	place->since_ms = p->now_ms;
}

static void answer(const struct client *c, const struct control_reply *r, const int fd[2])
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec io = { (void *)r, sizeof(*r) };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1 };
	struct cmsghdr *h;

	if (fd[0] >= 0) {
		size_t size = (1 + (fd[1] >= 0)) * sizeof(*fd);

		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(size);
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(size);
		memcpy(CMSG_DATA(h), fd, size);
	}
	/* Whoever does not take it loses it. */
	if (sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

static int refuse(struct control_reply *r, int code, const char *fmt, const char *what)
{
	r->code = code;
	snprintf(r->text, sizeof(r->text), fmt, what);
	return -1;
}

static int unit_of(struct pid1 *p, const char *name, struct control_reply *r)
{
	int i = sup_find(p, name);
	char shown[UNIT_NAME_MAX];

	if (i >= 0)
		return i;
	text_printable(shown, sizeof(shown), name);
	return refuse(r, -ENOENT, "no unit '%s'; `coracle status` lists them", shown);
}

static void change_unit(struct pid1 *p, const struct control_request *q, struct control_reply *r)
{
	static const enum unit_event event[] = {
		[CONTROL_START] = UNIT_EV_START, [CONTROL_STOP] = UNIT_EV_STOP,
		[CONTROL_RESTART] = UNIT_EV_RESTART,
	};
	static const char *const name[] = {
		[CONTROL_START] = "start", [CONTROL_STOP] = "stop", [CONTROL_RESTART] = "restart",
	};
	int i = unit_of(p, q->name, r);

	if (i < 0)
		return;
	if (p->power != STATUS_POWER_ON || update_is_release(p, (unsigned)i)) {
		refuse(r, -ESHUTDOWN, "%s: the board is going down, or it is no unit", q->name);
		return;
	}
	plog("unit %s: asked to %s", q->name, name[q->command]);
	p->units[i].is_asked |= q->command != CONTROL_STOP;
	sup_ask(p, (unsigned)i, event[q->command]);
	snprintf(r->text, sizeof(r->text), "%s: %s", q->name, unit_state_name(p->units[i].state));
}

static void change_image(struct pid1 *p, const struct control_request *q, struct control_reply *r)
{
	bool is_first = !p->release && !strcmp(q->name, UNIT_RELEASE_NAME) && q->text[0];
	int i = is_first ? sup_add_release(p) : unit_of(p, q->name, r);

	if (i < 0)
		return;
	if (p->power != STATUS_POWER_ON) {
		refuse(r, -ESHUTDOWN, "%s: the board is going down", q->name);
		return;
	}
	r->code = q->command == CONTROL_UPDATE ? update_ask(p, (unsigned)i, q->text, r->text, sizeof(r->text)) :
		update_back(p, (unsigned)i, r->text, sizeof(r->text));
}

/* The record and the pidfd of what runs. The rest is the client's (exec.c). */
static int give_record(struct pid1 *p, const struct control_request *q, struct control_reply *r, int *pidfd)
{
	int i = unit_of(p, q->name, r);

	if (i < 0)
		return -1;
	if (!p->conf.is_exec)
		return refuse(r, -EPERM, "exec in %s: not on this board; exec=yes in board.conf allows it", q->name);
	if (!p->units[i].pid || p->units[i].report_fd >= 0)
		return refuse(r, -ESRCH, "exec in %s: it is not running", q->name);
	plog("unit %s: a command is run in it by coracle exec", q->name);
	text_copy(r->text, sizeof(r->text), p->status->unit[i].cgroup);
	*pidfd = p->units[i].pidfd;
	return p->units[i].record_fd;
}

/* Root, or of the group that may read logs too, by what the kernel says of the peer. */
static bool is_reader(const struct pid1 *p, int fd, const struct ucred *cred)
{
	gid_t groups[GROUPS_MAX];
	socklen_t len = sizeof(groups);
	gid_t wanted = p->conf.read_group;

	if (!wanted || cred->uid == 0 || cred->gid == wanted)
		return cred->uid == 0 || wanted;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false;
	for (unsigned i = 0; i < len / sizeof(groups[0]); i++)
		if (groups[i] == wanted)
			return true;
	return false;
}

static int serve(struct pid1 *p, const struct control_request *q, int client, const struct ucred *cred, struct control_reply *r,
	int *pidfd)
{
	int i;

	if (q->command >= CONTROL_START && q->command <= CONTROL_EXEC && cred->uid != 0)
		return refuse(r, -EPERM, "%s", "only root may change something here");
	switch (q->command) {
	case CONTROL_STATUS:
		return p->status_read_fd;
	case CONTROL_LOGS:
		if (!is_reader(p, client, cred))
			return refuse(r, -EPERM, "%s", "logs are for root and read-group= of board.conf");
		if (!q->name[0])
			return p->log_read_fd;
		i = unit_of(p, q->name, r);
		if (i < 0 || p->units[i].ring_read_fd >= 0)
			return i < 0 ? -1 : p->units[i].ring_read_fd;
		return refuse(r, -ENOMEM, "unit %s: its output could not be kept", q->name);
	case CONTROL_START:
	case CONTROL_STOP:
	case CONTROL_RESTART:
		change_unit(p, q, r);
		return -1;
	case CONTROL_UPDATE:
	case CONTROL_ROLLBACK:
		change_image(p, q, r);
		return -1;
	case CONTROL_REBOOT:
	case CONTROL_POWEROFF:
		shutdown_begin(p, q->command == CONTROL_REBOOT ? STATUS_POWER_REBOOT : STATUS_POWER_OFF,
			"asked for");
		snprintf(r->text, sizeof(r->text), "%s", q->command == CONTROL_REBOOT ? "rebooting" :
			"powering off");
		return -1;
	case CONTROL_RESET:
		if (strcmp(q->name, p->conf.hostname) != 0)
			return refuse(r, -EINVAL, "nothing was erased: this board's name is %s; `coracle reset` and that name does it",
				p->conf.hostname);
		if (!p->status->is_data_there)
			return refuse(r, -ENODEV, "%s", "no data partition: there is nothing to erase");
		p->is_wipe_wanted = true;
		shutdown_begin(p, STATUS_POWER_REBOOT, "factory reset");
		snprintf(r->text, sizeof(r->text), "erasing %s and rebooting", p->status->data_dir);
		return -1;
	case CONTROL_REEXEC:
		if (!job_count(p, JOB_REEXEC, -1) && !job_run_reexec(p))
			return refuse(r, -EAGAIN, "%s", "no place for another job; try again");
		snprintf(r->text, sizeof(r->text), "looking at %s/coracle-init; `log` says what comes of it", p->bin_dir);
		return -1;
	case CONTROL_EVENTS:
		if (events_add(p, client))
			return p->status_read_fd;
		return refuse(r, -EBUSY, "%s", "as many read events as there may; end one of them");
	case CONTROL_NETWORK:
		board_net_changed(p, q->text);
		return -1;
	case CONTROL_EXEC:
		return give_record(p, q, r, pidfd);
	default:
		return refuse(r, -ENOTSUP, "%s", "this version does not know that command");
	}
}

void control_serve(struct pid1 *p, unsigned i)
{
	struct client *c = &p->clients[i];
	struct control_reply r = { .magic = CONTROL_MAGIC };
	struct control_request q;
	struct ucred cred = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(cred);
	ssize_t n = recv(c->fd, &q, sizeof(q), MSG_DONTWAIT);
	int fd[2] = { -1, -1 };

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == sizeof(q) && q.magic == CONTROL_MAGIC) {
		q.name[sizeof(q.name) - 1] = '\0';
		q.text[sizeof(q.text) - 1] = '\0';
		getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
		fd[0] = serve(p, &q, c->fd, &cred, &r, &fd[1]);
		answer(c, &r, fd);
		if (q.command == CONTROL_EVENTS && fd[0] >= 0) {
			c->fd = -1;	/* the stream's now */
			return;
		}
	} else if (n > 0) {
		refuse(&r, -EPROTO, "%s", "not a request of this version: are coracle and PID 1 of one build?");
		answer(c, &r, fd);
	}
	drop(c);
}

void control_expire(struct pid1 *p, uint64_t now_ms)
{
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
		if (p->clients[i].fd >= 0 && p->clients[i].since_ms + CONTROL_IDLE_MS <= now_ms)
			drop(&p->clients[i]);
}
