/* SPDX-License-Identifier: MIT */
/* Input: a file system or archive that anybody may have written, jailed for that. Output: frames; what they carry is checked by digest outside. */
#include "layout.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yyjson.h>

#include "config.h"
#include "digest.h"
#include "file.h"
#include "filter.h"
#include "net.h"

enum { BLOCK = 512 };

#define REF_NAME "org.opencontainers.image.ref.name"

/* One file of the archive that matters. */
struct member {
	struct digest digest;	/* of blobs/sha256/HEX */
	bool is_index;		/* index.json */
	uint64_t at, size;
};

struct layout {
	bool is_archive;
	int fd;
	size_t count;
	struct member member[CONFIG_ARCHIVE_BLOBS_MAX + 1];
	char text[256];		/* why it cannot be read */
};

static ssize_t read_at(int fd, void *to, size_t len, uint64_t at)
{
	size_t have = 0;

	while (have < len) {
		ssize_t n = pread(fd, (char *)to + have, len - have, (off_t)(at + have));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : (ssize_t)have;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

/* POSIX ustar, 12 octal digits; the binary form of sizes above 8 GiB is not read. */
static bool octal(const char *field, size_t len, uint64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < len && field[i] && field[i] != ' '; i++) {
		if (field[i] < '0' || field[i] > '7')
			return false;
		*out = *out << 3 | (uint64_t)(field[i] - '0');
	}
	return true;
}

static void add_member(struct layout *l, const char *block, uint64_t at, uint64_t size)
{
	struct member *m = &l->member[l->count];
	char name[101], text[80];

	memcpy(name, block, 100);
	name[100] = '\0';
	if (block[156] != '0' && block[156] != '\0')
		return;
	m->at = at;
	m->size = size;
	m->is_index = strcmp(name, "index.json") == 0 || strcmp(name, "./index.json") == 0;
	snprintf(text, sizeof(text), "sha256:%.64s", strlen(name) >= 64 ? name + strlen(name) - 64 : "");
	if (m->is_index || (strstr(name, "blobs/sha256/") && digest_parse(span_str(text), &m->digest) == 0))
		l->count++;
}

/* Notes where each blob lies in a file of END bytes; nothing is read but headers. */
static int scan(struct layout *l, uint64_t end)
{
	char block[BLOCK];
	uint64_t at = 0, size;

	for (;;) {
		ssize_t n = read_at(l->fd, block, BLOCK, at);

		if (n == 0 || (n == BLOCK && block[0] == '\0'))
			break;
		if (n != BLOCK || memcmp(block + 257, "ustar", 5) != 0 || !octal(block + 124, 12, &size) ||
		    size > end - at - BLOCK) {
			snprintf(l->text, sizeof(l->text), at || n < 2 || memcmp(block, "\x1f\x8b", 2) != 0 ? "not a tar, or cut short" :
				"a compressed archive is not read: gunzip it first");
			return -EPROTO;
		}
		if (l->count == CONFIG_ARCHIVE_BLOBS_MAX) {
			snprintf(l->text, sizeof(l->text), "more than %d blobs in the archive", CONFIG_ARCHIVE_BLOBS_MAX);
			return -EFBIG;
		}
		at += BLOCK;
		add_member(l, block, at, size);
		at += (size + BLOCK - 1) / BLOCK * BLOCK;
	}
	return 0;
}

/* A descriptor to read from, and where. A directory's file is opened beneath it. */
static int open_member(const struct layout *l, const struct digest *d, uint64_t *at, uint64_t *size)
{
	char path[80] = "index.json";
	struct stat st;
	int fd;

	if (!l->is_archive) {
		if (d)
			snprintf(path, sizeof(path), "blobs/sha256/%s", digest_text(d).text + 7);
		fd = file_open_beneath(l->fd, path, O_RDONLY | O_NONBLOCK, 0);
		if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
			close(fd);
			return -EINVAL;
		}
		*at = 0;
		*size = fd < 0 ? 0 : (uint64_t)st.st_size;
		return fd;
	}
	for (size_t i = 0; i < l->count; i++)
		if (d ? !l->member[i].is_index && digest_equal(d, &l->member[i].digest) : l->member[i].is_index) {
			*at = l->member[i].at;
			*size = l->member[i].size;
			return dup(l->fd);
		}
	return -ENOENT;
}

