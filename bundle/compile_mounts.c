/* SPDX-License-Identifier: MIT */
/*
 * config.json's `root` and `mounts` into the record (runtime-spec config.md "Root", "Mounts" and its table of options). Options are turned
 * into mount attributes here; one that no table knows is data for the file system, as the specification says.
 */
#include <errno.h>
#include <limits.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "compile_inner.h"
#include "net_plan.h"

enum { MOUNTS_MAX = 128, OPTIONS_MAX = 64, DATA_MAX = 4096 };

/* sys/mount.h and linux/mount.h do not go together under musl; these are of man 2 mount. */
enum {
	SB_RDONLY = 1, SB_SYNCHRONOUS = 16, SB_MANDLOCK = 64, SB_DIRSYNC = 128,
	SB_LAZYTIME = 1 << 25, P_REC = 16384, P_UNBINDABLE = 1 << 17, P_PRIVATE = 1 << 18, P_SLAVE = 1 << 19,
	P_SHARED = 1 << 20,
};

enum option_kind { OPT_SET, OPT_CLEAR, OPT_ATIME, OPT_SB_SET, OPT_SB_CLEAR, OPT_PROPAGATION, OPT_BIND, OPT_IDMAP, OPT_REFUSED };

static const struct {
	const char *name;
	enum option_kind kind;
	uint64_t value;
} options[] = {
	{ "ro", OPT_SET, MOUNT_ATTR_RDONLY }, { "rw", OPT_CLEAR, MOUNT_ATTR_RDONLY },
	{ "nosuid", OPT_SET, MOUNT_ATTR_NOSUID }, { "suid", OPT_CLEAR, MOUNT_ATTR_NOSUID },
	{ "nodev", OPT_SET, MOUNT_ATTR_NODEV }, { "dev", OPT_CLEAR, MOUNT_ATTR_NODEV },
	{ "noexec", OPT_SET, MOUNT_ATTR_NOEXEC }, { "exec", OPT_CLEAR, MOUNT_ATTR_NOEXEC },
	{ "nodiratime", OPT_SET, MOUNT_ATTR_NODIRATIME }, { "diratime", OPT_CLEAR, MOUNT_ATTR_NODIRATIME },
	{ "nosymfollow", OPT_SET, MOUNT_ATTR_NOSYMFOLLOW }, { "symfollow", OPT_CLEAR, MOUNT_ATTR_NOSYMFOLLOW },
	{ "relatime", OPT_ATIME, MOUNT_ATTR_RELATIME }, { "norelatime", OPT_ATIME, MOUNT_ATTR_STRICTATIME },
	{ "noatime", OPT_ATIME, MOUNT_ATTR_NOATIME }, { "atime", OPT_ATIME, MOUNT_ATTR_RELATIME },
	{ "strictatime", OPT_ATIME, MOUNT_ATTR_STRICTATIME }, { "nostrictatime", OPT_ATIME, MOUNT_ATTR_RELATIME },
	{ "sync", OPT_SB_SET, SB_SYNCHRONOUS }, { "async", OPT_SB_CLEAR, SB_SYNCHRONOUS },
	{ "dirsync", OPT_SB_SET, SB_DIRSYNC }, { "mand", OPT_SB_SET, SB_MANDLOCK },
	{ "nomand", OPT_SB_CLEAR, SB_MANDLOCK }, { "silent", OPT_CLEAR, 0 }, { "loud", OPT_CLEAR, 0 },
	{ "lazytime", OPT_SB_SET, SB_LAZYTIME }, { "nolazytime", OPT_SB_CLEAR, SB_LAZYTIME },
	{ "private", OPT_PROPAGATION, P_PRIVATE }, { "rprivate", OPT_PROPAGATION, P_PRIVATE | P_REC },
	{ "slave", OPT_PROPAGATION, P_SLAVE }, { "rslave", OPT_PROPAGATION, P_SLAVE | P_REC },
	{ "shared", OPT_PROPAGATION, P_SHARED }, { "rshared", OPT_PROPAGATION, P_SHARED | P_REC },
	{ "unbindable", OPT_PROPAGATION, P_UNBINDABLE }, { "runbindable", OPT_PROPAGATION, P_UNBINDABLE | P_REC },
	{ "bind", OPT_BIND, 1 }, { "rbind", OPT_BIND, 2 }, { "defaults", OPT_CLEAR, 0 },
	{ "remount", OPT_REFUSED, 0 }, { "tmpcopyup", OPT_REFUSED, 0 }, { "idmap", OPT_IDMAP, 1 },
	{ "ridmap", OPT_IDMAP, 2 }, { "rro", OPT_REFUSED, 0 }, { "rrw", OPT_REFUSED, 0 }, { "rnosuid", OPT_REFUSED, 0 },
	{ "rsuid", OPT_REFUSED, 0 }, { "rnodev", OPT_REFUSED, 0 }, { "rdev", OPT_REFUSED, 0 },
	{ "rnoexec", OPT_REFUSED, 0 }, { "rexec", OPT_REFUSED, 0 }, { "rnoatime", OPT_REFUSED, 0 },
	{ "ratime", OPT_REFUSED, 0 }, { "rrelatime", OPT_REFUSED, 0 }, { "rnorelatime", OPT_REFUSED, 0 },
	{ "rstrictatime", OPT_REFUSED, 0 }, { "rnostrictatime", OPT_REFUSED, 0 }, { "rnodiratime", OPT_REFUSED, 0 },
	{ "rdiratime", OPT_REFUSED, 0 }, { "rnosymfollow", OPT_REFUSED, 0 }, { "rsymfollow", OPT_REFUSED, 0 },
};

