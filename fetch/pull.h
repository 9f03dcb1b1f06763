/* SPDX-License-Identifier: MIT */
/* `coracle-fetch pull`: from a reference to layers and image in the store. */
#ifndef CORACLE_PULL_H
#define CORACLE_PULL_H

#include "job.h"

/* What PID 1 should do about a code of registry_get, find_image, store_*. */
enum job_code pull_outcome(int code);

/* The command; argv[0] is "pull". Prints the manifest digest on stdout. Exit status 0, 1 refused or failed, 2 usage. */
int pull_main(int argc, char **argv);

#endif
