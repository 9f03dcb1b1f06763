/* SPDX-License-Identifier: MIT */
/* `coracle-bundle seal FILE...`: unit files for a board whose store has a key, by whoever has it: a code as their last line (bundle/seal.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "file.h"
#include "quadlet.h"
#include "seal.h"
#include "unit_file.h"

static int replace(const char *path, struct span data, struct err *e)
{
	const char *name = unit_file_name(path);
	char folder[4096] = "./";
	int dir, r;

	if (name != path && !span_copy(span_of(path, (size_t)(name - path)), folder, sizeof(folder)))
		return err_sys(e, ENAMETOOLONG, "%s", path);
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, errno, "%s", folder);
	r = file_replace(dir, name, data, 0644, e);
	close(dir);
	return r;
}

static int seal_file(const struct seal *key, const char *path, struct err *e)
{
	char mac[SEAL_LINE_MAX], *text = NULL, *out = NULL;
	struct span body;
	size_t len = 0;
	int r = file_read(AT_FDCWD, path, QUADLET_FILE_MAX - SEAL_LINE_MAX - 2, &text, &len, e);

	if (r < 0)
		return r;
	body = seal_body(span_of(text, len));
	out = malloc(body.len + SEAL_LINE_MAX + 2);
	if (!out) {
		free(text);
		return err_sys(e, ENOMEM, "%s", path);
	}
	memcpy(out, body.at, body.len);
	if (body.len && out[body.len - 1] != '\n')
		out[body.len++] = '\n';
	seal_line(key, "unit", unit_file_name(path), span_of(out, body.len), mac);
	len = body.len + (size_t)snprintf(out + body.len, SEAL_LINE_MAX + 2, "#%s", mac);
	r = replace(path, span_of(out, len), e);
	free(out);
	free(text);
	return r;
}

int cmd_seal(int argc, char **argv)
{
	struct err e = { "" };
	struct seal key;
	int r;

	if (argc < 2 || argv[1][0] == '-') {
		fprintf(stderr, "usage: CORACLE_STORE_KEY=FILE coracle-bundle seal UNIT.container...\n");
		return 2;
	}
	r = seal_load(&key, &e);
	if (r == 0 && !key.is_there)
		r = err_set(&e, -ENOENT, "no key: neither CORACLE_STORE_KEY nor /etc/coracle/store.key names one");
	for (int i = 1; r == 0 && i < argc; i++)
		r = seal_file(&key, argv[i], &e);
	seal_wipe(&key);
	if (r < 0)
		fprintf(stderr, "coracle-bundle seal: %s\n", e.text);
	return r < 0 ? 1 : 0;
}
