/* SPDX-License-Identifier: MIT */
/* Names of the events and actions of init/unit.h, in their order: for messages of tests and for docs/unit-states.md. */
#ifndef CORACLE_UNIT_NAMES_H
#define CORACLE_UNIT_NAMES_H

#include "unit.h"

static const char *const event_name[] = {
	"start asked", "stop asked", "restart asked", "way free: pull", "way free: prepare", "way free: launch", "job done",
	"job failed for now", "refused", "store damaged", "executed, more to come", "executed", "READY=1", "STOPPING=1",
	"watchdog missed", "unhealthy", "unhealthy, kill", "ended, policy restarts", "ended well", "ended well, stays up", "ended badly",
	"start limit hit", "timer",
};

static const char *const action_name[] = {
	"nothing", "forget backoff, limit and reason; look what is in the way", "look what is in the way", "start the pull",
	"start preparing", "start the program", "keep what the job brought", "nothing: the start's timer goes on",
	"note the time; watchdog and health begin", "stop signal; stop timer", "SIGABRT; stop timer", "stop timer", "SIGKILL to the whole cgroup; look again soon",
	"SIGKILL to the job", "count a restart; timer of the program's backoff", "timer of the job's backoff",
	"forget digest and record; timer of the job's backoff", "long timer", "timers off",
};

_Static_assert(sizeof(event_name) / sizeof(event_name[0]) == UNIT_EVENTS, "a name for each event");
_Static_assert(sizeof(action_name) / sizeof(action_name[0]) == UNIT_ACTIONS, "a name for each action");

#endif
