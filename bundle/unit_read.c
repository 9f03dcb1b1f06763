/* SPDX-License-Identifier: MIT */
/* Units from the disk: the file, and below the data partition the code of the store's key (seal.h). What the text means is unit_file.c's. */
#include "unit_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "quadlet.h"
#include "seal.h"

int unit_file_check_seal(const char *path, const char *store_dir, struct span text, struct err *e)
{
	size_t len = store_dir ? strlen(store_dir) : 0;
	struct seal seal;
	int r;

	if (!len || strncmp(path, store_dir, len) != 0 || path[len] != '/')
		return 0;
	r = seal_load(&seal, e);
	if (r == 0)
		r = seal_check(&seal, "unit", unit_file_name(path), text);
	seal_wipe(&seal);
	return r == -EKEYREJECTED ? err_set(e, r, "%s: not written under this board's key: refused. Where the key is: coracle-bundle seal %s", path,
		unit_file_name(path)) : r;
}

int unit_file_read(struct unit_file **out, const char *path, const char *store_dir, char **bytes, size_t *len, const struct unit_notices *notices,
	struct err *e)
{
	char *text = NULL;
	size_t size = 0;
	int r = file_read(AT_FDCWD, path, QUADLET_FILE_MAX, &text, &size, e);

	*out = NULL;
	if (r == 0)
		r = unit_file_check_seal(path, store_dir, span_of(text, size), e);
	if (r == 0)
		r = unit_file_new(out, span_of(text, size), path, notices, e);
	if (bytes) {
		*bytes = text;
		*len = size;
	} else {
		free(text);
	}
	return r;
}
