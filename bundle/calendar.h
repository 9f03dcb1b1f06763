/* SPDX-License-Identifier: MIT */
/* OnCalendar= (systemd.time(7), "Calendar events"): the part of it that repeats by minute, hour, day, month and weekday. */
#ifndef CORACLE_CALENDAR_H
#define CORACLE_CALENDAR_H

#include <stdbool.h>

#include "unit_table.h"

/* False for what is not understood: seconds other than 00, years, time zones, "~" too. */
bool calendar_parse(const char *text, struct unit_calendar *out);

#endif
