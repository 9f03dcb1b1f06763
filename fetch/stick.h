/* SPDX-License-Identifier: MIT */
/*
 * Sticks. A disk or partition that is on USB, or that came after the data partition, is mounted at /media/NAME by a child with a deadline: read-only,
 * nosuid, nodev, noexec, vfat or ext4 alone. The archives in its top directory are judged, each as an update of each unit, by `coracle-fetch inspect --as`,
 * whose jails read them. What a unit's policy lets in stands in ATTEND_RUN/offers, one line each, for console and status; nothing is taken by itself.
 */
#ifndef CORACLE_STICK_H
#define CORACLE_STICK_H

#include "attend.h"

#define STICK_OFFERS ATTEND_RUN "/offers"

/* Looks which block devices came and went. Never waits: what is slow is a child. */
void stick_look(const struct attend *a, uint64_t now_ms);

/* Is NAME that of an archive that is looked at: letters, digits, "._+-", ".tar" at the end, neither "." nor "-" at the start? */
bool stick_is_archive(const char *name);

#endif