static void send_frame(uint32_t kind, const void *at, size_t len)
{
	struct net_frame f = { kind, (uint32_t)len };

	if (file_write_all(1, &f, sizeof(f)) < 0 || file_write_all(1, at, len) < 0)
		exit(0);
}

static void send_end(uint32_t failure, const char *text)
{
	struct net_end end = { .failure = failure };

	snprintf(end.text, sizeof(end.text), "%s", text);
	send_frame(NET_END, &end, sizeof(end));
}

static void send_status(uint32_t status)
{
	struct net_head head = { .status = status, .content_length = -1, .range_first = -1, .range_total = -1 };

	send_frame(NET_HEAD, &head, sizeof(head));
}

static void send_file(const struct layout *l, const struct digest *d, uint64_t offset)
{
	static char data[NET_DATA_MAX];
	struct net_head head = { .status = offset ? 206 : 200, .range_first = offset ? (int64_t)offset : -1, .range_total = -1 };
	uint64_t at, size, done = offset;
	int fd = open_member(l, d, &at, &size);

	if (fd < 0 || offset > size) {
		send_status(fd == -ENOENT ? 404 : fd < 0 ? 403 : 416);
		send_end(NET_OK, "");
		return;
	}
	head.content_length = (int64_t)(size - offset);
	send_frame(NET_HEAD, &head, sizeof(head));
	while (done < size) {
		ssize_t n = read_at(fd, data, size - done < sizeof(data) ? (size_t)(size - done) : sizeof(data), at + done);

		if (n <= 0)
			break;
		send_frame(NET_DATA, data, (size_t)n);
		done += (uint64_t)n;
	}
	close(fd);
	send_end(done == size ? NET_OK : NET_PROTOCOL, done == size ? "" : "the file ends before it should, or cannot be read");
}

/* Would `coracle-fetch pull oci:DIR` without a name mean this one? Signatures that lie beside are not images. */
static bool is_image(yyjson_val *annotations)
{
	yyjson_val *kind = yyjson_obj_get(annotations, "kind"), *name = yyjson_obj_get(annotations, REF_NAME);

	if (kind)
		return yyjson_equals_str(kind, "dev.cosignproject.cosign/image");
	return !yyjson_is_str(name) || strncmp(yyjson_get_str(name), "sha256-", 7) != 0;
}

/* The digest that NAME stands for. */
static int find_name(yyjson_val *root, const char *name, struct digest *out)
{
	yyjson_val *list = yyjson_obj_get(root, "manifests"), *item, *found = NULL;
	size_t at, max, len = strlen(name), count = 0;
	bool is_sig = len > 4 && strcmp(name + len - 4, ".sig") == 0;

	yyjson_arr_foreach(list, at, max, item) {
		yyjson_val *annotations = yyjson_obj_get(item, "annotations");
		bool is_it = name[0] ? yyjson_equals_str(yyjson_obj_get(annotations, REF_NAME), name) :
			is_image(annotations) && !yyjson_obj_get(item, "artifactType");

		if (!found && is_sig && yyjson_equals_str(yyjson_obj_get(annotations, "kind"), "dev.cosignproject.cosign/sigs"))
			is_it = true;
		if (is_it) {
			found = item;
			count++;
		}
	}
	found = yyjson_obj_get(found, "digest");
	if (!yyjson_is_str(found) || (count > 1 && !name[0]))
		return -ENOENT;
	return digest_parse(span_of(yyjson_get_str(found), yyjson_get_len(found)), out);
}