enum { OPTIONS = sizeof(options) / sizeof(*options) };

static void apply(struct record_mount *m, enum option_kind kind, uint64_t value)
{
	switch (kind) {
	case OPT_SET:
		m->attr_set |= value;
		m->attr_clear &= ~value;
		break;
	case OPT_CLEAR:
		m->attr_set &= ~value;
		m->attr_clear |= value;
		break;
	case OPT_ATIME:
		/* man 2 mount_setattr: access time is one field of several bits, changed only where all are cleared. */
		m->attr_set = (m->attr_set & ~(uint64_t)MOUNT_ATTR__ATIME) | value;
		m->attr_clear |= MOUNT_ATTR__ATIME;
		break;
	case OPT_SB_SET:
		m->sb_flags |= value;
		break;
	case OPT_SB_CLEAR:
		m->sb_flags &= ~value;
		break;
	case OPT_PROPAGATION:
		m->propagation = (uint32_t)value;
		break;
	case OPT_BIND:
		m->bind = (uint32_t)value;
		break;
	case OPT_IDMAP:
		m->idmap = (uint32_t)value;
		break;
	case OPT_REFUSED:
		break;
	}
}

static int add_data(struct compile *c, const struct jv *j, char *data, const char *text)
{
	size_t at = strlen(data);

	if (at + strlen(text) + 2 > DATA_MAX)
		return err_set(c->e, -EFBIG, "%s: the options are longer than %u bytes", j->path, DATA_MAX);
	snprintf(data + at, DATA_MAX - at, "%s%s", at ? "," : "", text);
	return 0;
}

static int one_option(struct compile *c, const struct jv *j, struct record_mount *m, char *data)
{
	const char *text = NULL;
	size_t i = 0;
	int r = jv_str(j, &text, c->e);

	if (r < 0 || !text)
		return r;
	while (i < OPTIONS && strcmp(options[i].name, text) != 0)
		i++;
	if (i == OPTIONS)
		return add_data(c, j, data, text);
	if (options[i].kind == OPT_REFUSED)
		return err_set(c->e, -ENOTSUP, "%s: not supported: mount option \"%s\"", j->path, text);
	apply(m, options[i].kind, options[i].value);
	return 0;
}

