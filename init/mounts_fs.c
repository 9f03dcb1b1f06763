/* SPDX-License-Identifier: MIT */
/*
 * File systems and binds as detached mounts. Options come from the record
 * (config.json of the operator); the kernel judges them, we cut the string at
 * its commas and pass its words on when it refuses one.
 */
#include "mounts.h"

#include <string.h>

#include "mount_sys.h"

enum { OPTION_MAX = 512 };

static const struct {
	uint64_t flag;
	const char *option;
} sb_options[] = {
	{ MS_RDONLY, "ro" },
	{ MS_SYNCHRONOUS, "sync" },
	{ MS_DIRSYNC, "dirsync" },
	{ MS_MANDLOCK, "mand" },
	{ MS_LAZYTIME, "lazytime" },
};

/* One option, "key" or "key=value", of LEN bytes. */
static int set_option(int fs, const char *at, size_t len)
{
	char text[OPTION_MAX];
	char *value;

	if (len == 0)
		return 0;
	if (len >= sizeof(text))
		return -E2BIG;
	memcpy(text, at, len);
	text[len] = '\0';
	value = strchr(text, '=');
	if (!value)
		return sys_fsconfig(fs, FSCONFIG_SET_FLAG, text, NULL);
	*value++ = '\0';
	return sys_fsconfig(fs, FSCONFIG_SET_STRING, text, value);
}

static int set_options(int fs, const char *data)
{
	while (data && *data) {
		const char *end = strchrnul(data, ',');
		int r = set_option(fs, data, (size_t)(end - data));

		if (r < 0)
			return r;
		data = *end ? end + 1 : end;
	}
	return 0;
}

static int set_flags(int fs, uint64_t sb_flags)
{
	for (size_t i = 0; i < sizeof(sb_options) / sizeof(sb_options[0]); i++) {
		int r = 0;

		if (sb_flags & sb_options[i].flag)
			r = sys_fsconfig(fs, FSCONFIG_SET_FLAG, sb_options[i].option, NULL);
		if (r < 0)
			return r;
	}
	return 0;
}

/* One message, "e tmpfs: Unknown parameter 'x'", waits in the context. */
static void read_why(int fs, struct mounts_why *why)
{
	ssize_t n = read(fs, why->text, sizeof(why->text) - 1);

	if (n < 0)
		n = 0;
	if (n > 0 && why->text[n - 1] == '\n')
		n--;
	why->text[n] = '\0';
	if (n > 2 && why->text[1] == ' ')
		memmove(why->text, why->text + 2, (size_t)n - 1);
}

int mounts_fs(const char *fstype, const char *source, const char *data, uint64_t sb_flags, uint64_t attr,
	struct mounts_why *why)
{
	int fs = sys_fsopen(fstype);
	int r;

	if (fs < 0)
		return fs;
	r = source ? sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", source) : 0;
	if (r == 0)
		r = set_flags(fs, sb_flags);
	if (r == 0)
		r = set_options(fs, data);
	if (r == 0)
		r = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL);
	if (r == 0)
		r = sys_fsmount(fs, attr);
	if (r < 0 && why)
		read_why(fs, why);
	close(fs);
	return r;
}

int mounts_set_attr(int fd, uint64_t set, uint64_t clear)
{
	struct mount_attr a = { .attr_set = set, .attr_clr = clear };

	if (set & MOUNT_ATTR__ATIME)
		a.attr_clr |= MOUNT_ATTR__ATIME;
	return sys_mount_setattr(fd, 0, &a);
}

int mounts_bind(const char *source, const struct mounts_bind *how)
{
	unsigned depth = how->is_recursive ? AT_RECURSIVE : 0;
	unsigned asked = how->propagation & ~(unsigned)MS_REC;
	struct mount_attr all = { .propagation = asked ? asked : MS_PRIVATE };
	struct mount_attr top = { .attr_set = how->attr_set, .attr_clr = how->attr_clear };
	struct mount_attr ids = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)how->userns_fd };
	int fd = sys_clone_tree(AT_FDCWD, source, depth);
	int r = 0;

	if (fd < 0)
		return fd;
	if (how->attr_set & MOUNT_ATTR__ATIME)
		top.attr_clr |= MOUNT_ATTR__ATIME;
	if (!depth) {
		top.propagation = all.propagation;
		r = sys_mount_setattr(fd, 0, &top);
	} else {
		r = sys_mount_setattr(fd, depth, &all);
		if (r == 0 && (top.attr_set || top.attr_clr))
			r = sys_mount_setattr(fd, 0, &top);
	}
	if (r == 0 && how->userns_fd >= 0) {
		r = sys_mount_setattr(fd, how->is_idmap_recursive ? depth : 0, &ids);
		r = r == -EINVAL || r == -EPERM ? -ENOTSUP : r;
	}
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}
