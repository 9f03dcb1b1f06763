/* SPDX-License-Identifier: MIT */
/*
 * Writes a layer's list. The digests come from the jailed unpacker: a wrong one is found by `verify`, a missing one here. The mapped
 * table is the only thing that grows with the layer, and it is a file's pages.
 */
#include "layer_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layer_line.h"
#include "unpack.h"

struct writer {
	struct unpack_digest *table;
	size_t count;
	FILE *to;
	int fd;			/* of TO, readable */
	uint64_t bytes;
};

static int by_inode(const void *a, const void *b)
{
	const struct unpack_digest *x = a, *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return x->serial < y->serial ? -1 : x->serial > y->serial;
}

/* The last record of that inode. */
static struct unpack_digest *find(const struct writer *w, uint64_t inode)
{
	size_t low = 0, high = w->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (w->table[mid].inode <= inode)
			low = mid + 1;
		else
			high = mid;
	}
	return low && w->table[low - 1].inode == inode ? &w->table[low - 1] : NULL;
}

/* The path that was written where D's file was met first. */
static int write_again(struct writer *w, const struct layer_item *item, const struct unpack_digest *d, struct err *e)
{
	static char first[4 * LAYER_TREE_PATH_MAX];
	ssize_t n;
	char *space;

	if (fflush(w->to) != 0)
		return err_sys(e, errno, "the layer's list");
	n = pread(w->fd, first, sizeof(first), (off_t)d->at - 1);
	space = n > 0 ? memchr(first, ' ', (size_t)n) : NULL;
	if (!space)
		return err_set(e, -EIO, "the layer's list cannot be read back");
	layer_line_write_again(w->to, item, span_of(first, (size_t)(space - first)));
	return 0;
}

static int write_item(void *to, const struct layer_item *item, struct err *e)
{
	struct unpack_digest *d = NULL;
	struct writer *w = to;
	int r;

	if (S_ISREG(item->st.st_mode)) {
		d = find(w, item->st.st_ino);
		if (!d)
			return err_set(e, -EPROTO, "%s: the unpacker named no digest for it", item->path);
	}
	if (d && d->at) {
		r = write_again(w, item, d, e);
	} else {
		if (d) {
			off_t at = item->st.st_nlink > 1 ? ftello(w->to) : -1;	/* it will be met again; each question is an lseek(2) */

			if (item->st.st_nlink > 1 && at < 0)
				return err_sys(e, errno, "the layer's list");
			d->at = (uint64_t)(at + 1);
			w->bytes += (uint64_t)item->st.st_size;
		}
		r = layer_line_write(w->to, item, d ? &d->verity : NULL, e);
	}
	putc('\n', w->to);
	return r < 0 ? r : ferror(w->to) ? err_sys(e, EIO, "the layer's list") : 0;
}

int layer_list_write(int layer, int digests, int list, uint64_t *bytes, struct err *e)
{
	struct writer w = { .fd = list };
	struct stat st;
	int own = -1, r = 0;

	*bytes = 0;
	if (fstat(digests, &st) < 0 || st.st_size % (off_t)sizeof(*w.table) != 0)
		return err_set(e, -EPROTO, "the unpacker's table of digests is broken");
	w.count = (size_t)st.st_size / sizeof(*w.table);
	if (w.count) {
		w.table = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, digests, 0);
		if (w.table == MAP_FAILED)
			return err_sys(e, errno, "the table of digests");
		for (size_t i = 0; i < w.count; i++)
			w.table[i].at = 0;
		qsort(w.table, w.count, sizeof(*w.table), by_inode);
	}
	own = dup(list);
	w.to = own < 0 ? NULL : fdopen(own, "w");
	if (!w.to) {
		r = err_sys(e, errno, "the layer's list");
		if (own >= 0)
			close(own);
		goto out;
	}
	r = layer_tree_walk(layer, write_item, &w, e);
	if (fclose(w.to) != 0 && r == 0)
		r = err_sys(e, errno, "the layer's list");
	*bytes = w.bytes;
out:
	if (w.count)
		munmap(w.table, (size_t)st.st_size);
	return r;
}
