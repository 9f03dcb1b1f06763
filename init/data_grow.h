/* SPDX-License-Identifier: MIT */
/* The grow job: a card written from a small image is used whole. Runs in a forked child, while units already start. */
#ifndef CORACLE_DATA_GROW_H
#define CORACLE_DATA_GROW_H

/* Lets the partition of the file system mounted at DIR grow to the end of its disk (GPT, both copies), then the ext4 to the partition's size,
 * online. What does not fit (another partition behind, no GPT) is said and left as it is. Sends the final message; returns the exit status. */
int data_grow(const char *dir);

#endif
