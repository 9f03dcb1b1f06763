/* SPDX-License-Identifier: MIT */
/* Attributes of one entry (image-spec layer.md, "File Attributes"), and the digest records. Values are hostile. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "config.h"
#include "file.h"
#include "unpack_inner.h"

static bool has_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static int set_xattr(struct unpack *u, int fd, const char *file, const char *name, const void *value, size_t size, mode_t type)
{
	char shown[100];
	int r;

	span_escape(span_str(name), shown, sizeof(shown));
	if (has_prefix(name, "trusted.overlay.") || has_prefix(name, "user.overlay."))
		return err_set(&u->err, -ENOTSUP, "carries overlay's own attribute %s: refused", shown);
	if (size > CONFIG_XATTR_MAX)
		return err_set(&u->err, -EFBIG, "attribute %s of %zu bytes, at most %d", shown, size, CONFIG_XATTR_MAX);
	if (strcmp(name, "security.selinux") == 0)
		return 0;	/* the label is the board's policy, as every unpacker has it */
	if (size == 0)
		return 0;	/* POSIX pax: an empty value takes a record back */
	r = fd >= 0 ? fsetxattr(fd, name, value, size, 0) : lsetxattr(file, name, value, size, 0);
	if (r == 0 || errno == ENOTSUP)
		return 0;	/* a file system without attributes of that kind */
	if (errno == EPERM && has_prefix(name, "user.") && !S_ISREG(type) && !S_ISDIR(type))
		return 0;	/* Linux has none of these on links and FIFOs */
	return err_sys(&u->err, errno, "attribute %s", shown);
}

/* A directory that is described twice gets the attributes of the last description alone. */
static int clear_xattrs(int fd)
{
	static char names[65536];
	ssize_t len = flistxattr(fd, names, sizeof(names));

	if (len < 0)
		return errno == ENOTSUP ? 0 : -errno;
	for (char *n = names; n < names + len; n += strlen(n) + 1)
		if (fremovexattr(fd, n) < 0 && errno == EIO)
			return -EIO;
	return 0;
}

static int set_xattrs(struct unpack *u, struct archive_entry *entry, int fd, int dir, const char *file, mode_t type)
{
	const char *name;
	const void *value;
	size_t size;
	int r = 0;

	if (S_ISDIR(type))
		r = clear_xattrs(fd);
	if (r < 0 || !archive_entry_xattr_reset(entry))
		return r;
	if (fd < 0 && fchdir(dir) < 0)
		return -errno;	/* lsetxattr has no at-form before 6.13 */
	while (r == 0 && archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK)
		r = set_xattr(u, fd, file, name, value, size, type);
	return r;
}

int unpack_attrs(struct unpack *u, struct archive_entry *entry, int fd, int dir, const char *name, mode_t type)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { archive_entry_mtime(entry), archive_entry_mtime_nsec(entry) } };
	la_int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry);
	mode_t mode = archive_entry_perm(entry) & 07777;
	int r;

	/* The top value means "leave it" to chown(2). */
	if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
		return err_set(&u->err, -EBADMSG, "owner %lld:%lld is no user or group id", (long long)uid, (long long)gid);
	if (fd >= 0)
		r = fchown(fd, (uid_t)uid, (gid_t)gid) < 0 || fchmod(fd, mode) < 0 ? -errno : 0;
	else
		r = fchownat(dir, name, (uid_t)uid, (gid_t)gid, AT_SYMLINK_NOFOLLOW) < 0 ||
			(!S_ISLNK(type) && fchmodat(dir, name, mode, 0) < 0) ? -errno : 0;
	if (r < 0)
		return err_sys(&u->err, -r, "owner and mode");
	r = set_xattrs(u, entry, fd, dir, name, type);
	if (r == 0 && (fd >= 0 ? futimens(fd, times) : utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW)) < 0)
		r = err_sys(&u->err, errno, "modification time");
	return r;
}

int unpack_digest_flush(struct unpack *u)
{
	int r = file_write_all(UNPACK_DIGEST_FD, u->digests, u->digests_len * sizeof(*u->digests));

	u->digests_len = 0;
	return r < 0 ? err_sys(&u->err, -r, "the list of digests") : 0;
}

int unpack_digest_add(struct unpack *u, int fd)
{
	struct unpack_digest *d = &u->digests[u->digests_len];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	memset(d, 0, sizeof(*d));
	d->inode = st.st_ino;
	d->serial = u->serial++;
	d->verity = verity_end(&u->verity);
	return ++u->digests_len < UNPACK_DIGESTS ? 0 : unpack_digest_flush(u);
}
