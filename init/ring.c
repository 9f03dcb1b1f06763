/* SPDX-License-Identifier: MIT */
/*
 * The log ring. Its writers are our own processes; its readers believe the
 * head no further than ring_map checked it. Never allocates but the mapping.
 */
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int ring_make(const char *name, unsigned kib, int *fd, int *read_fd)
{
	const struct ring head = { .magic = RING_MAGIC, .size = kib * 1024 - RING_HEAD_SIZE };
	char path[40];
	int ret;

	*read_fd = -1;
	*fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return -errno;
	if (ftruncate(*fd, (off_t)kib * 1024) < 0 ||
	    pwrite(*fd, &head, RING_HEAD_SIZE, 0) != RING_HEAD_SIZE ||
	    fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		goto fail;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", *fd);
	*read_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (*read_fd >= 0)
		return 0;
fail:
	ret = -errno;
	close(*fd);
	*fd = -1;
	return ret;
}

struct ring *ring_map(int fd, int is_writable, size_t *len)
{
	struct ring *r;
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_size <= RING_HEAD_SIZE)
		return NULL;
	r = mmap(NULL, (size_t)st.st_size, is_writable ? PROT_READ | PROT_WRITE : PROT_READ,
		MAP_SHARED, fd, 0);
	if (r == MAP_FAILED)
		return NULL;
	*len = (size_t)st.st_size;
	if (r->magic == RING_MAGIC && r->size == *len - RING_HEAD_SIZE)
		return r;
	munmap(r, *len);
	return NULL;
}

void ring_unmap(struct ring *r, size_t len)
{
	if (r)
		munmap(r, len);
}

void ring_add(struct ring *r, const void *at, size_t len)
{
	const uint8_t *from = at;
	uint64_t head = r->head;
	size_t pos, first;

	if (len > r->size) {
		from += len - r->size;
		head += len - r->size;
		len = r->size;
	}
	pos = head % r->size;
	first = len < r->size - pos ? len : r->size - pos;
	memcpy(r->data + pos, from, first);
	memcpy(r->data, from + first, len - first);
	__atomic_store_n(&r->head, head + len, __ATOMIC_RELEASE);
}

/* The part of OUT from the first whole line on; the byte before the first is unknown where the ring has turned over. */
static size_t from_line_start(char *out, size_t len)
{
	const char *nl = memchr(out, '\n', len);
	size_t skip = nl ? (size_t)(nl - out) + 1 : len;

	memmove(out, out + skip, len - skip);
	return len - skip;
}

size_t ring_copy(const struct ring *r, uint64_t *from, char *out, size_t size)
{
	uint64_t head = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE), start = *from, after;
	/* A reader that lags a whole ring keeps clear of the bytes being written right now. */
	uint32_t safe = r->size - r->size / 8;
	int is_cut = 0;
	size_t len, pos, first;

	if (start > head)
		start = head;
	if (head > safe && start < head - safe) {
		start = head - safe;
		is_cut = 1;
	}
	len = head - start < size ? (size_t)(head - start) : size;
	pos = start % r->size;
	first = len < r->size - pos ? len : r->size - pos;
	memcpy(out, r->data + pos, first);
	memcpy(out + first, r->data, len - first);
	*from = start + len;

	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	after = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE);
	if (after > r->size && start < after - r->size) {
		uint64_t lost = after - r->size - start;

		if (lost >= len)
			return 0;
		memmove(out, out + lost, len - (size_t)lost);
		len -= (size_t)lost;
		is_cut = 1;
	}
	return is_cut ? from_line_start(out, len) : len;
}
