/* SPDX-License-Identifier: MIT */
/*
 * Secret=: files of the board as files of a tmpfs that the program alone has, read-only, with ids inside its user namespace. Read anew at each
 * start, by the starter, so that they are in no record, no image and no environment. The tmpfs is the record's own mount at /run/secrets.
 */
#include "mounts.h"

#include <string.h>
#include <sys/stat.h>

#include "mount_sys.h"
#include "userns.h"

enum { SECRET_MAX = 65536 };

bool mounts_is_secrets(const struct record_head *r, const struct record_mount *m)
{
	return r->secrets.count > 0 && !m->bind && strcmp(record_text(r, m->target), "/run/secrets") == 0;
}

static int copy(const struct start_context *c, int dir, const struct record_secret *s)
{
	static char data[SECRET_MAX];
	const struct record_head *r = c->record;
	int from = open(record_text(r, s->source), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), to = -1, e = 0;
	struct stat st;
	ssize_t n = 0;

	if (from < 0)
		return -errno;
	if (fstat(from, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > SECRET_MAX)
		e = -EFBIG;
	if (e == 0 && ((n = read(from, data, sizeof(data))) < 0 ||
	    (to = openat(dir, record_text(r, s->name), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)) < 0))
		e = -errno;
	if (e == 0 && (write(to, data, (size_t)n) != n || fchmod(to, s->mode) < 0 ||
	    fchown(to, c->has_userns ? userns_outside(r, r->uid_map, s->uid) : s->uid, c->has_userns ? userns_outside(r, r->gid_map, s->gid) : s->gid) < 0))
		e = errno ? -errno : -EIO;
	memset(data, 0, (size_t)(n > 0 ? n : 0));
	close(from);
	if (to >= 0)
		close(to);
	return e;
}

int mounts_secrets(const struct start_context *c, const struct record_mount *m, const char **object)
{
	const struct record_secret *s = record_items(c->record, c->record->secrets);
	int fd = mounts_fs("tmpfs", "secrets", record_text(c->record, m->data), 0, m->attr_set & ~(uint64_t)MOUNT_ATTR_RDONLY, NULL);
	int e = 0;

	*object = record_text(c->record, m->target);
	for (uint32_t i = 0; fd >= 0 && e == 0 && i < c->record->secrets.count; i++) {
		*object = record_text(c->record, s[i].source);
		e = copy(c, fd, &s[i]);
	}
	if (fd >= 0 && e == 0)
		e = mounts_set_attr(fd, MOUNT_ATTR_RDONLY, 0);
	if (e < 0)
		close(fd);
	return e < 0 ? e : fd;
}
