/* SPDX-License-Identifier: MIT */
/*
 * From the kernel's hand-off to the loop. Everything here happens before the
 * named line; each step that fails is a line in the log, and the next step is tried.
 */
#ifndef CORACLE_BOOT_H
#define CORACLE_BOOT_H

#include <stdbool.h>

struct pid1;

/* Fills P from the ground: configuration, mounts, descriptors, signals, control socket. ARGV: [--etc DIR]. May execute itself anew
 * (once, after the move off the rootfs). */
void boot(struct pid1 *p, int argc, char **argv);

/* boot_move.c: moves the content of the initramfs rootfs into a tmpfs that becomes the root, because pivot_root(2) cannot leave the
 * rootfs. The old copies are removed as it goes. 0, or -errno with nothing moved. */
int boot_move(void);

/* boot_move.c: is / an initramfs rootfs? */
bool boot_is_rootfs(void);

/* boot_mounts.c */
void boot_mounts(bool is_board);

/* What a module, and ext4, miss where the kernel says no more than ENOENT. */
#define MODULE_LACKS "a part of the kernel that is not loaded (crc32c: crc32c_generic): add its module to /etc/coracle/modules, before; `log --kernel` names it"

/* boot_modules.c: the modules job. Loads what PATH lists, in order; what does not load is a line on descriptor 2. */
int boot_modules(const char *path);

#endif
