/* SPDX-License-Identifier: MIT */
/* What this kernel lacks of what units are promised, found by trying. */
#ifndef CORACLE_KERNEL_LACKS_H
#define CORACLE_KERNEL_LACKS_H

/* A line on stderr for each, with what is lost by it, once a boot: /run/coracle remembers. STORE: the directory whose file system units lie on. */
void kernel_lacks_say(const char *store);

#endif
