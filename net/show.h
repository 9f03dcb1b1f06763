/* SPDX-License-Identifier: MIT */
/* What `coracle net` adds to the board's own links: networks, units, their addresses, published ports, who listens. Reads only; without root all but who listens. */
#ifndef CORACLE_SHOW_H
#define CORACLE_SHOW_H

/* Exit status. JSON: members of an object that the caller has opened and closes. */
int show_text(const char *run);
int show_json(const char *run);

#endif
