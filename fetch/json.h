/* SPDX-License-Identifier: MIT */
/* JSON from a peer, read so that it means one thing and costs little: bounded in values and depth, no key twice in one object, UTF-8. */
#ifndef CORACLE_JSON_H
#define CORACLE_JSON_H

#include <yyjson.h>

#include "err.h"
#include "span.h"

/* NULL with the reason, which WHAT begins. At most CONFIG_JSON_VALUES_MAX values (16 bytes of memory each) and CONFIG_JSON_DEPTH_MAX levels. The caller frees. */
yyjson_doc *json_read(struct span text, const char *what, struct err *e);

#endif
