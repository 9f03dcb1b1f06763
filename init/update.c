/* SPDX-License-Identifier: MIT */
/*
 * The life of an update. Pure: no system call, no clock, no storage.
 *
 *   idle         nothing under way. Leads on by a wish or the interval, and at boot by what state/slots says.
 *   checking     a job asks what the tag names. Known (in use, or failed here before): idle. Another: downloading.
 *   downloading  a job pulls it beside the running program. It may turn out to be known only now (an index names what another one named): idle; or
 *                the tag went back to what is in use while another image was staged: that one is given up.
 *   verified     it is in the store, let in by the policy. A job compiles bundle and record and writes it as `next`; what cannot be compiled for
 *                this unit is refused for good.
 *   staged       waits for update window and unit; the old program runs. A later wish looks at the tag again: it may have moved.
 *   switching    a job writes the number of the attempt. Only once that is on the disk is the new image started. The disk does not take it: staged
 *                again, the old program runs on. No attempt left: rolled back.
 *   confirming   the new image runs in place of the old one. Good: committed. A verdict: rolled back and refused. Stopped by hand: rolled back.
 *   committed    a job makes it `current`. Until the disk has taken that it is tried again; nothing takes the decision back.
 *   rolled back  a job takes `next` away, or `previous` back. The old image starts when that is written, or when the disk does not take it:
 *                `current` names it all along. Until the disk has taken it, it is tried again.
 *
 * A power cut anywhere leaves state/slots as it was before or after one step: the three found-events are the ways in from there.
 */
#include "update.h"

#include <string.h>

#define GO(state, action) { 1, { UPDATE_##state, UPDATE_DO_##action } }

static const struct {
	uint8_t is_set;
	struct update_step step;
} table[UPDATE_STATES][UPDATE_EVENTS] = {
	[UPDATE_IDLE] = {
		[UPDATE_EV_ASKED] = GO(CHECKING, CHECK),
		[UPDATE_EV_BACK] = GO(ROLLED_BACK, REVERT),
		[UPDATE_EV_FOUND_STAGED] = GO(STAGED, WAIT),
		[UPDATE_EV_FOUND_TRIAL] = GO(SWITCHING, COUNT),
		[UPDATE_EV_FOUND_SPENT] = GO(ROLLED_BACK, CONDEMN),
	},
	[UPDATE_CHECKING] = {
		[UPDATE_EV_BACK] = GO(IDLE, CANCEL),
		[UPDATE_EV_SAME] = GO(IDLE, REST),
		[UPDATE_EV_NEWER] = GO(DOWNLOADING, PULL),
		[UPDATE_EV_RETRY] = GO(IDLE, FAIL),
		[UPDATE_EV_REFUSED] = GO(IDLE, FAIL),
		[UPDATE_EV_TIMER] = GO(CHECKING, AGAIN),
	},
	[UPDATE_DOWNLOADING] = {
		[UPDATE_EV_BACK] = GO(IDLE, CANCEL),
		[UPDATE_EV_SAME] = GO(IDLE, REST),
		[UPDATE_EV_WENT_BACK] = GO(ROLLED_BACK, GIVE_UP),
		[UPDATE_EV_DONE] = GO(VERIFIED, STAGE),
		[UPDATE_EV_RETRY] = GO(IDLE, FAIL),
		[UPDATE_EV_REFUSED] = GO(IDLE, FAIL),
		[UPDATE_EV_TIMER] = GO(DOWNLOADING, AGAIN),
	},
	[UPDATE_VERIFIED] = {
		[UPDATE_EV_DONE] = GO(STAGED, WAIT),
		[UPDATE_EV_RETRY] = GO(IDLE, FAIL),
		[UPDATE_EV_REFUSED] = GO(ROLLED_BACK, REFUSE),
		[UPDATE_EV_TIMER] = GO(VERIFIED, AGAIN),
	},
	[UPDATE_STAGED] = {
		[UPDATE_EV_ASKED] = GO(CHECKING, CHECK),
		[UPDATE_EV_BACK] = GO(ROLLED_BACK, CONDEMN),
		[UPDATE_EV_GO] = GO(SWITCHING, COUNT),
	},
	[UPDATE_SWITCHING] = {
		[UPDATE_EV_DONE] = GO(CONFIRMING, TRY),
		[UPDATE_EV_RETRY] = GO(STAGED, LATER),
		[UPDATE_EV_REFUSED] = GO(ROLLED_BACK, CONDEMN),
		[UPDATE_EV_TIMER] = GO(SWITCHING, AGAIN),
	},
	[UPDATE_CONFIRMING] = {
		[UPDATE_EV_BACK] = GO(ROLLED_BACK, CONDEMN),
		[UPDATE_EV_GOOD] = GO(COMMITTED, COMMIT),
		[UPDATE_EV_BAD] = GO(ROLLED_BACK, CONDEMN),
		[UPDATE_EV_STOPPED] = GO(ROLLED_BACK, GIVE_UP),
	},
	[UPDATE_COMMITTED] = {
		[UPDATE_EV_DONE] = GO(IDLE, SETTLE),
		[UPDATE_EV_RETRY] = GO(COMMITTED, LATER),
		[UPDATE_EV_REFUSED] = GO(IDLE, FAIL),
		[UPDATE_EV_TIMER] = GO(COMMITTED, AGAIN),
	},
	[UPDATE_ROLLED_BACK] = {
		[UPDATE_EV_DONE] = GO(IDLE, RETURN),
		[UPDATE_EV_RETRY] = GO(ROLLED_BACK, LATER),
		[UPDATE_EV_REFUSED] = GO(IDLE, FAIL),
		[UPDATE_EV_TIMER] = GO(ROLLED_BACK, AGAIN),
	},
};

