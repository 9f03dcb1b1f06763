/* SPDX-License-Identifier: MIT */
/*
 * The life of an update as one table, state x event -> next state and action, and the pure questions around it: is now inside the window, is this
 * digest known. Nothing here makes a system call; update_run.c does what the table says.
 */
#ifndef CORACLE_UPDATE_H
#define CORACLE_UPDATE_H

#include <stdbool.h>
#include <stdint.h>

#include "unit_table.h"

enum update_state {
	UPDATE_IDLE,
	UPDATE_CHECKING,
	UPDATE_DOWNLOADING,
	UPDATE_VERIFIED,	/* in the store, admitted; bundle and record are being compiled */
	UPDATE_STAGED,		/* in state/slots as `next`; waits for its moment */
	UPDATE_SWITCHING,	/* the attempt is being counted on the disk */
	UPDATE_CONFIRMING,	/* on trial */
	UPDATE_COMMITTED,	/* shown to be good; being written */
	UPDATE_ROLLED_BACK,	/* shown to be bad, or given up; being written */
	UPDATE_STATES
};

enum update_event {
	UPDATE_EV_ASKED,	/* `coracle update`, or the interval is over */
	UPDATE_EV_BACK,		/* `coracle rollback` */
	UPDATE_EV_FOUND_STAGED,	/* state/slots has a `next` that was never tried ... */
	UPDATE_EV_FOUND_TRIAL,	/* ... whose trial was interrupted ... */
	UPDATE_EV_FOUND_SPENT,	/* ... for the last time that is allowed */
	UPDATE_EV_SAME,		/* the tag names the image in use, or one that failed here */
	UPDATE_EV_NEWER,	/* it names another */
	UPDATE_EV_WENT_BACK,	/* it names the one in use again, and another is staged */
	UPDATE_EV_DONE,		/* the job of this state did it */
	UPDATE_EV_RETRY,	/* ... failed for now */
	UPDATE_EV_REFUSED,	/* ... refused */
	UPDATE_EV_GO,		/* nothing is in the way of the switch */
	UPDATE_EV_GOOD,		/* READY, healthy, or up for long enough */
	UPDATE_EV_BAD,		/* crash limit, unhealthy, not confirmed within its window: a verdict */
	UPDATE_EV_STOPPED,	/* the unit was stopped by hand while on trial */
	UPDATE_EV_TIMER,	/* time for the job of this state again */
	UPDATE_EVENTS
};

enum update_action {
	UPDATE_DO_NOTHING,
	UPDATE_DO_CHECK,	/* start the check job */
	UPDATE_DO_PULL,		/* start the pull job */
	UPDATE_DO_STAGE,	/* start the job that compiles and stages */
	UPDATE_DO_WAIT,		/* staged: look each turn what is in the way */
	UPDATE_DO_COUNT,	/* start the job that writes the attempt's number */
	UPDATE_DO_TRY,		/* the unit's next start is of the new image */
	UPDATE_DO_COMMIT,	/* start the job that makes it the current one */
	UPDATE_DO_CONDEMN,	/* stop the new one; start the job that rolls back and refuses the digest */
	UPDATE_DO_GIVE_UP,	/* the same without refusing it */
	UPDATE_DO_REVERT,	/* start the job that goes back from the committed one to the one before */
	UPDATE_DO_REFUSE,	/* start the job that refuses it, never tried */
	UPDATE_DO_RETURN,	/* the unit's next start is of the image that `current` names again */
	UPDATE_DO_SETTLE,	/* committed: tell it, collect garbage */
	UPDATE_DO_CANCEL,	/* kill the job */
	UPDATE_DO_REST,		/* nothing to do; the interval begins anew */
	UPDATE_DO_FAIL,		/* the same, and people are told why */
	UPDATE_DO_LATER,	/* arm the timer of a failed job */
	UPDATE_DO_AGAIN,	/* start the last job again */
	UPDATE_ACTIONS
};

struct update_step {
	uint8_t next;		/* enum update_state */
	uint8_t action;		/* enum update_action */
};

/* What the table says. A cell left out keeps the state and does nothing. */
struct update_step update_step(enum update_state state, enum update_event event);

/* Does the event mean anything in this state? */
bool update_takes(enum update_state state, enum update_event event);

const char *update_state_name(unsigned state);

/* One unit's update, in PID 1's memory; what must outlive it is in state/slots. */
struct update {
	enum update_state state;
	uint64_t since_ms, begin_ms;	/* of the state; of the update */
	uint64_t timer_ms, check_ms;	/* job again; look at the tag again; 0: not set */
	unsigned fails;			/* in a row */
	bool is_loaded;			/* the unit's slot was read from the store */
	bool is_forced;			/* asked for by hand: window and interval do not count */
	bool is_held;			/* the unit must not start until the job of this state has ended */
	bool is_switched;		/* the unit's `current` in memory is the new image; OLD is the one on the disk */
	bool was_stopped;		/* by hand, since the switch was decided */
	bool has_begun;			/* on trial: its program was started */
	unsigned ends;			/* of the program on trial */
	bool is_reached;		/* a release on trial: its registry answered, and would let it in */
	uint8_t op;			/* enum update_action: the last that started a job */
	char digest[72];		/* the new image, "" until it is known */
	char old[72];
	char tag[72];			/* what the tag named when last asked: digest of its document */
	char seen[72];			/* the same, when that led to nothing */
	char source[128];		/* instead of the unit's Image=: oci-archive:FILE; "" */
	char why[160];			/* what it came to, for people and the log */
};

/* Is MINUTE of the day inside FROM..TO (over midnight where TO is less; always where they are the same)? */
bool update_is_in_window(unsigned from, unsigned to, unsigned minute);

/* Was DIGEST refused here? */
bool update_is_refused(const struct unit_slot *s, const char *digest);

/* Which event the contents of state/slots are at boot; UPDATE_EVENTS: none. */
enum update_event update_found(const struct unit_slot *s);

/* For how long the new image must be up, in ms; 0: READY=1 or the first good health check is enough. And the time for that in all. */
uint32_t update_confirm_ms(const struct unit_entry *e);
uint32_t update_window_ms(const struct unit_entry *e);

#endif
