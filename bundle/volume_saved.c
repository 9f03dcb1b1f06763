/* SPDX-License-Identifier: MIT */
/* What is on the disk decides, with state/slots; nothing is remembered between runs. No program of the unit runs meanwhile: PID 1 sees to that. */
#include "volume_saved.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "file.h"
#include "release.h"
#include "tree_copy.h"

#define BEFORE "volumes/.before"
enum { NAME_ROOM = 256, ROOM_SPARE = 1 << 20 };

static int open_dir(int at, const char *name)
{
	return file_open_beneath(at, name, O_RDONLY | O_DIRECTORY, 0);
}

/* Into trash/, where gc deletes it. */
static int discard(struct store *s, int before, const char *name)
{
	char to[NAME_ROOM + 32];

	snprintf(to, sizeof(to), "trash/%d.%s", (int)getpid(), name);
	return renameat(before, name, store_fd(s), to) < 0 && errno != ENOENT ? -errno : 0;
}

/* What the failed one left of a volume goes aside before the copy comes to its place: whatever is cut, the copy is in one of the two. */
static int put_back(int saved, int volumes, const char *name)
{
	char aside[NAME_ROOM + 8];

	snprintf(aside, sizeof(aside), ".was.%s", name);
	if (renameat(volumes, name, saved, aside) < 0 && errno != ENOENT)
		return -errno;
	return renameat(saved, name, volumes, name) < 0 ? -errno : 0;
}

static int put_back_all(struct store *s, int before, const char *saved_name)
{
	int volumes = open_dir(store_fd(s), "volumes"), saved = open_dir(before, saved_name), r = saved < 0 ? saved : volumes < 0 ? volumes : 0;
	DIR *list = r == 0 ? fdopendir(saved) : NULL;
	struct dirent *entry;

	while (list && r == 0 && (entry = readdir(list)))
		if (entry->d_name[0] != '.')
			r = put_back(saved, volumes, entry->d_name);
	if (r == 0 && syncfs(store_fd(s)) < 0)
		r = -errno;
	if (list)
		closedir(list);
	else if (saved >= 0)
		close(saved);
	if (volumes >= 0)
		close(volumes);
	return r < 0 ? r : discard(s, before, saved_name);
}

static bool is_key(const char *digest, const char *key)
{
	return digest[0] && strncmp(digest + sizeof("sha256:") - 1, key, VOLUME_KEY_LEN) == 0;
}

/* Length of the unit's name in UNIT.KEY, 0: it is something else. */
static size_t name_len(const char *saved)
{
	size_t len = strlen(saved);

	return saved[0] != '.' && len > VOLUME_KEY_LEN + 1 && saved[len - VOLUME_KEY_LEN - 1] == '.' ? len - VOLUME_KEY_LEN - 1 : 0;
}

struct settle {
	struct store *s;
	const struct slot *own, *release;
	const char *unit, *key;
	bool is_trial;
};

static int settle_one(const struct settle *t, int before, const char *saved)
{
	size_t len = name_len(saved);
	const char *key = saved + len + 1;

	if (!len || strlen(t->unit) != len || strncmp(saved, t->unit, len) != 0)
		return 0;
	if (strcmp(key, t->key) == 0)
		return t->is_trial ? 0 : discard(t->s, before, saved);
	if ((t->own && is_key(t->own->current, key)) || (t->release && is_key(t->release->current, key)))
		return discard(t->s, before, saved);
	return put_back_all(t->s, before, saved);
}

/* Calls settle_one, or discard where T has no unit but a key (of a release), for each copy. */
static int each(const struct settle *t, int before)
{
	int fd = open_dir(before, "."), r = 0;
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (list && r == 0 && (entry = readdir(list))) {
		size_t len = name_len(entry->d_name);

		if (t->unit)
			r = settle_one(t, before, entry->d_name);
		else if (len && is_key(t->key, entry->d_name + len + 1))
			r = discard(t->s, before, entry->d_name);
	}
	if (list)
		closedir(list);
	return r;
}

static int copy_volume(struct store *s, int to_dir, const char *name, struct err *e)
{
	char path[NAME_ROOM + 16];
	int from, to = -1, r;

	snprintf(path, sizeof(path), "volumes/%s", name);
	from = open_dir(store_fd(s), path);
	if (from == -ENOENT)
		return 0;
	r = from < 0 ? from : mkdirat(to_dir, name, 0700) < 0 ? -errno : 0;
	if (r == 0)
		r = to = open_dir(to_dir, name);
	r = r < 0 ? err_sys(e, -r, "%s", name) : tree_copy(from, to, e);
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	return r;
}

/* The name of volume I into NAME; false: it is none that is copied. */
static bool is_copied(const struct unit_file *u, uint32_t i, char name[NAME_ROOM])
{
	size_t len = strcspn(u->volumes.at[i], ":");

	return u->volumes.at[i][0] != '/' && unit_file_copies(u, u->volumes.at[i], len) && span_copy(span_of(u->volumes.at[i], len), name, NAME_ROOM);
}

