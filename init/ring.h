/* SPDX-License-Identifier: MIT */
/*
 * A ring of log lines in a memfd: one writer, any number of readers that map
 * it read-only. The writer never waits; it overwrites the oldest bytes. A
 * reader copies, then looks again and gives up what was overwritten meanwhile.
 * The memfd is sealed against growing and shrinking, so that a mapping cannot
 * fault.
 */
#ifndef CORACLE_RING_H
#define CORACLE_RING_H

#include <stddef.h>
#include <stdint.h>

enum { RING_MAGIC = 0x474e4952, RING_HEAD_SIZE = 64 };

struct ring {
	uint32_t magic;
	uint32_t size;		/* of data */
	uint64_t head;		/* bytes ever written; data[head % size] is next */
	uint64_t dropped;	/* lines that the logger left out and has not said so yet */
	uint64_t saved;		/* bytes that the saver has on disk */
	uint8_t pad[RING_HEAD_SIZE - 32];
	uint8_t data[];
};

/* Makes a ring of KIB KiB in all. *READ_FD is a second, read-only description of it for handing out. 0 or -errno. */
int ring_make(const char *name, unsigned kib, int *fd, int *read_fd);

/* Maps FD (writable or not) and checks its head against its size; NULL where it is no ring. *LEN for ring_unmap. */
struct ring *ring_map(int fd, int is_writable, size_t *len);
void ring_unmap(struct ring *r, size_t len);

/* Adds bytes; the writer calls it with whole lines, each ended by a newline. LEN above the size: only the end is kept. */
void ring_add(struct ring *r, const void *at, size_t len);

/* Copies what is there, oldest first, from the start of a line on. *FROM: position to start at (0: the oldest), set to the position
 * after what was copied, for the next call. Returns the number of bytes. */
size_t ring_copy(const struct ring *r, uint64_t *from, char *out, size_t size);

#endif
