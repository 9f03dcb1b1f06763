/* SPDX-License-Identifier: MIT */
/* Whiteouts, opaque marks and device nodes, made by the trusted side. The list comes out of the jail and is believed in nothing. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "file.h"
#include "layer_stage_inner.h"
#include "marks.h"

/* A 0:0 character device NAME in DIR, whose times stay. */
static int make_whiteout(int dir, const char *name)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	struct stat st;

	if (fstat(dir, &st) < 0 || mknodat(dir, name, S_IFCHR, makedev(0, 0)) < 0)
		return -errno;
	times[1] = st.st_mtim;
	if (futimens(dir, times) < 0)
		return -errno;
	/* The device itself has no meaning but its number: no clock in a layer. */
	times[1] = (struct timespec){ 0, 0 };
	return utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* The empty file NAME in DIR becomes the device of KIND, with all that it has but attributes that a device cannot have. */
static int make_device(int dir, const char *name, char kind)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } }, above[2] = { { .tv_nsec = UTIME_OMIT } };
	unsigned major, minor;
	struct stat st, parent;

	if (!mark_device_number(kind, &major, &minor))
		return -EPROTO;
	if (fstat(dir, &parent) < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size != 0 || st.st_nlink != 1)
		return -EPROTO;
	times[1] = st.st_mtim;
	above[1] = parent.st_mtim;
	if (unlinkat(dir, name, 0) < 0 || mknodat(dir, name, S_IFCHR | 0600, makedev(major, minor)) < 0 ||
	    fchownat(dir, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0 || fchmodat(dir, name, st.st_mode & 07777, 0) < 0 ||
	    utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0 || futimens(dir, above) < 0)
		return -errno;
	return 0;
}

static int apply(int layer, char kind, char *path)
{
	char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	int dir, r;

	if (kind == MARK_OPAQUE) {
		dir = file_open_beneath(layer, path[0] ? path : ".", O_RDONLY | O_DIRECTORY, 0);
		if (dir < 0)
			return dir;
		r = fsetxattr(dir, "trusted.overlay.opaque", "y", 1, 0) < 0 ? -errno : 0;
		close(dir);
		return r;
	}
	if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EPROTO;
	if (slash)
		*slash = '\0';
	dir = file_open_beneath(layer, slash ? path : ".", O_RDONLY | O_DIRECTORY, 0);
	if (dir < 0)
		return dir;
	r = kind == MARK_WHITEOUT ? make_whiteout(dir, name) : make_device(dir, name, kind);
	close(dir);
	return r;
}

int layer_marks_apply(int layer, int marks, struct err *e)
{
	uint8_t record[UNPACK_MARK_HEAD + UNPACK_PATH_MAX];
	char path[UNPACK_PATH_MAX], shown[200];
	uint32_t at = 0;
	ssize_t n;

	for (int count = 0; (n = pread(marks, record, sizeof(record), at)) > 0; count++) {
		uint16_t len;
		int r;

		memcpy(&len, record, sizeof(len));
		if (n < UNPACK_MARK_HEAD || len > n - UNPACK_MARK_HEAD || count == UNPACK_MARKS_MAX ||
		    !span_copy(span_of(record + UNPACK_MARK_HEAD, len), path, sizeof(path)))
			return err_set(e, -EPROTO, "the unpacker's list of whiteouts and devices is broken");
		at += UNPACK_MARK_HEAD + len;
		if (!record[2])
			continue;
		span_escape(span_str(path), shown, sizeof(shown));
		r = apply(layer, (char)record[2], path);
		if (r < 0)
			return err_sys(e, -r, "whiteout or device \"%s\"", shown);
	}
	return n < 0 ? err_sys(e, errno, "the unpacker's list of whiteouts and devices") : 0;
}
