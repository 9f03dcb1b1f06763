/* SPDX-License-Identifier: MIT */
/* The mount and sync jobs. Run in a forked child: they wait for the disk. */
#ifndef CORACLE_DATA_MOUNT_H
#define CORACLE_DATA_MOUNT_H

#include "board_conf.h"

/* Finds the partition by its GPT label and mounts it at /data; or, with data-dir, looks whether that directory can be written.
 * Sends the final message; returns the exit status. Never makes or repairs a file system. */
int data_mount(const struct board_conf *c);

/* Writes everything back and umounts DIR (NULL: only writes back). */
int data_sync(const char *umount_dir);

/* Factory reset: everything in DIR but lost+found goes to trash/, which is durable at once, and from there away as far as the time
 * allows; what is left in trash/ is gc's. The file system stays. */
void data_wipe(const char *dir);

/* In TEXT, a uevent file of sysfs ("DEVNAME=vda1\nPARTNAME=..."), the value of KEY. False where it is not there or does not fit. */
bool data_uevent(const char *text, const char *key, char *out, size_t size);

#endif
