/* SPDX-License-Identifier: MIT */
/* The state of the one layer that an unpack process is for; shared by bundle/unpack*.c only. */
#ifndef CORACLE_UNPACK_INNER_H
#define CORACLE_UNPACK_INNER_H

#include <archive.h>
#include <archive_entry.h>
#include <time.h>

#include "tar_guard.h"
#include "verity.h"
#include "view.h"

enum { UNPACK_CHUNK = 256 * 1024, UNPACK_DIGESTS = 64 };

/* The directory that entries go into at the moment: neighbours in an archive mostly share it. */
struct unpack_dir {
	bool is_valid;		/* raw was resolved to place and may be used again */
	char raw[UNPACK_PATH_MAX];
	struct place place;	/* name is not used */
	int fd;			/* in the staging; -1: not made yet */
	struct timespec mtime;	/* given back when the last child is written */
};

struct unpack {
	struct view view;
	struct marks marks;
	bool is_input_end;
	struct tar_guard guard;
	struct err err;
	int code;		/* first failure inside the read callback */
	uint64_t entries, stream, bytes;
	struct unpack_dir dir;
	struct verity verity;
	uint64_t serial;
	size_t digests_len;
	struct unpack_digest digests[UNPACK_DIGESTS];
	size_t buf_at, buf_len;
	uint8_t buf[UNPACK_CHUNK];
};

/* One entry onto disk. PATH and LINK (of a hard or symbolic link) are raw bytes of the archive. */
int unpack_entry(struct unpack *u, struct archive *a, struct archive_entry *entry, const char *path, const char *link);

/* Leaves the current directory, its times as they were. 0 or -errno. */
int unpack_dir_leave(struct unpack *u);

/* Owner, mode (chown clears setuid), xattrs, times of the entry on open FD, or on NAME in DIR where FD is -1 (links, FIFOs). */
int unpack_attrs(struct unpack *u, struct archive_entry *entry, int fd, int dir, const char *name, mode_t type);

/* The content of the entry in hand into FD; of a lower layer's file FROM into TO. The digest is added. */
int unpack_content(struct unpack *u, struct archive *a, int fd);
int unpack_content_copy(struct unpack *u, int from, int to);

/* Adds the digest of what went through u->verity to the records for the launcher; UNPACK_FLUSH sends what is left. */
int unpack_digest_add(struct unpack *u, int fd);
int unpack_digest_flush(struct unpack *u);

/* After the last entry: whiteouts of what no lower layer has are dropped, those of a directory that this layer has anew become opaque,
 * directories that hold a whiteout are made. */
int unpack_settle(struct unpack *u);

#endif
