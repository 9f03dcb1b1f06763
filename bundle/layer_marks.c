/* SPDX-License-Identifier: MIT */
/* Whiteouts and opaque marks, made by the trusted side. The list comes out of the jail and is believed in nothing. */
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
	if (kind != MARK_WHITEOUT || !name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EPROTO;
	if (slash)
		*slash = '\0';
	dir = file_open_beneath(layer, slash ? path : ".", O_RDONLY | O_DIRECTORY, 0);
	if (dir < 0)
		return dir;
	r = make_whiteout(dir, name);
	close(dir);
	return r;
}

int layer_marks_apply(int layer, const uint8_t *marks, size_t len, struct err *e)
{
	char path[UNPACK_PATH_MAX], shown[200];
	size_t at = 0;

	while (at < len) {
		uint16_t path_len;
		int r;

		if (len - at < UNPACK_MARK_HEAD)
			return err_set(e, -EPROTO, "the unpacker's list of whiteouts is broken");
		memcpy(&path_len, marks + at, sizeof(path_len));
		if (path_len > len - at - UNPACK_MARK_HEAD ||
		    !span_copy(span_of(marks + at + UNPACK_MARK_HEAD, path_len), path, sizeof(path)))
			return err_set(e, -EPROTO, "the unpacker's list of whiteouts is broken");
		span_escape(span_str(path), shown, sizeof(shown));
		r = apply(layer, (char)marks[at + 2], path);
		if (r < 0)
			return err_sys(e, -r, "whiteout \"%s\"", shown);
		at += UNPACK_MARK_HEAD + path_len;
	}
	return 0;
}