/* The source of a bind: absolute, or relative to the bundle. Whether it is a file is seen here, so that its place can be made. */
static int bind_source(struct compile *c, const struct jv *j, struct record_mount *m, const char *source)
{
	char path[PATH_MAX];
	struct stat st;

	if (!source || !source[0])
		return err_set(c->e, -EBADMSG, "%s.source: a bind needs one", j->path);
	if ((size_t)snprintf(path, sizeof(path), "%s%s%s", source[0] == '/' ? "" : c->path, source[0] == '/' ? "" : "/",
		source) >= sizeof(path))
		return err_set(c->e, -EFBIG, "%s.source: longer than %zu bytes", j->path, sizeof(path));
	/* Made at each start. */
	if (strncmp(path, NET_RUN "/files/", sizeof(NET_RUN "/files/") - 1) == 0)
		m->is_file = 1;
	else if (stat(path, &st) < 0)
		compile_note("%s.source: %s: %s; the start will fail unless that changes", j->path, path, strerror(errno));
	else
		m->is_file = !S_ISDIR(st.st_mode);
	m->source = record_build_str(c->b, path);
	return 0;
}

static int is_kernel_fs(const char *type)
{
	static const char *const names[] = { "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "tmpfs" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(names[i], type) == 0)
			return 1;
	return 0;
}

/* A mount's own mappings, which have to be the container's: there is one namespace to map by. */
static int same_map(struct compile *c, const struct jv *j, struct record_list map)
{
	const struct record_idmap *m = record_items(c->head, map);
	size_t count;
	int r = jv_array(j, 340, &count, c->e);

	if (r == 0 && count != map.count)
		r = err_set(c->e, -ENOTSUP, "%s: not supported: mappings other than the container's own", j->path);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct jv one = jv_at(j, i), inside = jv_get(&one, "containerID"), outside = jv_get(&one, "hostID"), size = jv_get(&one, "size");
		uint32_t n[3] = { 0 };

		r = jv_u32(&inside, &n[0], c->e);
		if (r == 0)
			r = jv_u32(&outside, &n[1], c->e);
		if (r == 0)
			r = jv_u32(&size, &n[2], c->e);
		if (r == 0 && (n[0] != m[i].inside || n[1] != m[i].outside || n[2] != m[i].count))
			r = err_set(c->e, -ENOTSUP, "%s: not supported: mappings other than the container's own", one.path);
	}
	return r;
}

static int idmap(struct compile *c, const struct jv *j, struct record_mount *m)
{
	struct jv uids = jv_get(j, "uidMappings"), gids = jv_get(j, "gidMappings");
	int r = 0;

	if ((uids.v || gids.v) && !m->idmap)
		m->idmap = 1;
	if (!m->idmap)
		return 0;
	if (!c->head->uid_map.count || !m->bind)
		return err_set(c->e, -ENOTSUP, "%s: not supported: an id-mapped mount without %s", j->path, m->bind ? "a user namespace" : "bind");
	if (uids.v)
		r = same_map(c, &uids, c->head->uid_map);
	return r == 0 && gids.v ? same_map(c, &gids, c->head->gid_map) : r;
}

static int one_mount(struct compile *c, const struct jv *j, struct record_mount *m)
{
	struct jv target = jv_get(j, "destination"), source = jv_get(j, "source"), type = jv_get(j, "type");
	struct jv list = jv_get(j, "options");
	const char *to = NULL, *from = NULL, *fs = NULL;
	char data[DATA_MAX] = "";
	size_t count = 0;
	int r = jv_str(&target, &to, c->e);

	if (r == 0 && (!to || to[0] != '/'))
		r = err_set(c->e, -EBADMSG, "%s: must be an absolute path", target.path);
	if (r == 0)
		r = jv_str(&source, &from, c->e);
	if (r == 0)
		r = jv_str(&type, &fs, c->e);
	if (r == 0)
		r = jv_array(&list, OPTIONS_MAX, &count, c->e);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct jv one = jv_at(&list, i);

		r = one_option(c, &one, m, data);
	}
	if (r < 0)
		return r;
	if (fs && strcmp(fs, "bind") == 0 && !m->bind)
		m->bind = 1;
	r = idmap(c, j, m);
	if (r < 0)
		return r;
	m->target = record_build_str(c->b, to);
	if (m->bind) {
		if (data[0] || m->sb_flags)
			return err_set(c->e, -EBADMSG, "%s: a bind takes no file system options (%.80s)", list.path, data[0] ? data : "sync, dirsync, mand, lazytime");
		return bind_source(c, j, m, from);
	}
	if (!fs || !fs[0])
		return err_set(c->e, -EBADMSG, "%s: is missing", type.path);
	if (m->attr_set & MOUNT_ATTR_RDONLY && !is_kernel_fs(fs))
		m->sb_flags |= SB_RDONLY;
	m->fstype = record_build_str(c->b, fs);
	m->source = record_build_str(c->b, from);
	m->data = record_build_str(c->b, data[0] ? data : NULL);
	return 0;
}

