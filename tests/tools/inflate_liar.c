/* SPDX-License-Identifier: MIT */
/* A decompressor that was taken over, for a coracle-bundle of the tests: the first byte of the compressed bytes says what it does. */
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "file.h"
#include "sha256.h"
#include "unpack.h"

int cmd_inflate(int argc, char **argv)
{
	static char tar[10240];
	struct inflate_result res = { .magic = UNPACK_MAGIC };
	char what = 0, more[4096];

	(void)argc;
	(void)argv;
	if (read(0, &what, 1) != 1)
		return 1;
	while (read(0, more, sizeof(more)) > 0)
		;
	res.diff_id = sha256_of(span_of(tar, sizeof(tar)));	/* of an empty archive: what is asked for */
	memset(res.text, 'x', sizeof(res.text));		/* without an end */
	if (what == 'm')
		res.magic++;
	if (what == 'p')
		res.code = 7;
	if (what == 'n')
		res.code = -5000;
	if (what == 'e') {
		res.code = -1;
		memcpy(res.text, "\033[2J\n", 6);
	}
	if (what == 'd')
		res.diff_id.sha256[31]++;
	file_write_all(1, tar, sizeof(tar));
	if (what == 'f')
		__builtin_trap();
	if (what == 's')
		return 0;	/* not a word */
	return file_write_all(2, &res, what == 'h' ? sizeof(res) / 2 : sizeof(res)) < 0;
}
