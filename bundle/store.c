/* SPDX-License-Identifier: MIT */
/* The store's folders, its format stamp and its locks. Paths are made of digests and names of ours only. Blocks on the disk. */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "sha256.h"
#include "store_dir.h"

#define FORMAT "coracle-store 1\n"

enum { LOCK_STEP_MS = 20 };

/* What may hold setuid programs or secrets of an image or of the board is nobody's but root's. */
static const struct folder {
	const char *name;
	mode_t mode;
} folders[] = {
	{ "layers", 0700 }, { "layers/index", 0755 }, { "layers/list", 0755 }, { "images", 0755 }, { "images/sha256", 0755 },
	{ "bundles", 0755 }, { "state", 0755 }, { "tmp", 0700 }, { "trash", 0700 }, { "partial", 0755 }, { "config", 0700 },
	{ "logs", 0755 }, { "volumes", 0755 },
};

const char *store_hex(const struct digest *d, char out[DIGEST_HEX_LEN + 1])
{
	struct digest_text t = digest_text(d);

	memcpy(out, t.text + 7, DIGEST_HEX_LEN + 1);
	return out;
}

static int check_format(struct store *s, struct err *e)
{
	char *text;
	size_t len;
	int r;

	if (faccessat(s->root, "format", F_OK, 0) < 0 && errno == ENOENT)
		return -ENOENT;
	r = file_read(s->root, "format", 64, &text, &len, e);
	if (r < 0)
		return r;
	r = strcmp(text, FORMAT) == 0 ? 0 : err_set(e, -EUCLEAN,
		"%s: its format file is not of this version: this program reads \"coracle-store 1\"; "
		"nothing of it was changed: take the software that made it, or another disk", s->path);
	free(text);
	return r;
}

/* Waits for the lock as long as TIMEOUT_MS. 0 or a negative code. */
static int lock_fd(int fd, int how, int timeout_ms)
{
	for (int waited = 0; flock(fd, how | LOCK_NB) < 0; waited += LOCK_STEP_MS) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (waited >= timeout_ms)
			return -ETIMEDOUT;
		poll(NULL, 0, LOCK_STEP_MS);
	}
	return 0;
}

int store_lock(struct store *s, bool exclusive, int timeout_ms, struct err *e)
{
	int fd = openat(s->root, "lock", O_RDONLY | O_CREAT | O_CLOEXEC, 0644), r;

	if (fd < 0)
		return err_sys(e, errno, "%s/lock", s->path);
	r = lock_fd(fd, exclusive ? LOCK_EX : LOCK_SH, timeout_ms);
	if (r == 0)
		return fd;
	close(fd);
	return r == -ETIMEDOUT ? err_set(e, r, "%s: another program holds the store's lock", s->path) : err_sys(e, -r, "%s/lock", s->path);
}

static int make_store(struct store *s, struct err *e)
{
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		if (mkdirat(s->root, folders[i].name, folders[i].mode) < 0 && errno != EEXIST)
			return err_sys(e, errno, "%s/%s: cannot make the folder", s->path, folders[i].name);
	/* The stamp last: a store that was cut while being made is made again. */
	return file_replace(s->root, "format", span_str(FORMAT), 0644, e);
}

int store_open(struct store **out, const char *dir, enum store_mode mode, struct err *e)
{
	struct store *s = calloc(1, sizeof(*s));
	int r;

	*out = NULL;
	if (!s)
		return err_sys(e, ENOMEM, "%s", dir);
	s->mode = mode;
	s->root = s->holds.dir = -1;
	if (!span_copy(span_str(dir), s->path, sizeof(s->path))) {
		r = err_sys(e, ENAMETOOLONG, "%s", dir);
		goto fail;
	}
	s->root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->root < 0) {
		r = err_sys(e, errno, "%s: cannot open the store", dir);
		goto fail;
	}
	r = seal_load(&s->seal, e);
	if (r < 0)
		goto fail;
	r = check_format(s, e);
	if (r == -ENOENT && mode == STORE_READ)
		r = err_set(e, -ENOENT, "%s: not a store (no format file): the first pull makes one", dir);
	else if (r == -ENOENT)
		r = make_store(s, e);
	if (r < 0)
		goto fail;
	if (mode == STORE_WRITE)
		staging_sweep(s);
	*out = s;
	return 0;
fail:
	store_close(s);
	return r;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	staging_end(s, &s->holds);
	if (s->root >= 0)
		close(s->root);
	seal_wipe(&s->seal);
	free(s);
}

int store_fd(const struct store *s)
{
	return s->root;
}

const struct seal *store_seal(const struct store *s)
{
	return &s->seal;
}

struct digest store_chain(const struct digest *parent, const struct digest *diff_id)
{
	struct digest_text a, b;
	struct sha256 h;

	if (!parent)
		return *diff_id;
	a = digest_text(parent);
	b = digest_text(diff_id);
	sha256_begin(&h);
	sha256_add(&h, a.text, DIGEST_TEXT_LEN);
	sha256_add(&h, " ", 1);
	sha256_add(&h, b.text, DIGEST_TEXT_LEN);
	return sha256_end(&h);
}
