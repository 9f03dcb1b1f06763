/* SPDX-License-Identifier: MIT */
/* User namespaces: maps from the record (checked when it was compiled; the kernel checks them again), processes of the starter. */
#include "userns.h"

#include <errno.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "userns_fd.h"

enum { MAP_SIZE = 4096 };

static void map_text(const struct record_head *r, struct record_list map, char out[MAP_SIZE])
{
	const struct record_idmap *m = record_items(r, map);
	size_t at = 0;

	/* What does not fit is missing at the end, and no id of it is ever given to anybody. */
	out[0] = '\0';
	for (uint32_t i = 0; i < map.count && at < MAP_SIZE - 36; i++)
		at += (size_t)snprintf(out + at, MAP_SIZE - at, "%u %u %u\n", m[i].inside, m[i].outside, m[i].count);
}

int userns_map(const struct record_head *r, int pid)
{
	char text[MAP_SIZE];
	int e;

	map_text(r, r->uid_map, text);
	e = userns_fd_map(pid, "uid_map", text);
	map_text(r, r->gid_map, text);
	return e < 0 ? e : userns_fd_map(pid, "gid_map", text);
}

int userns_open(const struct record_head *r)
{
	char uid[MAP_SIZE], gid[MAP_SIZE];

	map_text(r, r->uid_map, uid);
	map_text(r, r->gid_map, gid);
	return userns_fd_new(uid, gid);
}

uint32_t userns_outside(const struct record_head *r, struct record_list map, uint32_t inside)
{
	const struct record_idmap *m = record_items(r, map);

	for (uint32_t i = 0; i < map.count; i++)
		if (inside >= m[i].inside && inside - m[i].inside < m[i].count)
			return m[i].outside + (inside - m[i].inside);
	return map.count ? UINT32_MAX : inside;
}

static uint32_t root_of(const struct record_head *r, struct record_list map)
{
	const struct record_idmap *m = record_items(r, map);

	return map.count == 0 || userns_outside(r, map, 0) != UINT32_MAX ? 0 : m[0].inside;
}

int userns_become_root(const struct record_head *r)
{
	uint32_t uid = root_of(r, r->uid_map), gid = root_of(r, r->gid_map);

	if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	return 0;
}

int userns_own_files(const struct record_head *r)
{
	/* Else a user other than root loses the power to make nodes. A process with a user namespace of its own begins without such bits. */
	if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) < 0)
		return -errno;
	setfsgid(userns_outside(r, r->gid_map, root_of(r, r->gid_map)));
	setfsuid(userns_outside(r, r->uid_map, root_of(r, r->uid_map)));
	return 0;
}