static int take(struct store *s, int before, const struct unit_file *u, const char *saved, struct err *e)
{
	char aside[NAME_ROOM], name[NAME_ROOM];
	int dir = -1, r;

	snprintf(aside, sizeof(aside), ".%s", u->name);
	r = file_remove_tree(before, aside, e);
	if (r == 0 && mkdirat(before, aside, 0700) < 0)
		r = -errno;
	if (r == 0)
		r = dir = open_dir(before, aside);
	for (uint32_t i = 0; r >= 0 && i < u->volumes.count; i++)
		if (is_copied(u, i, name))
			r = copy_volume(s, dir, name, e);
	if (r >= 0)
		r = syncfs(dir) < 0 || renameat(before, aside, before, saved) < 0 || fsync(before) < 0 ? -errno : 0;
	if (dir >= 0)
		close(dir);
	if (r < 0)
		file_remove_tree(before, aside, NULL);
	return r < 0 ? err_sys(e, -r, "%s", saved) : 0;
}

int volume_saved_settle(struct store *s, const struct slots *slots, const struct unit_file *unit, const char *key, bool is_of_release, struct err *e)
{
	struct settle t = { .s = s, .unit = unit->name, .key = key };
	const struct slot *tried;
	char saved[NAME_ROOM], done[NAME_ROOM + 8];
	int before, r = 0;

	t.own = slots_find((struct slots *)slots, unit->name);
	t.release = slots_find((struct slots *)slots, RELEASE_NAME);
	tried = is_of_release ? t.release : t.own;
	t.is_trial = tried && tried->tries && is_key(tried->next, key) && unit->switch_ms;
	if (t.is_trial)
		r = file_make_dirs(store_fd(s), BEFORE, 0700, e);
	before = open_dir(store_fd(s), BEFORE);
	if (before == -ENOENT && r == 0)
		return 0;
	r = r < 0 ? r : before < 0 ? before : each(&t, before);
	snprintf(saved, sizeof(saved), "%s.%s", unit->name, key);
	if (r == 0 && t.is_trial && faccessat(before, saved, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		r = take(s, before, unit, saved, e);
	snprintf(done, sizeof(done), "%s/.done", saved);
	if (r == 0)
		r = t.is_trial && unit->pre_switch.count && faccessat(before, done, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
	if (before >= 0)
		close(before);
	return r < 0 ? err_prefix(e, err_sys(e, -r, BEFORE), "the volumes of %s", unit->name) : r;
}

int volume_saved_done(struct store *s, const struct unit_file *unit, const char *key, struct err *e)
{
	char path[NAME_ROOM];

	snprintf(path, sizeof(path), BEFORE "/%s.%s/.done", unit->name, key);
	return file_replace(store_fd(s), path, span_str(""), 0600, e);
}

void volume_saved_drop(struct store *s, const char *name, const char *digest)
{
	struct settle t = { .s = s, .key = digest };
	int before = open_dir(store_fd(s), BEFORE);
	char saved[NAME_ROOM];

	if (before < 0)
		return;
	snprintf(saved, sizeof(saved), "%s.%.32s", name, digest + sizeof("sha256:") - 1);
	if (release_is(name))
		each(&t, before);
	else
		discard(s, before, saved);
	close(before);
}

/* Does the file system share what two files have in common? */
static bool is_sharing(struct store *s)
{
	int dir = open_dir(store_fd(s), "volumes"), a = -1, b = -1;
	bool is_it = false;

	if (dir >= 0) {
		a = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		b = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		is_it = a >= 0 && b >= 0 && write(a, "x", 1) == 1 && ioctl(b, FICLONE, a) == 0;
		close(dir);
	}
	if (a >= 0)
		close(a);
	if (b >= 0)
		close(b);
	return is_it;
}

int volume_saved_room(struct store *s, const struct unit_file *unit, uint64_t *need, struct err *e)
{
	char name[NAME_ROOM], path[NAME_ROOM + 16];
	struct statvfs fs;
	uint64_t bytes = 0, room;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < unit->volumes.count; i++) {
		int dir;

		if (!is_copied(unit, i, name))
			continue;
		snprintf(path, sizeof(path), "volumes/%s", name);
		dir = open_dir(store_fd(s), path);
		if (dir >= 0) {
			r = tree_size(dir, &bytes, e);
			close(dir);
			*need += bytes;
		}
	}
	if (r < 0 || !bytes || fstatvfs(store_fd(s), &fs) < 0)
		return r;
	room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (*need + ROOM_SPARE <= room || is_sharing(s))
		return 0;
	return err_set(e, -ENOSPC, "unit %s: a copy of its volumes (VolumeOnUpdate=) takes %" PRIu64 " KiB, and %" PRIu64 " KiB are free: make room, or "
		"say VolumeOnUpdate=keep", unit->name, *need >> 10, room >> 10);
}
