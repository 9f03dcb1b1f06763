/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as the uncompressed stream of a layer through bundle/tar_guard.c: whole, and in pieces, with the same outcome. Where the first byte
 * is odd, checksums of all blocks are set right first, else no mutation would come past the first header. Hard links become symbolic
 * ones: their size is taken away in place only in a whole stream.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tar_guard.h"

static void seal(uint8_t *h)
{
	unsigned sum = 0;
	char text[8];

	memset(h + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += h[i];
	snprintf(text, sizeof(text), "%06o", sum);
	memcpy(h + 148, text, 7);
}

static void check_inside(const struct tar_guard *g, struct span s)
{
	if (s.at && (s.at < g->text || s.len > sizeof(g->text) || s.at + s.len > g->text + sizeof(g->text) || memchr(s.at, 0, s.len)))
		abort();
}

static int feed(struct tar_guard *g, uint8_t *data, size_t size, size_t piece)
{
	struct err e = { "" };
	size_t at = 0, used;
	int r = 0;

	memset(g, 0, sizeof(*g));
	while (r == 0 && at < size) {
		size_t n = size - at < piece ? size - at : piece;

		r = tar_guard_feed(g, data + at, n, &used, &e);
		if (used == 0 || used > n || (r < 0) != (e.text[0] != '\0'))
			abort();
		at += used;
		check_inside(g, g->pax.path);
		check_inside(g, g->pax.linkpath);
	}
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tar_guard whole, pieces;
	uint8_t *copy = malloc(size + 1), *again = malloc(size + 1);
	int r;

	memcpy(copy, data, size);
	for (size_t at = 0; size && (data[0] & 1) && at + 512 <= size; at += 512) {
		if (copy[at + 156] == '1')
			copy[at + 156] = '2';
		seal(copy + at);
	}
	memcpy(again, copy, size);
	r = feed(&whole, copy, size, size);
	if (feed(&pieces, again, size, 389) == r && r == 0 && (whole.entries != pieces.entries || whole.skip != pieces.skip || whole.is_end != pieces.is_end))
		abort();
	free(copy);
	free(again);
	return 0;
}