bool update_takes(enum update_state state, enum update_event event)
{
	return (unsigned)state < UPDATE_STATES && (unsigned)event < UPDATE_EVENTS && table[state][event].is_set;
}

struct update_step update_step(enum update_state state, enum update_event event)
{
	struct update_step stay = { (uint8_t)state, UPDATE_DO_NOTHING };

	return update_takes(state, event) ? table[state][event].step : stay;
}

const char *update_state_name(unsigned state)
{
	static const char *const name[UPDATE_STATES] = {
		"idle", "checking", "downloading", "verified", "staged", "switching", "confirming", "committed", "rolled back",
	};

	return state < UPDATE_STATES ? name[state] : "unknown";
}

bool update_is_in_window(unsigned from, unsigned to, unsigned minute)
{
	if (from == to)
		return true;
	return from < to ? minute >= from && minute < to : minute >= from || minute < to;
}

bool update_is_refused(const struct unit_slot *s, const char *digest)
{
	for (int i = 0; i < UNIT_REFUSED_MAX; i++)
		if (s->refused[i][0] && !strcmp(s->refused[i], digest))
			return true;
	return false;
}

enum update_event update_found(const struct unit_slot *s)
{
	if (!s->next[0])
		return UPDATE_EVENTS;
	if (!s->tries)
		return UPDATE_EV_FOUND_STAGED;
	return s->tries < CONFIG_UPDATE_TRIES ? UPDATE_EV_FOUND_TRIAL : UPDATE_EV_FOUND_SPENT;
}

uint32_t update_confirm_ms(const struct unit_entry *e)
{
	if (e->update.confirm_ms || e->notify || e->type == UNIT_TYPE_ONESHOT)
		return e->update.confirm_ms;
	return CONFIG_UPDATE_CONFIRM_S * 1000U;
}

uint32_t update_window_ms(const struct unit_entry *e)
{
	uint32_t window = e->update.confirm_window_ms ? e->update.confirm_window_ms : CONFIG_UPDATE_WINDOW_S * 1000U;

	/* A window that could never be met would condemn every image. */
	return window > e->update.confirm_ms ? window : e->update.confirm_ms + CONFIG_UPDATE_WINDOW_S * 1000U;
}
