/* SPDX-License-Identifier: MIT */
/* The steps of slot_steps.h on a slot in memory. */
#include "slot_steps.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "release.h"

static void put(char to[DIGEST_TEXT_LEN + 1], const char *digest)
{
	memmove(to, digest, strlen(digest) + 1);
}

bool slot_is_refused(const struct slot *s, const char *digest)
{
	for (int i = 0; i < UNIT_REFUSED_MAX && s->refused[i][0]; i++)
		if (strcmp(s->refused[i], digest) == 0)
			return true;
	return false;
}

/* Latest first; the oldest falls out where there are more than a slot holds. */
static void add_refused(struct slot *s, const char *digest)
{
	if (slot_is_refused(s, digest))
		return;
	memmove(s->refused[1], s->refused[0], sizeof(s->refused[0]) * (UNIT_REFUSED_MAX - 1));
	put(s->refused[0], digest);
}

int slot_check_floor(const struct slot *s, uint64_t version, struct err *e)
{
	if (version >= s->floor)
		return 0;
	if (!version)
		return err_set(e, -EKEYREJECTED, "unit %s: the image says no version and %" PRIu64 " was in use already: sign it with a version of "
			"at least that", s->name, s->floor);
	return err_set(e, -EKEYREJECTED, "unit %s: version %" PRIu64 " is older than %" PRIu64 ", which was in use already: refused as a downgrade",
		s->name, version, s->floor);
}

int slot_stage(struct slot *s, const char *ref, const char *digest, uint64_t version, struct err *e)
{
	/* The first release comes to a board that has none; a later one may come from elsewhere. */
	if (!release_is(s->name) && (!s->current[0] || strcmp(s->ref, ref) != 0))
		return err_set(e, -EINVAL, "unit %s: uses no image of %s yet: it is pulled at its start, not updated", s->name, ref);
	if (strcmp(s->current, digest) == 0)
		return err_set(e, -EINVAL, "unit %s: uses that image already", s->name);
	if (strcmp(s->next, digest) == 0)
		return SLOT_ALREADY;
	if (s->next[0] && s->tries)
		return err_set(e, -EBUSY, "unit %s: %s is on trial", s->name, s->next);
	if (slot_is_refused(s, digest))
		return err_set(e, -EKEYREJECTED, "unit %s: %s failed here before", s->name, digest);
	if (slot_check_floor(s, version, e) < 0)
		return -EKEYREJECTED;
	put(s->next, digest);
	s->tries = 0;
	return SLOT_CHANGED;
}

int slot_try(struct slot *s, const char *digest, uint32_t count, struct err *e)
{
	if (!s->next[0] || strcmp(s->next, digest) != 0)
		return err_set(e, -EINVAL, "unit %s: %s is not staged", s->name, digest);
	if (s->tries == count)
		return SLOT_ALREADY;
	if (count != s->tries + 1)
		return err_set(e, -EINVAL, "unit %s: attempt %u does not follow %u", s->name, count, s->tries);
	if (count > CONFIG_UPDATE_TRIES)
		return err_set(e, -EKEYREJECTED, "unit %s: all %d attempts at %s were interrupted", s->name, CONFIG_UPDATE_TRIES, digest);
	s->tries = count;
	return SLOT_CHANGED;
}

int slot_commit(struct slot *s, const char *digest, uint64_t version, struct err *e)
{
	if (!s->next[0] && strcmp(s->current, digest) == 0)
		return SLOT_ALREADY;
	if (strcmp(s->next, digest) != 0 || !s->tries)
		return err_set(e, -EINVAL, "unit %s: %s is not on trial", s->name, digest);
	put(s->previous, s->current);
	put(s->current, s->next);
	s->next[0] = '\0';
	s->tries = 0;
	if (version > s->floor)
		s->floor = version;
	return SLOT_CHANGED;
}

int slot_rollback(struct slot *s, const char *digest, bool is_verdict, struct err *e)
{
	if (strcmp(s->next, digest) == 0) {
		s->next[0] = '\0';
		s->tries = 0;
	} else if (strcmp(s->current, digest) == 0) {
		if (!s->previous[0])
			return err_set(e, -EINVAL, "unit %s: there is no image from before to go back to", s->name);
		/* An update that waits is of later than what is given up: it is not touched by this. */
		put(s->current, s->previous);
		s->previous[0] = '\0';
	} else if (!is_verdict || slot_is_refused(s, digest)) {
		return SLOT_ALREADY;
	}
	if (is_verdict)
		add_refused(s, digest);
	return SLOT_CHANGED;
}

int slot_refuse(struct slot *s, const char *digest, struct err *e)
{
	if (strcmp(s->current, digest) == 0 || (s->tries && strcmp(s->next, digest) == 0))
		return err_set(e, -EBUSY, "unit %s: uses that image", s->name);
	if (slot_is_refused(s, digest) && strcmp(s->next, digest) != 0)
		return SLOT_ALREADY;
	if (strcmp(s->next, digest) == 0)
		s->next[0] = '\0';
	add_refused(s, digest);
	return SLOT_CHANGED;
}
