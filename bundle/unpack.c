/* SPDX-License-Identifier: MIT */
/*
 * One layer onto disk, inside the unpack jail: tar headers through the guard,
 * libarchive as reader, every entry written beneath the staging
 * directory by our own calls (image-spec layer.md). Input is hostile to the last byte. Never touches the network.
 */
#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "file.h"
#include "unpack_inner.h"

enum { LOWER_MAX = CONFIG_LAYERS_MAX };

/* Some tools (umoci insert) end an archive right behind the last content byte. What is missing then is padding alone, and is supplied
 * to libarchive but not to the hash; a cut inside content stays an error. */
static void supply_padding(struct unpack *u)
{
	uint64_t padding = (512 - u->guard.size % 512) % 512;

	if (u->guard.skip == 0 || u->guard.skip > padding)
		return;
	memset(u->buf, 0, (size_t)u->guard.skip);
	u->buf_len = (size_t)u->guard.skip;
}

/* Fills the chunk behind what is left of it: the guard wants whole blocks. 0, with nothing new at the end, or a negative code. */
static int fill(struct unpack *u)
{
	size_t left = u->buf_len - u->buf_at;

	memmove(u->buf, u->buf + u->buf_at, left);
	u->buf_at = 0;
	u->buf_len = left;
	while (u->buf_len < sizeof(u->buf)) {
		ssize_t n = read(STDIN_FILENO, u->buf + u->buf_len, sizeof(u->buf) - u->buf_len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(&u->err, errno, "reading uncompressed bytes");
		if (n == 0) {
			u->is_input_end = true;
			break;
		}
		u->buf_len += (size_t)n;
		u->stream += (uint64_t)n;
		if (u->stream > (uint64_t)CONFIG_UNPACKED_MAX_MIB << 20)
			return err_set(&u->err, -EFBIG, "more than %d MiB uncompressed", CONFIG_UNPACKED_MAX_MIB);
	}
	if (u->buf_len == 0)
		supply_padding(u);
	return 0;
}

/* libarchive gets the stream in pieces that end behind an entry's header, so that the guard's last word is about the entry in hand. */
static la_ssize_t read_some(struct archive *a, void *data, const void **out)
{
	struct unpack *u = data;
	size_t used = 0;
	int r = 0;

	do {
		if (u->buf_at == u->buf_len || u->buf_len - u->buf_at < tar_guard_wants(&u->guard))
			r = fill(u);
		*out = u->buf + u->buf_at;
		if (r == 0)
			r = tar_guard_feed(&u->guard, u->buf + u->buf_at, u->buf_len - u->buf_at, &used, &u->err);
		if (r < 0) {
			u->code = r;
			archive_set_error(a, EIO, "%s", u->err.text);
			return -1;
		}
		u->buf_at += used;
	} while (used && u->guard.is_withheld);
	return (la_ssize_t)used;
}

/* The pax header's own bytes, else libarchive's reading of the plain header. NULL: none, or too long. */
static const char *raw_name(struct span pax, const char *plain, char out[UNPACK_PATH_MAX])
{
	if (!pax.at)
		return plain && strlen(plain) < UNPACK_PATH_MAX ? plain : NULL;
	return span_copy(pax, out, UNPACK_PATH_MAX) ? out : NULL;
}

static int next_entry(struct unpack *u, struct archive *a, struct archive_entry *entry)
{
	static char path_room[UNPACK_PATH_MAX], link_room[UNPACK_PATH_MAX];
	const char *link = u->guard.type == '1' ? archive_entry_hardlink(entry) : archive_entry_symlink(entry);
	const char *path = raw_name(u->guard.pax.path, archive_entry_pathname(entry), path_room);
	char shown[200];
	int r;

	u->entries++;
	if (!path || !path[0])
		return err_set(&u->err, -EBADMSG, "entry %llu: its name is empty or longer than %d bytes",
			(unsigned long long)u->entries, UNPACK_PATH_MAX - 1);
	if (u->guard.type == '1' || u->guard.type == '2')
		link = raw_name(u->guard.pax.linkpath, link, link_room);
	r = unpack_entry(u, a, entry, path, link);
	if (r == 0)
		return 0;
	span_escape(span_str(path), shown, sizeof(shown));
	err_sys(&u->err, -r, "cannot be written");
	return err_prefix(&u->err, r, "entry %llu \"%s\"", (unsigned long long)u->entries, shown);
}

static int all_entries(struct unpack *u, struct archive *a)
{
	struct archive_entry *entry;
	int r;

	for (;;) {
		r = archive_read_next_header(a, &entry);
		if (r == ARCHIVE_EOF)
			return 0;
		/* A warning is taken only for names that are no ASCII, and for those the guard has the bytes. */
		if (r != ARCHIVE_OK && !(r == ARCHIVE_WARN && u->guard.pax.is_odd))
			return u->code ? u->code : err_set(&u->err, -EBADMSG, "entry %llu: %s", (unsigned long long)u->entries + 1,
				archive_error_string(a));
		if (u->guard.entries != u->entries + 1)
			return err_set(&u->err, -EBADMSG, "entry %llu: the archive can be read in two ways: refused",
				(unsigned long long)u->entries + 1);
		r = next_entry(u, a, entry);
		if (r < 0)
			return r;
	}
}

/* What stands behind the end of the archive counts for diff_id alone: the decompressor is to come to its end. */
static int drain(struct unpack *u)
{
	int r;

	do {
		u->buf_at = u->buf_len;
		r = fill(u);
	} while (r == 0 && u->buf_len);
	return r;
}

static int read_archive(struct unpack *u)
{
	struct archive *a = archive_read_new();
	int r;

	if (!a || archive_read_support_format_tar(a) != ARCHIVE_OK)
		r = err_sys(&u->err, ENOMEM, "tar reader");
	else if (archive_read_open(a, u, NULL, read_some, NULL) != ARCHIVE_OK)
		r = u->code ? u->code : err_set(&u->err, -EBADMSG, "no tar archive: %s", archive_error_string(a));
	else
		r = all_entries(u, a);
	archive_read_free(a);
	if (r < 0)
		return r;
	r = unpack_dir_leave(u);
	return r < 0 ? err_sys(&u->err, -r, "time of a directory") : drain(u);
}

/* The root is what the layers below say, until this layer has an entry for it; without layers below its time is the epoch. */
static int begin_root(struct unpack *u)
{
	struct timespec epoch[2] = { { 0, 0 }, { 0, 0 } };
	int to = file_open_beneath(u->view.stage, ".", O_RDONLY | O_DIRECTORY, 0), from = -1, r = to < 0 ? to : 0;
	struct stat st;

	if (r == 0 && !u->view.lower_len) {
		r = futimens(to, epoch) < 0 ? -errno : 0;
	} else if (r == 0) {
		from = file_open_beneath(u->view.lower[0], ".", O_RDONLY | O_DIRECTORY, 0);
		r = from < 0 ? from : fstat(from, &st) < 0 ? -errno : view_copy_attrs(from, to, &st);
	}
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	return r < 0 ? err_sys(&u->err, -r, "the root of the layer") : 0;
}

static int report(struct unpack *u, int code)
{
	struct unpack_result r = { .magic = UNPACK_MAGIC, .code = code, .entries = u->entries, .bytes = u->bytes, .is_input_end = u->is_input_end };

	snprintf(r.text, sizeof(r.text), "%s", u->err.text);
	return file_write_all(STDOUT_FILENO, &r, sizeof(r)) < 0 || code;
}

int cmd_unpack(int argc, char **argv)
{
	static int lower[LOWER_MAX];
	static struct unpack room;
	struct unpack *u = &room;
	int lower_len = argc == 2 ? atoi(argv[1]) : -1, r;

	if (lower_len < 0 || lower_len > LOWER_MAX)
		return 2;
	umask(0);
	signal(SIGXFSZ, SIG_IGN);	/* so that the limit is an error with a name */
	for (int i = 0; i < lower_len; i++)
		lower[i] = UNPACK_LOWER_FD + i;
	u->view = (struct view){ UNPACK_STAGE_FD, lower, lower_len, &u->marks };
	u->marks.fd = UNPACK_MARKS_FD;
	u->dir.fd = -1;
	r = begin_root(u);
	if (r == 0)
		r = read_archive(u);
	if (r == 0)
		r = unpack_settle(u);
	if (r == 0)
		r = unpack_digest_flush(u);
	return report(u, r);
}
