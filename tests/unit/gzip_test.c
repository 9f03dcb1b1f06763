/* SPDX-License-Identifier: MIT */
/* bundle/gzip_*.c against zlib: every kind of block, header and cut, in pieces of every size; what zlib refuses is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include <zlib.h>

#include "gzip.h"

enum { PLAIN = 400000, PACKED = 2 * PLAIN };

static uint8_t plain[PLAIN], packed[PACKED], got[PLAIN + 1];

static size_t below(size_t n)
{
	return (size_t)rand() % n;
}

/* LEN bytes of text, noise and repeats near and far. */
static void make(size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = below(5000) + 1, kind = below(4), back = i ? below(i < 32768 ? i : 32768) + 1 : 0;

		for (size_t k = 0; k < n && i < len; k++, i++)
			plain[i] = kind == 0 ? (uint8_t)rand() : kind == 1 ? (uint8_t)("etaoin \n"[below(8)]) : back ? plain[i - back] : 0;
	}
}

static size_t pack(uint8_t *to, const uint8_t *from, size_t len, int level, int strategy, gz_header *head)
{
	z_stream z = { .next_in = (Bytef *)from, .avail_in = (uInt)len, .next_out = to, .avail_out = PACKED };

	assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, 31, 1 + (int)below(9), strategy), Z_OK);
	if (head)
		assert_int_equal(deflateSetHeader(&z, head), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out;
}

/* LEN bytes right before a page that cannot be touched. */
static uint8_t *fenced(size_t which, size_t len)
{
	enum { ROOM = 1 << 20, FENCE = 1 << 16 };
	static uint8_t *room[2];

	if (!room[which]) {
		room[which] = mmap(NULL, ROOM + FENCE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_true(room[which] != MAP_FAILED);
		assert_int_equal(mprotect(room[which] + ROOM, FENCE, PROT_NONE), 0);
	}
	return room[which] + ROOM - len;
}

/* Members that came to their end, in got[] *LEN bytes; or a code. Pieces of up to MAX bytes. */
static int unpack(const uint8_t *from, size_t size, size_t max, size_t *len)
{
	struct gzip *g = gzip_new();
	size_t at = 0, used, piece = 0;
	struct err e = { "" };
	int members = 0;
	bool is_end;
	long n;

	assert_non_null(g);
	*len = 0;
	do {
		size_t room = sizeof(got) - *len;
		uint8_t *out;

		if (piece == 0)
			piece = size - at < max ? size - at : below(max) + 1;
		if (piece > size - at)
			piece = size - at;
		room = room < max ? room : below(max) + 1;
		out = fenced(1, room);
		n = gzip_step(g, memcpy(fenced(0, piece), from + at, piece), piece, &used, out, room, &is_end, &e);
		if (n < 0)
			break;
		assert_true(used <= piece && (size_t)n <= room);
		memcpy(got + *len, out, (size_t)n);
		at += used;
		piece -= used;
		*len += (size_t)n;
		members += is_end;
	} while (n > 0 || at < size || used);
	gzip_free(g);
	assert_true(n >= 0 || (n == -EBADMSG && e.text[0]));
	return n < 0 ? (int)n : members;
}

static void equals(size_t len, size_t packed_len, size_t max)
{
	size_t n;

	assert_int_equal(unpack(packed, packed_len, max, &n), 1);
	assert_int_equal(n, len);
	assert_memory_equal(got, plain, len);
}

static void every_kind_of_block(void **state)
{
	static const int strategies[] = { Z_DEFAULT_STRATEGY, Z_HUFFMAN_ONLY, Z_RLE, Z_FIXED };

	srand(1);
	for (int i = 0; i < 200; i++) {
		size_t len = i < 40 ? (size_t)i : below(PLAIN);

		make(len);
		equals(len, pack(packed, plain, len, (int)below(10), strategies[below(4)], NULL), i % 3 == 0 ? 200 : i % 3 == 1 ? 10000 : 131072);
	}
}

static void every_header(void **state)
{
	uint8_t name[] = "a name", comment[] = "a comment", extra[300] = "extra";

	srand(2);
	make(2000);
	for (int i = 0; i < 32; i++) {
		gz_header h = { .hcrc = i & 1, .name = i & 2 ? name : NULL, .comment = i & 4 ? comment : NULL, .extra = i & 8 ? extra : NULL,
			.extra_len = i & 16 ? sizeof(extra) : 0 };
		size_t n = pack(packed, plain, 2000, 6, Z_DEFAULT_STRATEGY, &h), out;

		equals(2000, n, 1);
		equals(2000, n, 7);
		equals(2000, n, 131072);
		if (i & 1) {
			packed[4] ^= 1;		/* the time, which only this checksum covers */
			assert_int_equal(unpack(packed, n, 100, &out), -EBADMSG);
		}
	}
}

static void wrong_ones(void **state)
{
	static const struct { int from_end, at; uint8_t xor; } wrong[] = { { 0, 0, 1 }, { 0, 1, 1 }, { 0, 2, 1 }, { 0, 3, 0x20 }, { 0, 3, 0x80 }, { 1, 8, 1 },
		{ 1, 5, 0x80 }, { 1, 4, 1 }, { 1, 1, 0x80 } };
	size_t n, out;

	srand(3);
	make(3000);
	n = pack(packed, plain, 3000, 6, Z_DEFAULT_STRATEGY, NULL);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		uint8_t *at = wrong[i].from_end ? packed + n - wrong[i].at : packed + wrong[i].at;

		*at ^= wrong[i].xor;
		assert_int_equal(unpack(packed, n, 131072, &out), -EBADMSG);
		assert_int_equal(unpack(packed, n, 3, &out), -EBADMSG);
		*at ^= wrong[i].xor;
	}
	equals(3000, n, 3);
	for (size_t cut = 0; cut < n; cut++)
		assert_int_equal(unpack(packed, cut, 500, &out), 0);
}

