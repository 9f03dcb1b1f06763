/* SPDX-License-Identifier: MIT */
/*
 * Both headers of a GPT and their checksums. The table comes from a disk that anybody may have written: it is believed in
 * nothing until its checksums agree, and sizes in it are compared with the disk's own. Little-endian, as our targets are.
 */
#include "gpt.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "record.h"

enum {
	HEADER_MIN = 92, SECTOR_MAX = 4096, ENTRY_MIN = 128, ENTRIES_BYTES_MAX = 32768, ALIGN_BYTES = 1 << 20,
	/* of the header */
	AT_SIZE = 12, AT_CRC = 16, AT_MINE = 24, AT_OTHER = 32, AT_LAST_USABLE = 48, AT_ENTRIES = 72, AT_COUNT = 80, AT_ENTRY_SIZE = 84,
	AT_ENTRIES_CRC = 88,
	/* of an entry */
	AT_FIRST = 32, AT_LAST = 40,
};

struct table {
	uint8_t header[SECTOR_MAX], entries[ENTRIES_BYTES_MAX];
	uint32_t header_size, entry_size, count, bytes;
};

static uint32_t get32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static uint64_t get64(const uint8_t *at)
{
	uint64_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static void put32(uint8_t *at, uint32_t v)
{
	memcpy(at, &v, sizeof(v));
}

static void put64(uint8_t *at, uint64_t v)
{
	memcpy(at, &v, sizeof(v));
}

static void seal(struct table *t)
{
	put32(t->header + AT_ENTRIES_CRC, record_crc32(0, t->entries, t->bytes));
	put32(t->header + AT_CRC, 0);
	put32(t->header + AT_CRC, record_crc32(0, t->header, t->header_size));
}

static bool is_whole(struct table *t, uint32_t sector)
{
	uint32_t crc = get32(t->header + AT_CRC);
	bool is_same;

	t->header_size = get32(t->header + AT_SIZE);
	if (memcmp(t->header, "EFI PART", 8) != 0 || t->header_size < HEADER_MIN || t->header_size > sector)
		return false;
	put32(t->header + AT_CRC, 0);
	is_same = record_crc32(0, t->header, t->header_size) == crc;
	put32(t->header + AT_CRC, crc);
	t->count = get32(t->header + AT_COUNT);
	t->entry_size = get32(t->header + AT_ENTRY_SIZE);
	return is_same && get64(t->header + AT_MINE) == 1 && t->entry_size >= ENTRY_MIN && t->entry_size <= ENTRIES_BYTES_MAX &&
		t->count && t->count <= ENTRIES_BYTES_MAX / t->entry_size;
}

static int table_read(int disk, uint32_t sector, uint64_t sectors, struct table *t, struct err *e)
{
	uint64_t at;

	if (pread(disk, t->header, sector, sector) != (ssize_t)sector)
		return err_sys(e, EIO, "partition table");
	if (!is_whole(t, sector))
		return err_set(e, -EBADMSG, "partition table: its first copy is no whole GPT; on another machine: sgdisk -v");
	t->bytes = t->count * t->entry_size;
	at = get64(t->header + AT_ENTRIES);
	if (at < 2 || at >= sectors || pread(disk, t->entries, t->bytes, (off_t)(at * sector)) != (ssize_t)t->bytes ||
	    record_crc32(0, t->entries, t->bytes) != get32(t->header + AT_ENTRIES_CRC))
		return err_set(e, -EBADMSG, "partition table: the list in it is damaged; on another machine: sgdisk -v");
	return 0;
}

/* The entry that begins at FIRST and has none behind it. */
static int find(struct table *t, uint64_t first, uint8_t **out, struct err *e)
{
	*out = NULL;
	for (uint32_t i = 0; i < t->count; i++) {
		uint8_t *entry = t->entries + i * t->entry_size;

		if (!get64(entry) && !get64(entry + 8))
			continue;
		if (get64(entry + AT_FIRST) == first)
			*out = entry;
		else if (get64(entry + AT_FIRST) > first)
			return err_set(e, -EINVAL, "partition table: another partition lies behind the data partition, which cannot grow");
	}
	return *out ? 0 : err_set(e, -EBADMSG, "partition table: the data partition is not in it");
}

static int put(int disk, uint32_t sector, struct table *t, uint64_t header_at, uint64_t entries_at, uint64_t other, struct err *e)
{
	put64(t->header + AT_MINE, header_at);
	put64(t->header + AT_OTHER, other);
	put64(t->header + AT_ENTRIES, entries_at);
	seal(t);
	if (pwrite(disk, t->entries, t->bytes, (off_t)(entries_at * sector)) != (ssize_t)t->bytes ||
	    pwrite(disk, t->header, sector, (off_t)(header_at * sector)) != (ssize_t)sector || fsync(disk) < 0)
		return err_sys(e, errno ? errno : EIO, "partition table: not written");
	return 0;
}

/* The MBR before the table, for programs that know no GPT: one partition over all, or as much as its 32 bits can say. */
static int put_mbr(int disk, uint32_t sector, uint64_t sectors, struct err *e)
{
	enum { AT_TYPE = 446 + 4, AT_LENGTH = 446 + 12, AT_MAGIC = 510, PROTECTIVE = 0xee };
	uint8_t mbr[SECTOR_MAX];

	if (pread(disk, mbr, sector, 0) != (ssize_t)sector || mbr[AT_TYPE] != PROTECTIVE || mbr[AT_MAGIC] != 0x55)
		return 0;
	put32(mbr + AT_LENGTH, sectors - 1 > UINT32_MAX ? UINT32_MAX : (uint32_t)(sectors - 1));
	if (pwrite(disk, mbr, sector, 0) != (ssize_t)sector || fsync(disk) < 0)
		return err_sys(e, errno ? errno : EIO, "partition table: the MBR before it is not written");
	return 0;
}

int gpt_grow(int disk, uint32_t sector, uint64_t sectors, struct gpt_part *part, struct err *e)
{
	static struct table t;
	uint64_t list, end, first_list;
	uint8_t *entry = NULL;
	int r;

	if (sector < 512 || sector > SECTOR_MAX || sectors < 128)
		return err_set(e, -EINVAL, "partition table: a disk of %llu sectors of %u bytes", (unsigned long long)sectors, sector);
	r = table_read(disk, sector, sectors, &t, e);
	if (r == 0)
		r = find(&t, part->first, &entry, e);
	if (r < 0)
		return r;
	part->last = get64(entry + AT_LAST);
	list = (t.bytes + sector - 1) / sector;
	end = sectors - 2 - list;	/* before the copy's list and header; partitions of ours end on a MiB */
	end -= (end + 1) % (ALIGN_BYTES / sector);
	if (end <= part->last || end - part->last < ALIGN_BYTES / sector)
		return 0;
	first_list = get64(t.header + AT_ENTRIES);
	put64(entry + AT_LAST, end);
	put64(t.header + AT_LAST_USABLE, sectors - 2 - list);
	r = put(disk, sector, &t, sectors - 1, sectors - 1 - list, 1, e);
	if (r == 0)
		r = put(disk, sector, &t, 1, first_list, sectors - 1, e);
	if (r == 0)
		r = put_mbr(disk, sector, sectors, e);
	if (r < 0)
		return r;
	part->last = end;
	return 1;
}
