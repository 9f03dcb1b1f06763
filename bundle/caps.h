/* SPDX-License-Identifier: MIT */
/* Names of capabilities, as config.json ("CAP_NET_RAW") and Quadlet ("CAP_NET_RAW", "net_raw") write them. */
#ifndef CORACLE_CAPS_H
#define CORACLE_CAPS_H

#include <stdint.h>

/* Number of the capability, or -1. Upper or lower case, with or without "CAP_". */
int caps_number(const char *name);
/* "CAP_NET_RAW" into OUT. */
enum { CAPS_NAME_MAX = 40 };
void caps_name(int number, char out[CAPS_NAME_MAX]);
/* All that we have a name for. */
uint64_t caps_all(void);

#endif
