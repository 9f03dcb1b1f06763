/* SPDX-License-Identifier: MIT */
/* `coracle-fetch check`: what a tag names now, and nothing else is fetched. */
#ifndef CORACLE_CHECK_H
#define CORACLE_CHECK_H

/* The command; argv[0] is "check". Prints the digest of the document that the reference names, which nobody has vouched for: good for finding out
 * whether it moved, no more. Exit status 0, 1 failed, 2 usage. */
int check_main(int argc, char **argv);

#endif
