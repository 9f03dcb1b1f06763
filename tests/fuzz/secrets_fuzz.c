/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a file of an image through bundle/secrets.c, under names that all its rules know: whole, and in pieces as secrets_in_file reads them; and
 * as the map of a sparse file (bundle/tar_sparse.c), in pieces of odd size. What is found in the whole lies inside it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "secrets.h"
#include "tar_sparse.h"

static void map(const uint8_t *data, size_t size)
{
	static struct tar_sparse s;
	struct err e = { "" };
	size_t at = 0, used;

	memset(&s, 0, sizeof(s));
	s.is_inside = true;
	while (at < size && !s.is_map_done) {
		size_t n = size - at < 37 ? size - at : 37;

		if (tar_sparse_map(&s, data + at, n, &used, &e) < 0)
			break;
		if (used == 0 || used > n || s.count > CONFIG_SPARSE_PARTS_MAX)
			abort();
		at += used;
	}
	for (uint32_t i = 1; i < s.count; i++)
		if (s.part[i].at < s.part[i - 1].at + s.part[i - 1].len)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "a", "shadow", "prod.env", "wpa_supplicant.conf", "config.json", ".git-credentials", "x.key", "x.p12", "libx.so.1" };
	uint8_t *copy = malloc(size ? size : 1);

	memcpy(copy, data, size);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct secret s = secrets_in(span_of(copy, size), names[i], false, false);

		if (s.what && s.at >= size)
			abort();
		if (size > 2)
			secrets_in(span_of(copy + 1, size - 1), names[i], true, i & 1);
	}
	secrets_in(span_of(copy, size), NULL, false, true);
	map(copy, size);
	free(copy);
	return 0;
}
