/* SPDX-License-Identifier: MIT */
/*
 * One layer onto disk, inside the unpack jail: inflate, hash, tar headers through
 * the guard, libarchive as reader, every entry written beneath the staging
 * directory by our own calls (image-spec layer.md). Input is hostile to the last byte. Never touches the network.
 */
#include "unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "config.h"
#include "file.h"
#include "inflate.h"
#include "sha256.h"
#include "tar_guard.h"
#include "view.h"

enum { CHUNK = 256 * 1024, LOWER_MAX = CONFIG_LAYERS_MAX };

struct mark { struct mark *next; char kind; char path[]; };
struct dir_time { struct dir_time *next; struct timespec mtime; char path[]; };

struct unpack {
	struct view view;
	struct inflate *in;
	struct sha256 hash;
	struct tar_guard guard;
	struct err err;
	int code;		/* first failure inside the read callback */
	uint64_t entries, bytes;
	uint32_t mark_count;
	struct mark *marks;
	struct dir_time *dirs;
	uint8_t buf[CHUNK];
};

static la_ssize_t read_some(struct archive *a, void *data, const void **out)
{
	struct unpack *u = data;
	long n = inflate_read(u->in, u->buf, sizeof(u->buf), &u->err);
	int r;

	if (n > 0) {
		sha256_add(&u->hash, u->buf, (size_t)n);
		r = tar_guard_feed(&u->guard, u->buf, (size_t)n, &u->err);
		n = r < 0 ? r : n;
	}
	if (n < 0) {
		u->code = (int)n;
		archive_set_error(a, EIO, "%s", u->err.text);
		return -1;
	}
	*out = u->buf;
	return (la_ssize_t)n;
}

static int add_mark(struct unpack *u, char kind, const char *dir, const char *name)
{
	size_t size = strlen(dir) + strlen(name) + 2;
	struct mark *m;

	if (u->mark_count >= UNPACK_MARKS_MAX)
		return err_set(&u->err, -EFBIG, "more than %d whiteouts", UNPACK_MARKS_MAX);
	m = malloc(sizeof(*m) + size);
	if (!m)
		return -ENOMEM;
	m->kind = kind;
	snprintf(m->path, size, "%s%s%s", dir, dir[0] && name[0] ? "/" : "", name);
	m->next = u->marks;
	u->marks = m;
	u->mark_count++;
	return 0;
}

static int keep_dir_time(struct unpack *u, const char *path, time_t sec, long nsec)
{
	struct dir_time *d = malloc(sizeof(*d) + strlen(path) + 1);

	if (!d)
		return -ENOMEM;
	d->mtime = (struct timespec){ sec, nsec };
	memcpy(d->path, path, strlen(path) + 1);
	d->next = u->dirs;
	u->dirs = d;
	return 0;
}

static bool is_overlay_name(const char *name)
{
	return strncmp(name, "trusted.overlay.", 16) == 0 || strncmp(name, "user.overlay.", 13) == 0;
}

