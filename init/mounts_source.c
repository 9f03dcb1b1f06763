/* SPDX-License-Identifier: MIT */
/*
 * Stage 1's mounts: all that has to be made in the initial user namespace, as
 * detached mounts that nobody can reach yet. Sources are the operator's host
 * paths and are followed as the host resolves them; targets belong to the
 * image and are not touched here.
 */
#include <string.h>

#include "mounts.h"
#include "mounts_sys.h"

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

bool mounts_is_inner(const struct record_mount *m, const struct record_head *r)
{
	if (m->bind)
		return false;
	for (size_t i = 0; i < sizeof(inner_types) / sizeof(inner_types[0]); i++)
		if (strcmp(record_text(r, m->fstype), inner_types[i]) == 0)
			return true;
	return false;
}

static int prepare_bind(struct start_context *c, const struct record_mount *m, uint32_t i)
{
	const char *source = record_text(c->record, m->source);
	int fd = mounts_bind(source, m->bind == 2, m->attr_set, m->attr_clear, m->propagation);

	if (fd == -ENOENT && m->optional) {
		c->is_skipped[i] = 1;
		return 0;
	}
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

int mounts_prepare(struct start_context *c)
{
	struct mounts_why why;
	const char *object;
	int r = prepare_mounts(c);

	if (r < 0)
		return r;
	c->dev_fd = mounts_dev(c->record, &object, &why);
	if (c->dev_fd < 0)
		return start_fail(c, "device", why.text[0] ? why.text : object, -c->dev_fd);
	/* Last: it changes the working directory. */
	c->root_fd = mounts_root(c->record, &object, &why);
	if (c->root_fd < 0)
		return start_fail(c, "rootfs", object, -c->root_fd);
	return 0;
}
