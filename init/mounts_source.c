/* SPDX-License-Identifier: MIT */
/*
 * Stage 1's mounts: all that has to be made in the initial user namespace, as
 * detached mounts that nobody can reach yet. Sources are the operator's host
 * paths and are followed as the host resolves them; targets belong to the
 * image and are not touched here.
 */
#include <linux/sched.h>
#include <string.h>

#include "mounts.h"
#include "mount_sys.h"
#include "overlay.h"
#include "userns.h"

static const char *const inner_types[] = { "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "tmpfs" };

bool mounts_path_below(const char *path, const char *dir)
{
	for (;;) {
		path += strspn(path, "/");
		dir += strspn(dir, "/");
		size_t len = strcspn(dir, "/");

		if (len == 0)
			return true;
		if (strncmp(path, dir, len) != 0 || (path[len] != '\0' && path[len] != '/'))
			return false;
		path += len;
		dir += len;
	}
}

/* sysfs shows the network that it is mounted in, and only who has power over that may mount it: a joined one's is the initial user namespace. */
static bool is_joined_sysfs(const struct record_mount *m, const struct record_head *r)
{
	const struct record_ns *ns = record_items(r, r->ns_join);

	for (uint32_t i = 0; i < r->ns_join.count; i++)
		if (ns[i].clone_flag == CLONE_NEWNET && strcmp(record_text(r, m->fstype), "sysfs") == 0)
			return true;
	return false;
}

bool mounts_is_inner(const struct record_mount *m, const struct record_head *r)
{
	if (m->bind || is_joined_sysfs(m, r))
		return false;
	for (size_t i = 0; i < sizeof(inner_types) / sizeof(inner_types[0]); i++)
		if (strcmp(record_text(r, m->fstype), inner_types[i]) == 0)
			return true;
	return false;
}

static int prepare_bind(struct start_context *c, const struct record_mount *m, uint32_t i)
{
	const char *source = record_text(c->record, m->source);
	struct mounts_bind how = {
		.is_recursive = m->bind == 2, .is_idmap_recursive = m->idmap == 2, .attr_set = m->attr_set, .attr_clear = m->attr_clear,
		.propagation = m->propagation, .userns_fd = m->idmap ? c->userns_fd : -1,
	};
	int fd = mounts_bind(source, &how);

	if (fd == -ENOENT && m->optional) {
		c->is_skipped[i] = 1;
		return 0;
	}
	if (fd == -ENOTSUP)
		return start_fail(c, "volume that cannot be id-mapped (UserNS=host does without):", source, EINVAL);
	if (fd < 0)
		return start_fail(c, "bind", source, -fd);
	c->mount_fd[i] = fd;
	return 0;
}

static int prepare_fs(struct start_context *c, const struct record_mount *m, uint32_t i)
{
	const struct record_head *r = c->record;
	struct mounts_why why = { "" };
	int fd = mounts_fs(record_text(r, m->fstype), record_text(r, m->source), record_text(r, m->data), m->sb_flags,
		m->attr_set, &why);

	if (fd < 0)
		return start_fail(c, "mount", why.text[0] ? why.text : record_text(r, m->target), -fd);
	c->mount_fd[i] = fd;
	return 0;
}

static int prepare_mounts(struct start_context *c)
{
	const struct record_mount *m = record_items(c->record, c->record->mounts);

	if (c->record->mounts.count > START_MOUNTS_MAX)
		return start_fail(c, "mounts", "more than 128 mounts in one container are not supported", 0);
	for (uint32_t i = 0; i < c->record->mounts.count; i++) {
		int r = 0;

		c->mount_fd[i] = -1;
		if (m[i].bind)
			r = prepare_bind(c, &m[i], i);
		else if (!mounts_is_inner(&m[i], c->record))
			r = prepare_fs(c, &m[i], i);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Where layers cannot be id-mapped: the caller's user namespace, if the record allows that. */
static int do_without_userns(struct start_context *c, const char *object)
{
	int r;

	if (!(c->record->flags & RECORD_USERNS_OPTIONAL))
		return start_fail(c, "user namespace: layers cannot be id-mapped by this kernel:", object, EINVAL);
	start_note(c, "no user namespace of its own, layers cannot be id-mapped:", object, 0);
	close(c->userns_fd);
	c->userns_fd = -1;
	c->has_userns = false;
	r = overlay_own_namespace();
	return r < 0 ? start_fail(c, "namespace", "mount", -r) : 0;
}

static int prepare_root(struct start_context *c)
{
	int is_mapped = c->record->flags & RECORD_IDMAP_LAYERS;
	const char *object;

	c->root_fd = mounts_root(c->record, is_mapped ? c->userns_fd : -1, &object);
	if (c->root_fd == -ENOTSUP && c->has_userns && is_mapped) {
		int r = do_without_userns(c, object);

		if (r < 0)
			return r;
		c->root_fd = mounts_root(c->record, -1, &object);
	}
	return c->root_fd < 0 ? start_fail(c, "rootfs", object, -c->root_fd) : 0;
}

static int prepare_secrets(struct start_context *c)
{
	const struct record_mount *m = record_items(c->record, c->record->mounts);
	const char *object;

	for (uint32_t i = 0; i < c->record->mounts.count; i++) {
		if (!mounts_is_secrets(c->record, &m[i]))
			continue;
		c->mount_fd[i] = mounts_secrets(c, &m[i], &object);
		if (c->mount_fd[i] < 0)
			return start_fail(c, "secret", object, -c->mount_fd[i]);
	}
	return 0;
}

static int prepare_dev(struct start_context *c)
{
	struct mounts_why why;
	const char *object = "owner of files";
	int r = c->has_userns ? userns_own_files(c->record) : 0;

	why.text[0] = '\0';
	c->dev_fd = r < 0 ? r : mounts_dev(c, &object, &why);
	return c->dev_fd < 0 ? start_fail(c, "device", why.text[0] ? why.text : object, -c->dev_fd) : 0;
}

int mounts_prepare(struct start_context *c)
{
	int r = prepare_root(c);

	if (r == 0)
		r = prepare_mounts(c);
	if (r == 0)
		r = prepare_dev(c);
	return r == 0 ? prepare_secrets(c) : r;
}
