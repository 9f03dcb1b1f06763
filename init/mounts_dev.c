/* SPDX-License-Identifier: MIT */
/*
 * /dev: always a fresh tmpfs, never the image's directory (CVE-2026-41579,
 * CVE-2026-47766: an image whose /dev is a symlink made the runtime write on
 * the host). It is filled here, detached and out of anybody's reach, before
 * the container exists; names are resolved beneath it without symlinks.
 */
#include "mounts.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "mount_sys.h"
#include "userns.h"

#define DEV_OPTIONS "mode=755,size=64k,nr_inodes=1k"

static const struct {
	const char *name;
	unsigned major, minor;
} default_nodes[] = {
	{ "null", 1, 3 }, { "zero", 1, 5 }, { "full", 1, 7 },
	{ "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 },
};

static const struct {
	const char *name, *to;
} links[] = {
	{ "fd", "/proc/self/fd" }, { "stdin", "/proc/self/fd/0" }, { "stdout", "/proc/self/fd/1" },
	{ "stderr", "/proc/self/fd/2" }, { "ptmx", "pts/ptmx" },
};

/* runtime-spec config-linux.md, "Default Devices"; a node of the record by the same name came first and stays. */
static int make_defaults(int dev, const char **object)
{
	for (size_t i = 0; i < sizeof(default_nodes) / sizeof(default_nodes[0]); i++) {
		*object = default_nodes[i].name;
		if (mknodat(dev, *object, S_IFCHR | 0666, makedev(default_nodes[i].major, default_nodes[i].minor)) < 0 &&
		    errno != EEXIST)
			return -errno;
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		*object = links[i].name;
		if (symlinkat(links[i].to, dev, *object) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

/* The part of PATH below /dev, or NULL. */
static const char *below_dev(const char *path)
{
	if (!mounts_path_below(path, "/dev"))
		return NULL;
	path += strspn(path, "/") + 3;
	path += strspn(path, "/");
	return *path ? path : NULL;
}

/* Makes the directories above the last component of NAME; a descriptor of the lowest, *LAST the component. */
static int make_parents(int dev, const char *name, const char **last)
{
	int dir = fcntl(dev, F_DUPFD_CLOEXEC, 3);

	for (;;) {
		const char *slash = strchr(name, '/');
		char part[256];
		int next;

		if (dir < 0)
			return -errno;
		if (!slash) {
			*last = name;
			return dir;
		}
		if ((size_t)(slash - name) >= sizeof(part)) {
			close(dir);
			return -ENAMETOOLONG;
		}
		memcpy(part, name, (size_t)(slash - name));
		part[slash - name] = '\0';
		if (part[0] && mkdirat(dir, part, 0755) < 0 && errno != EEXIST) {
			next = -errno;
			close(dir);
			return next;
		}
		next = sys_openat2(dir, part[0] ? part : ".", O_PATH | O_DIRECTORY, 0,
			RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
		close(dir);
		if (next < 0)
			return next;
		dir = next;
		name = slash + 1;
	}
}

static int make_node(const struct start_context *c, int dev, const struct record_device *d, const char *name)
{
	uint32_t uid = c->has_userns ? userns_outside(c->record, c->record->uid_map, d->uid) : d->uid;
	uint32_t gid = c->has_userns ? userns_outside(c->record, c->record->gid_map, d->gid) : d->gid;
	const char *last;
	int dir = make_parents(dev, name, &last);
	int r = 0;

	if (dir < 0)
		return dir;
	if (mknodat(dir, last, d->mode, makedev(d->major, d->minor)) < 0)
		r = -errno;
	if (r == 0 && fchownat(dir, last, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	/* The umask of whoever started us took bits from mknod; chown cleared others. */
	if (r == 0 && fchmodat(dir, last, d->mode & 07777, 0) < 0)
		r = -errno;
	close(dir);
	return r;
}

static int make_devices(const struct start_context *c, int dev, const char **object)
{
	const struct record_head *r = c->record;
	const struct record_device *d = record_items(r, r->devices);

	for (uint32_t i = 0; i < r->devices.count; i++) {
		const char *name;
		int e;

		*object = record_text(r, d[i].path);
		name = below_dev(*object);
		if (!name)
			return -EINVAL;
		e = make_node(c, dev, &d[i], name);
		if (e < 0)
			return e;
	}
	return 0;
}

/* Places for the record's own mounts below /dev (pts, shm, mqueue): stage 2 may not be able to make them. */
static int make_places(int dev, const struct record_head *r, const char **object)
{
	const struct record_mount *m = record_items(r, r->mounts);

	for (uint32_t i = 0; i < r->mounts.count; i++) {
		const char *name, *last;
		int dir, e = 0;

		*object = record_text(r, m[i].target);
		name = below_dev(*object);
		if (!name)
			continue;
		dir = make_parents(dev, name, &last);
		if (dir < 0)
			return dir;
		if (m[i].bind && m[i].is_file)
			e = mknodat(dir, last, S_IFREG | 0644, 0) < 0 && errno != EEXIST ? -errno : 0;
		else if (*last)
			e = mkdirat(dir, last, 0755) < 0 && errno != EEXIST ? -errno : 0;
		close(dir);
		if (e < 0)
			return e;
	}
	return 0;
}

/* The options of the record's own tmpfs at /dev, if it has one. */
static const struct record_mount *own_dev(const struct record_head *r)
{
	const struct record_mount *m = record_items(r, r->mounts);

	for (uint32_t i = 0; i < r->mounts.count; i++) {
		const char *target = record_text(r, m[i].target);

		if (!m[i].bind && mounts_path_below(target, "/dev") && !below_dev(target) &&
		    strcmp(record_text(r, m[i].fstype), "tmpfs") == 0)
			return &m[i];
	}
	return NULL;
}

int mounts_dev(const struct start_context *c, const char **object, struct mounts_why *why)
{
	const struct record_head *r = c->record;
	const struct record_mount *m = own_dev(r);
	uint64_t attr = m ? m->attr_set : MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_STRICTATIME;
	mode_t mask = umask(0);
	int fd, e;

	*object = "/dev";
	why->text[0] = '\0';
	/* Nodes have to work, and have to be made before it may be read-only. */
	fd = mounts_fs("tmpfs", "tmpfs", m && m->data.off ? record_text(r, m->data) : DEV_OPTIONS, 0,
		attr & ~(uint64_t)(MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY), why);
	if (fd < 0) {
		umask(mask);
		return fd;
	}
	e = make_devices(c, fd, object);
	if (e == 0)
		e = make_defaults(fd, object);
	if (e == 0)
		e = make_places(fd, r, object);
	if (e == 0 && r->flags & RECORD_TERMINAL && mknodat(fd, "console", S_IFREG | 0600, 0) < 0)
		e = -errno;
	if (e == 0 && attr & MOUNT_ATTR_RDONLY)
		e = mounts_set_attr(fd, MOUNT_ATTR_RDONLY, 0);
	umask(mask);
	if (e < 0) {
		close(fd);
		return e;
	}
	return fd;
}