static void members(void **state)
{
	size_t n = 0, out, ends[6] = { 0 };

	srand(4);
	make(PLAIN);
	for (int i = 1; i < 6; i++) {
		ends[i] = ends[i - 1] + (i == 3 ? 0 : below(PLAIN / 6));
		n += pack(packed + n, plain + ends[i - 1], ends[i] - ends[i - 1], 6, Z_DEFAULT_STRATEGY, NULL);
	}
	for (size_t max = 1; max < 200000; max = max * 3 + 1) {
		assert_int_equal(unpack(packed, n, max, &out), 5);
		assert_int_equal(out, ends[5]);
		assert_memory_equal(got, plain, out);
	}
}

/* 1: whole, its bytes in TO; 0: cut short; -1: broken. */
static int by_zlib(const uint8_t *from, size_t size, uint8_t *to, size_t *len)
{
	z_stream z = { .next_in = (Bytef *)from, .avail_in = (uInt)size, .next_out = to, .avail_out = PLAIN };
	int r;

	assert_int_equal(inflateInit2(&z, 31), Z_OK);
	r = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	*len = z.total_out;
	return r == Z_STREAM_END ? 1 : r == Z_BUF_ERROR ? 0 : -1;
}

static void broken_ones_as_by_zlib(void **state)
{
	static uint8_t other[PLAIN];
	size_t whole = 0, refused = 0;

	srand(5);
	for (int i = 0; i < 2000; i++) {
		size_t len = below(600) + 1, n, a, b, bits = below(3);
		int mine, theirs;

		make(len);
		n = pack(packed, plain, len, (int)below(10), (int)below(5), NULL);
		while (bits--)
			packed[below(n)] ^= (uint8_t)(1 << below(8));
		theirs = by_zlib(packed, n, other, &b);
		mine = unpack(packed, n, i % 2 ? 131072 : 50, &a);
		whole += theirs == 1;
		refused += theirs < 0;
		if (theirs == 1) {
			assert_true(mine == 1 || mine == -EBADMSG);	/* the second: what stands behind the end of a shortened one */
			assert_true(a >= b);
			assert_memory_equal(got, other, b);
		} else if (mine > 0) {		/* an incomplete set of codes of which none is used is all that ISA-L takes and zlib does not */
			assert_int_equal(a, len);
			assert_memory_equal(got, plain, len);
		}
	}
	assert_true(whole > 400 && refused > 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_block), cmocka_unit_test(every_header), cmocka_unit_test(wrong_ones), cmocka_unit_test(members),
		cmocka_unit_test(broken_ones_as_by_zlib),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
