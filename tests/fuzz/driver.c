/* SPDX-License-Identifier: MIT */
/*
 * main() for the fuzz targets of this folder where libFuzzer is not at hand: runs every file of a corpus, then ROUNDS mutations of them from a
 * fixed seed, so that a failure can be repeated. The sanitizers end the process; before that the input is written to ./crash.
 *	TARGET ROUNDS FILE...
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void __sanitizer_set_death_callback(void (*callback)(void));

enum { INPUT_MAX = 64 * 1024, FILES_MAX = 256 };

static uint8_t *input;
static size_t input_len;
static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void keep_input(void)
{
	int fd = open("crash", O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, input, input_len) < 0)
		perror("crash");
}

static void run(const uint8_t *data, size_t len)
{
	/* Exactly as long as the input: a read one past the end is seen. */
	input = malloc(len ? len : 1);
	input_len = len;
	memcpy(input, data, len);
	LLVMFuzzerTestOneInput(input, len);
	free(input);
}

static size_t mutate(uint8_t *at, size_t len)
{
	static const char *const words[] = { "=", "\n", "\\\n", "[", "]", "\"", "%", ":", ",", "%n", "18446744073709551616", "-1", "\\x00", "\xff" };
	unsigned times = 1 + next() % 8;

	while (times--) {
		size_t where = len ? next() % len : 0, n;

		switch (next() % 6) {
		case 0:
			if (len)
				at[where] ^= (uint8_t)(1 << next() % 8);
			break;
		case 1:
			if (len)
				at[where] = (uint8_t)next();
			break;
		case 2:
			len = where;
			break;
		case 3:
			n = strlen(words[next() % 14]);
			if (len + n < INPUT_MAX) {
				memmove(at + where + n, at + where, len - where);
				memcpy(at + where, words[next() % 14], n > 2 ? 2 : 1);
				len += n;
			}
			break;
		case 4:
			n = len ? next() % (len - where) : 0;
			if (len + n < INPUT_MAX) {
				memmove(at + where + n, at + where, len - where);
				len += n;
			}
			break;
		default:
			if (len >= where + 4) {
				uint32_t v = (uint32_t)(next() % 3 ? next() % 512 : next());

				memcpy(at + where, &v, 4);
			}
		}
	}
	return len;
}

int main(int argc, char **argv)
{
	static uint8_t file[FILES_MAX][INPUT_MAX], work[INPUT_MAX];
	static size_t len[FILES_MAX];
	long rounds = argc > 2 ? atol(argv[1]) : 0;
	int count = 0;

	__sanitizer_set_death_callback(keep_input);
	for (int i = 2; i < argc && count < FILES_MAX; i++) {
		int fd = open(argv[i], O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, file[count], INPUT_MAX);

		if (n < 0) {
			perror(argv[i]);
			return 2;
		}
		close(fd);
		len[count] = (size_t)n;
		run(file[count], len[count]);
		count++;
	}
	if (count == 0)
		return 2;
	for (long i = 0; i < rounds; i++) {
		int which = (int)(next() % (unsigned)count);

		memcpy(work, file[which], len[which]);
		run(work, mutate(work, len[which]));
	}
	printf("%d files, %ld mutations\n", count, rounds);
	return 0;
}
