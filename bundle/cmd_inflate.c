/* SPDX-License-Identifier: MIT */
/*
 * One layer's compressed bytes into the pipe of the unpacker, inside the inflate jail: decompressed, and hashed on the way. Input is hostile to the
 * last byte. Has no file, no capability, no network.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "file.h"
#include "inflate.h"
#include "sha256.h"
#include "unpack.h"

static enum layer_compression kind_of(const char *s)
{
	return strcmp(s, "gzip") == 0 ? LAYER_GZIP : strcmp(s, "zstd") == 0 ? LAYER_ZSTD : LAYER_TAR;
}

int cmd_inflate(int argc, char **argv)
{
	static uint8_t buf[128 * 1024];
	struct inflate_result res = { .magic = UNPACK_MAGIC };
	struct inflate *in = argc == 2 ? inflate_new(STDIN_FILENO, kind_of(argv[1])) : NULL;
	struct sha256 hash;
	struct err e = { "" };
	long n = in ? 1 : err_sys(&e, ENOMEM, "decompressor");

	sha256_begin(&hash);
	while (n > 0) {
		n = inflate_read(in, buf, sizeof(buf), &e);
		if (n <= 0)
			break;
		if (file_write_all(STDOUT_FILENO, buf, (size_t)n) < 0)
			return 1;	/* the unpacker is gone, and said why */
		sha256_add(&hash, buf, (size_t)n);
	}
	res.code = (int32_t)n;
	res.diff_id = sha256_end(&hash);
	snprintf(res.text, sizeof(res.text), "%s", e.text);
	return file_write_all(STDERR_FILENO, &res, sizeof(res)) < 0 || n < 0;
}