/* Owner, then mode (chown clears setuid), then xattrs; FD may be O_PATH for what cannot be opened. */
static int set_attrs(struct unpack *u, struct archive_entry *entry, int dir, const char *name, mode_t type)
{
	const char *xname;
	const void *value;
	size_t size;
	char by_fd[64];
	int fd, r = 0;

	fd = openat(dir, name[0] ? name : ".", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	snprintf(by_fd, sizeof(by_fd), "%s", name[0] ? name : ".");
	if (fchownat(dir, by_fd, (uid_t)archive_entry_uid(entry), (gid_t)archive_entry_gid(entry), AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	/* A link just made by us is the only thing that lies here, so no fchmodat can follow one of somebody else's. */
	if (r == 0 && type != S_IFLNK && fchmodat(dir, by_fd, archive_entry_perm(entry) & 07777, 0) < 0)
		r = -errno;
	close(fd);
	archive_entry_xattr_reset(entry);
	while (r == 0 && archive_entry_xattr_next(entry, &xname, &value, &size) == ARCHIVE_OK) {
		if (is_overlay_name(xname))
			return err_set(&u->err, -ENOTSUP, "carries overlay's own attribute %s: refused", xname);
		if (size > CONFIG_XATTR_MAX)
			return err_set(&u->err, -EFBIG, "attribute of %zu bytes, at most %d", size, CONFIG_XATTR_MAX);
		if (type == S_IFLNK || fchdir(dir) < 0)
			continue;	/* no namespace that images use allows attributes on links */
		if (lsetxattr(by_fd, xname, value, size, 0) < 0 && errno != ENOTSUP)
			r = -errno;
	}
	return r;
}

static int set_time(int dir, const char *name, struct archive_entry *entry)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { archive_entry_mtime(entry), archive_entry_mtime_nsec(entry) } };

	return utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int write_content(struct unpack *u, struct archive *a, int fd)
{
	const void *at;
	size_t len;
	la_int64_t off;
	uint64_t end = 0;

	for (;;) {
		int r = archive_read_data_block(a, &at, &len, &off);

		if (r == ARCHIVE_EOF)
			return 0;
		if (r != ARCHIVE_OK)
			return u->code ? u->code : err_set(&u->err, -EBADMSG, "%s", archive_error_string(a));
		u->bytes += len;
		if ((uint64_t)off != end)
			return err_set(&u->err, -ENOTSUP, "sparse file: refused");
		end += len;
		if (u->bytes > (uint64_t)CONFIG_UNPACKED_MAX_MIB << 20)
			return err_set(&u->err, -EFBIG, "more than %d MiB unpacked", CONFIG_UNPACKED_MAX_MIB);
		r = file_write_all(fd, at, len);
		if (r < 0)
			return err_sys(&u->err, -r, "writing its content");
	}
}

static int make_file(struct unpack *u, struct archive *a, struct place *p)
{
	int fd = openat(p->dir_fd, p->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = write_content(u, a, fd);
	close(fd);
	return r;
}

/* A hard link to a lower layer becomes a copy: layers share no inode. */
static int copy_from_lower(struct unpack *u, int layer, const char *path, const struct stat *st, struct place *p)
{
	int from, to = -1, r = 0;
	ssize_t n;

	if (S_ISLNK(st->st_mode)) {
		char target[UNPACK_PATH_MAX];

		n = readlinkat(u->view.lower[layer], path, target, sizeof(target) - 1);
		if (n < 0)
			return -errno;
		target[n] = '\0';
		return symlinkat(target, p->dir_fd, p->name) < 0 ? -errno : 0;
	}
	if (!S_ISREG(st->st_mode))
		return err_set(&u->err, -ENOTSUP, "hard link to a special file of a lower layer: refused");
	from = file_open_beneath(u->view.lower[layer], path, O_RDONLY | O_NONBLOCK, 0);
	if (from < 0)
		return from;
	to = openat(p->dir_fd, p->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		r = -errno;
	/* The archive's own buffer is in use between headers: a small one of ours. */
	while (r == 0) {
		uint8_t block[16384];

		n = read(from, block, sizeof(block));
		if (n <= 0) {
			r = n < 0 ? -errno : 0;
			break;
		}
		r = file_write_all(to, block, (size_t)n);
	}
	if (r == 0)
		r = view_copy_attrs(from, to, st);
	if (to >= 0)
		close(to);
	close(from);
	return r;
}

static int make_hardlink(struct unpack *u, const char *target, struct place *p)
{
	struct place t;
	struct stat st;
	char path[UNPACK_PATH_MAX + 260];
	bool is_root;
	int layer, r;

	r = view_place(&u->view, target, &t, &is_root, &u->err);
	if (r == 0 && is_root)
		r = err_set(&u->err, -EINVAL, "hard link to the root");
	if (r == 0 && fstatat(t.dir_fd, t.name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		r = linkat(t.dir_fd, t.name, p->dir_fd, p->name, 0) < 0 ? -errno : 0;
	} else if (r == 0) {
		snprintf(path, sizeof(path), "%s%s%s", t.dir, t.dir[0] ? "/" : "", t.name);
		layer = view_lower_find(&u->view, path, &st);
		r = layer < 0 ? err_set(&u->err, -EBADMSG, "hard link to something that is not there") :
			copy_from_lower(u, layer, path, &st, p);
	}
	view_place_close(&t);
	return r;
}

/* What of this layer lies in the way goes, so that nothing is ever written through an old link. */
static int clear_way(struct unpack *u, struct place *p, bool for_dir, bool *is_there)
{
	struct stat st;

	*is_there = false;
	if (fstatat(p->dir_fd, p->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (for_dir && S_ISDIR(st.st_mode)) {
		*is_there = true;
		return 0;
	}
	return file_remove_tree(p->dir_fd, p->name, &u->err);
}

static int whiteout(struct unpack *u, struct place *p)
{
	const char *name = p->name + 4;

	if (strcmp(p->name, ".wh..wh..opq") == 0)
		return add_mark(u, 'o', p->dir, "");
	if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return err_set(&u->err, -EBADMSG, "whiteout of nothing");
	return add_mark(u, 'w', p->dir, name);
}

static int make_entry(struct unpack *u, struct archive *a, struct archive_entry *entry, struct place *p, bool *has_attrs)
{
	const char *link = archive_entry_hardlink(entry);
	mode_t type = archive_entry_filetype(entry);
	bool is_there;
	int r = clear_way(u, p, !link && type == S_IFDIR, &is_there);

	*has_attrs = !link;
	if (r < 0)
		return r;
	if (link)
		return make_hardlink(u, link, p);
	switch (type) {
	case S_IFREG:
		return make_file(u, a, p);
	case S_IFDIR:
		return is_there || mkdirat(p->dir_fd, p->name, 0700) == 0 ? 0 : -errno;
	case S_IFLNK:
		return symlinkat(archive_entry_symlink(entry), p->dir_fd, p->name) < 0 ? -errno : 0;
	case S_IFIFO:
		return mknodat(p->dir_fd, p->name, S_IFIFO | 0600, 0) < 0 ? -errno : 0;
	case S_IFCHR:
	case S_IFBLK:
		return err_set(&u->err, -ENOTSUP, "device node: refused; the unit's AddDevice= brings devices");
	default:
		*has_attrs = false;	/* sockets mean nothing on disk */
		return 0;
	}
}

static int root_entry(struct unpack *u, struct archive_entry *entry, struct place *p)
{
	int r;

	if (archive_entry_hardlink(entry) || archive_entry_filetype(entry) != S_IFDIR)
		return err_set(&u->err, -EBADMSG, "the root itself is not a directory in this layer");
	r = set_attrs(u, entry, p->dir_fd, "", S_IFDIR);
	return r < 0 ? r : keep_dir_time(u, "", archive_entry_mtime(entry), archive_entry_mtime_nsec(entry));
}

static int one_entry(struct unpack *u, struct archive *a, struct archive_entry *entry, const char *path)
{
	char full[UNPACK_PATH_MAX + 260];
	bool is_root, has_attrs;
	mode_t type = archive_entry_filetype(entry);
	struct place p;
	int r = view_place(&u->view, path, &p, &is_root, &u->err);

	if (r < 0)
		return r;
	if (is_root) {
		r = root_entry(u, entry, &p);
		goto out;
	}
	if (strncmp(p.name, ".wh.", 4) == 0) {
		r = whiteout(u, &p);
		goto out;
	}
	r = make_entry(u, a, entry, &p, &has_attrs);
	if (r == 0 && has_attrs) {
		r = set_attrs(u, entry, p.dir_fd, p.name, type);
		snprintf(full, sizeof(full), "%s%s%s", p.dir, p.dir[0] ? "/" : "", p.name);
		if (r == 0)
			r = type == S_IFDIR ? keep_dir_time(u, full, archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)) :
				set_time(p.dir_fd, p.name, entry);
	}
out:
	view_place_close(&p);
	return r;
}

static int all_entries(struct unpack *u, struct archive *a)
{
	struct archive_entry *entry;

	for (;;) {
		const char *path;
		char shown[200];
		int r = archive_read_next_header(a, &entry);

		if (r == ARCHIVE_EOF)
			return 0;
		if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
			return u->code ? u->code : err_set(&u->err, -EBADMSG, "entry %llu: %s",
				(unsigned long long)u->entries, archive_error_string(a));
		u->entries++;
		path = archive_entry_pathname(entry);
		if (!path || !path[0])
			return err_set(&u->err, -EBADMSG, "entry %llu has no name", (unsigned long long)u->entries);
		r = one_entry(u, a, entry, path);
		if (r < 0) {
			span_escape(span_str(path), shown, sizeof(shown));
			if (!u->err.text[0])
				err_sys(&u->err, -r, "cannot be written");
			return err_prefix(&u->err, r, "entry \"%s\"", shown);
		}
	}
}

/* Opaque: each directory time last, as its children changed it; newest entry of a path is first in the list and wins last. */
static void restore_dir_times(struct unpack *u)
{
	struct dir_time *reversed = NULL;

	while (u->dirs) {
		struct dir_time *d = u->dirs;

		u->dirs = d->next;
		d->next = reversed;
		reversed = d;
	}
	for (struct dir_time *d = reversed; d; d = d->next) {
		struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, d->mtime };
		int fd = file_open_beneath(u->view.stage, d->path[0] ? d->path : ".", O_RDONLY | O_DIRECTORY, 0);

		if (fd >= 0) {
			futimens(fd, times);
			close(fd);
		}
	}
}

/* A whiteout of what no lower layer has is dropped; one beside a directory of this layer means opaque. */
static void settle_marks(struct unpack *u)
{
	struct mark **at = &u->marks;

	while (*at) {
		struct mark *m = *at;
		struct stat st;
		bool is_needed = true;

		if (m->kind == 'w') {
			bool has_lower = view_lower_find(&u->view, m->path, &st) >= 0;
			bool has_own = fstatat(u->view.stage, m->path, &st, AT_SYMLINK_NOFOLLOW) == 0;

			is_needed = has_lower && (!has_own || S_ISDIR(st.st_mode));
			if (has_own)
				m->kind = 'o';
		}
		if (is_needed) {
			at = &m->next;
			continue;
		}
		*at = m->next;
		free(m);
		u->mark_count--;
	}
}

static int drain(struct unpack *u)
{
	long n;

	while ((n = inflate_read(u->in, u->buf, sizeof(u->buf), &u->err)) > 0)
		sha256_add(&u->hash, u->buf, (size_t)n);
	return (int)n;
}

static int report(struct unpack *u, int code)
{
	struct unpack_result r = { .magic = UNPACK_MAGIC, .code = code, .entries = u->entries, .bytes = u->bytes };
	int w;

	r.diff_id = sha256_end(&u->hash);
	r.mark_count = code ? 0 : u->mark_count;
	snprintf(r.text, sizeof(r.text), "%s", u->err.text);
	w = file_write_all(1, &r, sizeof(r));
	for (struct mark *m = u->marks; w == 0 && code == 0 && m; m = m->next) {
		uint16_t len = (uint16_t)strlen(m->path);

		w = file_write_all(1, &len, sizeof(len));
		if (w == 0)
			w = file_write_all(1, &m->kind, 1);
		if (w == 0)
			w = file_write_all(1, m->path, len);
	}
	return code || w ? 1 : 0;
}

int cmd_unpack(int argc, char **argv)
{
	static int lower[LOWER_MAX];
	struct unpack *u = calloc(1, sizeof(*u));
	struct archive *a = NULL;
	int lower_len = argc > 2 ? atoi(argv[2]) : -1, r;
	enum layer_compression kind = argc > 1 && strcmp(argv[1], "gzip") == 0 ? LAYER_GZIP :
		argc > 1 && strcmp(argv[1], "zstd") == 0 ? LAYER_ZSTD : LAYER_TAR;

	if (!u || lower_len < 0 || lower_len > LOWER_MAX)
		return 2;
	umask(0);
	for (int i = 0; i < lower_len; i++)
		lower[i] = UNPACK_LOWER_FD + i;
	u->view = (struct view){ UNPACK_STAGE_FD, lower, lower_len };
	sha256_begin(&u->hash);
	u->in = inflate_new(0, kind);
	a = archive_read_new();
	if (!u->in || !a || archive_read_support_format_tar(a) != ARCHIVE_OK) {
		r = err_set(&u->err, -ENOMEM, "out of memory");
	} else if (archive_read_open(a, u, NULL, read_some, NULL) != ARCHIVE_OK) {
		r = u->code ? u->code : err_set(&u->err, -EBADMSG, "not a tar archive: %s", archive_error_string(a));
	} else {
		r = all_entries(u, a);
	}
	if (r == 0)
		r = drain(u);
	if (r == 0) {
		settle_marks(u);
		restore_dir_times(u);
	}
	return report(u, r);
}