int compile_mounts(struct compile *c)
{
	struct jv list = jv_get(&c->root, "mounts");
	struct record_mount *out;
	size_t count;
	int r = jv_array(&list, MOUNTS_MAX, &count, c->e);

	out = r == 0 ? record_build_list(c->b, &c->head->mounts, count, sizeof(*out)) : NULL;
	for (size_t i = 0; out && r == 0 && i < count; i++) {
		struct jv one = jv_at(&list, i);

		r = one_mount(c, &one, &out[i]);
	}
	return r;
}

static int layers(struct compile *c)
{
	uint32_t count = c->layers->count + c->layers->has_base;
	struct record_str *out;
	char name[PATH_MAX];

	c->head->rootfs = RECORD_ROOTFS_LAYERS;
	if (c->head->uid_map.count)
		c->head->flags |= RECORD_IDMAP_LAYERS;
	c->head->store = record_build_str(c->b, c->layers->store);
	c->head->image_digest = record_build_str(c->b, c->layers->image[0] ? c->layers->image : NULL);
	out = record_build_list(c->b, &c->head->layers, count, sizeof(*out));
	for (uint32_t i = 0; out && i < count; i++) {
		if (!bundle_layers_name(c->layers, c->path, i, name, sizeof(name)) || strpbrk(name, ":,\\"))
			return err_set(c->e, -EINVAL, "layers: a bundle whose path is too long or has ':', ',' or '\\' in it");
		out[i] = record_build_str(c->b, name);
	}
	return 0;
}

static int directory(struct compile *c, const struct jv *j, const char *text)
{
	char path[PATH_MAX], real[PATH_MAX];
	struct stat st;

	if ((size_t)snprintf(path, sizeof(path), "%s%s%s", text[0] == '/' ? "" : c->path, text[0] == '/' ? "" : "/",
		text) >= sizeof(path))
		return err_set(c->e, -EFBIG, "%s: longer than %zu bytes", j->path, sizeof(path));
	if (!realpath(path, real))
		return err_sys(c->e, errno, "%s: %s", j->path, path);
	if (stat(real, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(c->e, -ENOTDIR, "%s: %s is no directory", j->path, real);
	if (strcmp(real, "/") == 0)
		return err_set(c->e, -EINVAL, "%s: the host's own root is no rootfs", j->path);
	c->head->rootfs = RECORD_ROOTFS_PATH;
	c->head->root_path = record_build_str(c->b, real);
	return 0;
}

int compile_root(struct compile *c)
{
	struct jv root = jv_get(&c->root, "root"), path = jv_get(&root, "path"), ro = jv_get(&root, "readonly");
	const char *text = NULL;
	bool is_readonly = false;
	int r = jv_str(&path, &text, c->e);

	if (r == 0 && (!text || !text[0]))
		r = err_set(c->e, -EBADMSG, "%s: is missing", path.path);
	if (r == 0)
		r = jv_bool(&ro, &is_readonly, c->e);
	if (r < 0)
		return r;
	if (is_readonly)
		c->head->flags |= RECORD_ROOT_READONLY;
	return c->layers && strcmp(text, "rootfs") == 0 ? layers(c) : directory(c, &path, text);
}
