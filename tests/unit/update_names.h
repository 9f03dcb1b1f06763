/* SPDX-License-Identifier: MIT */
/* Names of the events and actions of init/update.h, in their order: for messages of tests and for docs/updates.md. */
#ifndef CORACLE_UPDATE_NAMES_H
#define CORACLE_UPDATE_NAMES_H

#include "update.h"

static const char *const event_name[] = {
	"asked, or the interval is over", "rollback asked", "found staged", "found on trial", "found, attempts spent", "names what is known",
	"names another", "names the one in use again", "job done", "job failed for now", "refused", "nothing in the way", "good", "bad",
	"stopped by hand", "timer",
};

static const char *const action_name[] = {
	"nothing", "start the check", "start the pull", "start the job that compiles and stages", "look each turn what is in the way",
	"start the job that counts the attempt", "restart the unit on the new image", "start the job that commits",
	"back to the old one; start the job that rolls back and refuses", "back to the old one; start the job that rolls back",
	"start the job that goes back to the one before", "start the job that refuses it", "the old one may start; tell it",
	"tell it; collect garbage", "kill the job", "the interval begins anew", "tell why; try later", "timer of a failed job",
	"start the last job again",
};

_Static_assert(sizeof(event_name) / sizeof(event_name[0]) == UPDATE_EVENTS, "a name for each event");
_Static_assert(sizeof(action_name) / sizeof(action_name[0]) == UPDATE_ACTIONS, "a name for each action");

#endif
