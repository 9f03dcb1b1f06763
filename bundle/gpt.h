/* SPDX-License-Identifier: MIT */
/* The one change of a partition table that we make: the last partition of a GPT grows to the end of its disk (UEFI 2.10, 5.3). */
#ifndef CORACLE_GPT_H
#define CORACLE_GPT_H

#include <stdint.h>

#include "err.h"

struct gpt_part {
	uint64_t first, last;	/* sectors, of the disk's own size */
};

/* DISK: open for reading and writing, of SECTORS sectors of SECTOR bytes. *PART: the partition that begins at ->first; its ->last is set.
 * 1: the table was changed, and is on the disk; 0: there is less than a MiB to gain; -EBADMSG: the primary table is not whole, or the
 * partition is not in it; -EINVAL: another partition lies behind it. The copy at the end is written before the table at the beginning:
 * wherever power is cut, one of the two is whole. Blocks on the disk. */
int gpt_grow(int disk, uint32_t sector, uint64_t sectors, struct gpt_part *part, struct err *e);

#endif