static void answer(const struct layout *l, const struct net_request *q)
{
	static const char start[] = "/v2/layout/";
	const char *path = strncmp(q->path, start, sizeof(start) - 1) == 0 ? q->path + sizeof(start) - 1 : "", *name = strchr(path, '/');
	char tag[80], *json = NULL;
	yyjson_doc *doc = NULL;
	uint64_t at, size;
	struct digest d;
	int fd, r = -ENOENT;

	if (name && digest_parse(span_str(name + 1), &d) == 0 && strncmp(path, "referrers/", 10) != 0) {
		send_file(l, &d, q->offset);
		return;
	}
	fd = open_member(l, NULL, &at, &size);
	if (fd >= 0 && size <= CONFIG_SIGNATURE_MANIFEST_MAX && (json = malloc(size + 1)) && read_at(fd, json, size, at) == (ssize_t)size)
		doc = yyjson_read(json, size, 0);
	if (fd >= 0)
		close(fd);
	if (!doc) {
		send_status(200);
		send_end(NET_PROTOCOL, l->text[0] ? l->text : "no index.json in it that can be read: not an image layout");
	} else if (name && strncmp(path, "referrers/", 10) == 0) {
		snprintf(tag, sizeof(tag), "sha256-%.64s", strchr(name, ':') ? strchr(name, ':') + 1 : "");
		r = find_name(yyjson_doc_get_root(doc), tag, &d);
		send_file(l, r == 0 ? &d : NULL, 0);
	} else {
		r = name ? find_name(yyjson_doc_get_root(doc), name + 1, &d) : -ENOENT;
		if (r == 0) {
			send_file(l, &d, 0);
		} else {
			send_status(404);
			send_end(NET_OK, "");
		}
	}
	yyjson_doc_free(doc);
	free(json);
}

int layout_main(void)
{
	static struct net_request q;
	static struct layout l;
	struct stat st;

	l.fd = NET_SOCKET_FD;
	if (fstat(l.fd, &st) < 0)
		return 1;
	l.is_archive = !S_ISDIR(st.st_mode);
	if (l.is_archive && scan(&l, (uint64_t)st.st_size) < 0)
		l.count = 0;
	while (file_read_full(0, &q, sizeof(q)) == sizeof(q) && q.magic == NET_MAGIC) {
		q.path[sizeof(q.path) - 1] = '\0';
		answer(&l, &q);
	}
	return 0;
}

static const struct sock_filter filter[] = {
	FILTER_BEGIN, FILTER_START,
	FILTER_ALLOW(openat2), FILTER_ALLOW(pread64), FILTER_ALLOW(dup), FILTER_ALLOW(statx), FILTER_ALLOW(fstatat_any),
	FILTER_END,
};

int layout_open(const struct ref *ref, struct err *e)
{
	struct stat st;
	int fd, dir;

	if (ref->transport == REF_OCI_ARCHIVE) {
		fd = open(ref->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0 || fstat(fd, &st) < 0)
			return err_sys(e, errno, "%s", ref->path);
		if (S_ISREG(st.st_mode))
			return fd;
		close(fd);
		return err_set(e, -EINVAL, "%s: not a file: a directory is pulled as oci:%s", ref->path, ref->path);
	}
	dir = open(ref->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, errno, "%s", ref->path);
	fd = file_clone_tree(dir, ".", MOUNT_ATTR_RDONLY);
	close(dir);
	return fd < 0 ? err_sys(e, -fd, "%s: cannot be shown to the process that reads it", ref->path) : fd;
}

/* CAP_DAC_READ_SEARCH: a layout that only root may read; there is nothing else in reach. */
void layout_jail_spec(struct jail_spec *spec)
{
	*spec = (struct jail_spec){
		.name = "layout", .uid = CONFIG_UID_NET, .caps = 1ull << CAP_DAC_READ_SEARCH, .memory_max = 64ull << 20, .fds_max = 16,
		.filter = filter, .filter_len = sizeof(filter) / sizeof(*filter),
	};
}
