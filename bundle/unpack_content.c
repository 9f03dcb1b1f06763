/* SPDX-License-Identifier: MIT */
/* The content of one file onto disk, holes of a sparse one as holes, its digest on the way. Lengths and maps are hostile. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "file.h"
#include "unpack_inner.h"

/* Where the bytes of a sparse file go. */
struct spread {
	struct tar_sparse *map;
	uint32_t part;		/* being filled */
	uint64_t filled;	/* bytes of it */
	uint64_t end;		/* of what is written, or skipped as a hole */
};

static int count_bytes(struct unpack *u, uint64_t more)
{
	u->bytes += more;
	return more > (uint64_t)CONFIG_UNPACKED_MAX_MIB << 20 || u->bytes > (uint64_t)CONFIG_UNPACKED_MAX_MIB << 20 ?
		err_set(&u->err, -EFBIG, "more than %d MiB unpacked", CONFIG_UNPACKED_MAX_MIB) : 0;
}

static int put(struct unpack *u, int fd, const void *at, size_t len)
{
	int r = count_bytes(u, len);

	if (r < 0)
		return r;
	verity_add(&u->verity, at, len);
	r = file_write_all(fd, at, len);
	return r < 0 ? err_sys(&u->err, -r, "writing its content") : 0;
}

/* A hole counts and is hashed as the zeros it stands for. */
static int put_hole(struct unpack *u, int fd, uint64_t len)
{
	static uint8_t zeros[16384];	/* never written; constant, it would be 16 KiB of the file */
	int r = count_bytes(u, len);

	if (r == 0 && lseek(fd, (off_t)len, SEEK_CUR) < 0)
		r = err_sys(&u->err, errno, "a hole in its content");
	while (r == 0 && len) {
		size_t n = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);

		verity_add(&u->verity, zeros, n);
		len -= n;
	}
	return r;
}

static int put_spread(struct unpack *u, struct spread *s, int fd, const uint8_t *at, size_t len)
{
	size_t used;
	int r = 0;

	if (s->map->is_inside && !s->map->is_map_done) {
		r = tar_sparse_map(s->map, at, len, &used, &u->err);
		at += used;
		len -= used;
	}
	while (r == 0 && len) {
		const struct tar_part *part = &s->map->part[s->part];
		size_t n;

		if (s->part == s->map->count)
			return err_set(&u->err, -EBADMSG, "a sparse file with more content than its map has");
		if (s->filled == part->len) {
			s->part++;
			s->filled = 0;
			continue;
		}
		if (s->filled == 0)
			r = put_hole(u, fd, part->at - s->end);
		n = part->len - s->filled < len ? (size_t)(part->len - s->filled) : len;
		if (r == 0)
			r = put(u, fd, at, n);
		s->filled += n;
		s->end = part->at + s->filled;
		at += n;
		len -= n;
	}
	return r;
}

/* All parts came; what is left is a hole up to the size. */
static int end_spread(struct unpack *u, const struct spread *s, int fd)
{
	uint64_t map = s->map->is_inside ? s->map->map_bytes : 0;
	int r;

	if ((s->map->is_inside && !s->map->is_map_done) || map + s->map->stored != u->guard.size || s->map->size < s->end)
		return err_set(&u->err, -EBADMSG, "a sparse file whose map does not fit its content");
	r = put_hole(u, fd, s->map->size - s->end);
	if (r == 0 && ftruncate(fd, (off_t)s->map->size) < 0)
		r = err_sys(&u->err, errno, "writing its content");
	return r;
}

int unpack_content(struct unpack *u, struct archive *a, int fd)
{
	struct spread s = { .map = &u->guard.sparse };
	bool is_sparse = s.map->is_there;
	const void *at;
	size_t len;
	la_int64_t off;
	uint64_t end = 0;
	int r, done = 0;

	verity_begin(&u->verity);
	while (done == 0 && (r = archive_read_data_block(a, &at, &len, &off)) == ARCHIVE_OK) {
		if ((uint64_t)off != end)
			return err_set(&u->err, -EBADMSG, "its content can be read in two ways: refused");
		end += len;
		done = is_sparse ? put_spread(u, &s, fd, at, len) : put(u, fd, at, len);
	}
	if (done < 0)
		return done;
	if (r != ARCHIVE_EOF)
		return u->code ? u->code : err_set(&u->err, -EBADMSG, "%s", archive_error_string(a));
	if (end != u->guard.size)
		return err_set(&u->err, -EBADMSG, "its size can be read in two ways: refused");
	done = is_sparse ? end_spread(u, &s, fd) : 0;
	return done < 0 ? done : unpack_digest_add(u, fd);
}

int unpack_content_copy(struct unpack *u, int from, int to)
{
	ssize_t n;
	int r = 0;

	/* Between headers the chunk buffer may hold unread bytes of the archive: a small one of our own. */
	verity_begin(&u->verity);
	while (r == 0) {
		uint8_t block[16384];

		n = read(from, block, sizeof(block));
		if (n <= 0) {
			r = n < 0 ? -errno : 0;
			break;
		}
		r = put(u, to, block, (size_t)n);
	}
	return r < 0 ? r : unpack_digest_add(u, to);
}
