/* SPDX-License-Identifier: MIT */
/* `events`: first what is, then PID 1's stream of changes (events.h), a line of JSON each. Ends with PID 1, or with whoever reads. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "events.h"
#include "health.h"
#include "text.h"
#include "unit.h"
#include "update.h"

/* {"time":T,"unit":NAME,KEY:IS,"reason":WHY}. The release is no unit: its updates have a key of their own. */
static void show(const struct timespec *at, const char *unit, const char *key, const char *is, const char *reason)
{
	char time[32];

	if (!strcmp(unit, UNIT_RELEASE_NAME)) {
		if (strcmp(key, "update") != 0)
			return;
		unit = "";
		key = "release";
	}
	text_time(at, time, sizeof(time));
	printf("{\"time\":\"%s\",\"unit\":", time);
	json_text(unit);
	printf(",\"%s\":", key);
	json_text(is);
	printf(",\"reason\":");
	json_text(reason);
	printf("}\n");
}

static const char *power_name(uint32_t power)
{
	return power == STATUS_POWER_OFF ? "poweroff" : "reboot";
}

static void show_all(const struct status *s)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	for (uint32_t i = 0; i < s->count; i++) {
		const struct status_unit *u = &s->unit[i];

		if (!u->name[0])
			continue;
		show(&now, u->name, "state", unit_state_name(u->state), u->reason);
		if (u->health)
			show(&now, u->name, "health", health_name(u->health), u->health_text);
		if (u->update.state != UPDATE_IDLE)
			show(&now, u->name, "update", update_state_name(u->update.state), u->update.digest);
	}
	if (s->power != STATUS_POWER_ON)
		show(&now, "", "power", power_name(s->power), "");
	fflush(stdout);
}

static void show_event(const struct control_event *e)
{
	const struct timespec at = { .tv_sec = (time_t)e->seconds, .tv_nsec = (long)e->nanoseconds };

	switch (e->kind) {
	case EVENT_STATE:
		show(&at, e->unit, "state", unit_state_name(e->value), e->reason);
		break;
	case EVENT_GONE:
		show(&at, e->unit, "state", "gone", e->reason);
		break;
	case EVENT_HEALTH:
		show(&at, e->unit, "health", health_name(e->value), e->reason);
		break;
	case EVENT_UPDATE:
		show(&at, e->unit, "update", update_state_name(e->value), e->reason);
		break;
	case EVENT_POWER:
		show(&at, e->unit, "power", power_name(e->value), e->reason);
		break;
	default:
		break;
	}
}

int client_show_events(const struct client_args *a)
{
	static struct status s;
	const struct timeval forever = { .tv_sec = 0 };
	struct control_request q = { .magic = CONTROL_MAGIC, .command = CONTROL_EVENTS };
	struct control_reply r;
	struct control_event e;
	int fd, from = client_open(a->socket, &q, &r, &fd);
	char number[12];
	ssize_t n;

	if (client_complain(a, from < 0 ? from : 0, &r))
		return 1;
	n = fd < 0 ? -EBADMSG : status_copy(fd, &s);
	close(fd);
	if (n < 0) {
		fprintf(stderr, "coracle: events: %s\n", strerror((int)-n));
		return 1;
	}
	show_all(&s);
	setsockopt(from, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof(forever));
	while (!ferror(stdout) && (n = recv(from, &e, sizeof(e), 0)) == sizeof(e) && e.magic == EVENTS_MAGIC) {
		const struct timespec at = { .tv_sec = (time_t)e.seconds, .tv_nsec = (long)e.nanoseconds };

		e.unit[sizeof(e.unit) - 1] = e.reason[sizeof(e.reason) - 1] = '\0';
		snprintf(number, sizeof(number), "%u", e.lost);
		if (e.lost)
			show(&at, "", "lost", number, "the reader was too slow");
		/* What the copy has in it already was shown. */
		if ((int32_t)(e.sequence - s.sequence) > 0)
			show_event(&e);
		fflush(stdout);
	}
	return 1;
}
