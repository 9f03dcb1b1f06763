/* SPDX-License-Identifier: MIT */
/*
 * Drives bundle/store.h for the tests, as coracle-fetch does after it checked digests: puts one layer or one image into a store.
 *   stage layer STORE BUNDLE-EXE INDEX plain|gzip|zstd FILE DIFF-ID CHAIN LOWER-CHAIN...
 *   stage image STORE MANIFEST CONFIG ADMITTED
 *   stage abort STORE BUNDLE-EXE KIND FILE BYTES        feeds so many bytes, then gives up
 *   stage hang  STORE BUNDLE-EXE KIND FILE BYTES        feeds so many bytes, says so, then waits to be killed
 * Exit 0, or 1 with "code text" on stdout.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "sha256.h"
#include "store.h"

static int failed(int code, const struct err *e)
{
	printf("%d %s\n", code, e->text);
	return 1;
}

static enum layer_compression kind_of(const char *s)
{
	return strcmp(s, "gzip") == 0 ? LAYER_GZIP : strcmp(s, "zstd") == 0 ? LAYER_ZSTD : LAYER_TAR;
}

static struct digest digest_of(const char *s)
{
	struct digest d;

	if (digest_parse(span_str(s), &d) < 0) {
		fprintf(stderr, "stage: %s is no digest\n", s);
		exit(2);
	}
	return d;
}

static int feed(struct layer_stage *l, const char *path, long max, struct err *e)
{
	static char buf[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;
	ssize_t n;

	if (fd < 0) {
		perror(path);
		exit(2);
	}
	while (r == 0 && max != 0 && (n = read(fd, buf, max > 0 && max < (long)sizeof(buf) ? (size_t)max : sizeof(buf))) > 0) {
		r = layer_stage_feed(l, buf, (size_t)n, e);
		max -= max > 0 ? n : 0;
	}
	close(fd);
	return r;
}

static int layer(struct store *s, int argc, char **argv, struct err *e)
{
	static struct digest lower[CONFIG_LAYERS_MAX + 500];
	struct layer_spec spec = { .index = atoi(argv[4]), .compression = kind_of(argv[5]), .diff_id = digest_of(argv[7]),
		.chain = digest_of(argv[8]), .lower = lower };
	struct layer_stage *l;
	int exe = open(argv[3], O_RDONLY | O_CLOEXEC), r;

	for (int i = 9; i < argc; i++)
		lower[spec.lower_len++] = digest_of(argv[i]);
	r = layer_stage_begin(&l, s, exe, &spec, e);
	if (r < 0)
		return r;
	r = feed(l, argv[6], -1, e);
	if (r < 0 && r != -EPIPE) {
		layer_stage_abort(l);
		return r;
	}
	return layer_stage_publish(l, e);
}

static int give_up(struct store *s, char **argv, bool hang, struct err *e)
{
	struct layer_spec spec = { .compression = kind_of(argv[4]) };
	struct layer_stage *l;
	int exe = open(argv[3], O_RDONLY | O_CLOEXEC), r;

	r = layer_stage_begin(&l, s, exe, &spec, e);
	if (r < 0)
		return r;
	feed(l, argv[5], atol(argv[6]), e);
	if (hang) {
		puts("fed");
		fflush(stdout);
		pause();
	}
	layer_stage_abort(l);
	return 0;
}

static int image(struct store *s, char **argv, struct err *e)
{
	char *text[3];
	size_t len[3];
	struct digest d;

	for (int i = 0; i < 3; i++)
		if (file_read(AT_FDCWD, argv[3 + i], CONFIG_MANIFEST_MAX, &text[i], &len[i], e) < 0)
			return -EINVAL;
	d = sha256_of(span_of(text[0], len[0]));
	return store_image_publish(s, &d, span_of(text[0], len[0]), span_of(text[1], len[1]), span_of(text[2], len[2]), e);
}

int main(int argc, char **argv)
{
	struct err e = { "" };
	struct store *s;
	int r;

	if (argc < 6)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	r = store_open(&s, argv[2], STORE_WRITE, &e);
	if (r < 0)
		return failed(r, &e);
	if (strcmp(argv[1], "layer") == 0 && argc >= 9)
		r = layer(s, argc, argv, &e);
	else if (strcmp(argv[1], "image") == 0)
		r = image(s, argv, &e);
	else if (argc == 7)
		r = give_up(s, argv, strcmp(argv[1], "hang") == 0, &e);
	else
		return 2;
	store_close(s);
	return r < 0 ? failed(r, &e) : 0;
}
