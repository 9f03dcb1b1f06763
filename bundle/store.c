/* SPDX-License-Identifier: MIT */
/*
 * The store's folders, its layer index and its images. Paths are made of digests and names
 * of ours only. What lies on disk is believed as far as a digest goes. Blocks on the disk.
 */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yyjson.h>

#include "file.h"
#include "sha256.h"
#include "store_dir.h"

#define FORMAT "coracle-store 1\n"

/* What may hold setuid programs or secrets of an image or of the board is nobody's but root's. */
static const struct folder {
	const char *name;
	mode_t mode;
} folders[] = {
	{ "layers", 0700 }, { "layers/index", 0755 }, { "layers/list", 0755 }, { "images", 0755 }, { "images/sha256", 0755 },
	{ "bundles", 0755 }, { "state", 0755 }, { "tmp", 0700 }, { "trash", 0700 }, { "partial", 0755 }, { "config", 0700 },
	{ "logs", 0755 }, { "volumes", 0755 },
};

const char *store_hex(const struct digest *d, char out[DIGEST_HEX_LEN + 1])
{
	struct digest_text t = digest_text(d);

	memcpy(out, t.text + 7, DIGEST_HEX_LEN + 1);
	return out;
}

static int check_format(struct store *s, struct err *e)
{
	char *text;
	size_t len;
	int r;

	if (faccessat(s->root, "format", F_OK, 0) < 0 && errno == ENOENT)
		return -ENOENT;
	r = file_read(s->root, "format", 64, &text, &len, e);
	if (r < 0)
		return r;
	r = strcmp(text, FORMAT) == 0 ? 0 : err_set(e, -EUCLEAN,
		"%s: its format file is not of this version: this program reads \"coracle-store 1\"", s->path);
	free(text);
	return r;
}

static int make_store(struct store *s, struct err *e)
{
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		if (mkdirat(s->root, folders[i].name, folders[i].mode) < 0 && errno != EEXIST)
			return err_sys(e, errno, "%s/%s: cannot make the folder", s->path, folders[i].name);
	/* The stamp last: a store that was cut while being made is made again. */
	return file_replace(s->root, "format", span_str(FORMAT), 0644, e);
}

int store_open(struct store **out, const char *dir, enum store_mode mode, struct err *e)
{
	struct store *s = calloc(1, sizeof(*s));
	int r;

	*out = NULL;
	if (!s)
		return err_sys(e, ENOMEM, "%s", dir);
	s->mode = mode;
	s->root = -1;
	if (!span_copy(span_str(dir), s->path, sizeof(s->path))) {
		r = err_sys(e, ENAMETOOLONG, "%s", dir);
		goto fail;
	}
	s->root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->root < 0) {
		r = err_sys(e, errno, "%s: cannot open the store", dir);
		goto fail;
	}
	r = check_format(s, e);
	if (r == -ENOENT && mode == STORE_READ)
		r = err_set(e, -ENOENT, "%s: not a store (no format file): the first pull makes one", dir);
	else if (r == -ENOENT)
		r = make_store(s, e);
	if (r < 0)
		goto fail;
	if (mode == STORE_WRITE)
		staging_sweep(s);
	*out = s;
	return 0;
fail:
	store_close(s);
	return r;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	if (s->root >= 0)
		close(s->root);
	free(s);
}

int store_fd(const struct store *s)
{
	return s->root;
}

struct digest store_chain(const struct digest *parent, const struct digest *diff_id)
{
	struct digest_text a, b;
	struct sha256 h;

	if (!parent)
		return *diff_id;
	a = digest_text(parent);
	b = digest_text(diff_id);
	sha256_begin(&h);
	sha256_add(&h, a.text, DIGEST_TEXT_LEN);
	sha256_add(&h, " ", 1);
	sha256_add(&h, b.text, DIGEST_TEXT_LEN);
	return sha256_end(&h);
}

static int write_plain(int dir, const char *name, struct span data, struct err *e)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	int r = fd < 0 ? -errno : file_write_all(fd, data.at, data.len);

	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (fd >= 0)
		close(fd);
	return r < 0 ? err_sys(e, -r, "%s: cannot write", name) : 0;
}

int store_image_publish(struct store *s, const struct digest *manifest_digest, struct span manifest, struct span config,
	struct span admitted, struct err *e)
{
	char path[128], staged[64], hex[DIGEST_HEX_LEN + 1];
	struct staging t;
	int parent = -1, lock = -1, r;

	snprintf(path, sizeof(path), "images/sha256/%s", store_hex(manifest_digest, hex));
	r = staging_begin(s, &t, e);
	if (r < 0)
		return r;
	if (mkdirat(t.dir, "image", 0755) < 0)
		r = err_sys(e, errno, "%s/tmp: cannot make the folder", s->path);
	snprintf(staged, sizeof(staged), "tmp/%s/image", t.name);
	if (r == 0) {
		int dir = file_open_beneath(s->root, staged, O_RDONLY | O_DIRECTORY, 0);

		r = dir < 0 ? dir : write_plain(dir, "manifest.json", manifest, e);
		r = r < 0 ? r : write_plain(dir, "config.json", config, e);
		r = r < 0 ? r : write_plain(dir, "admitted", admitted, e);
		if (r == 0 && fsync(dir) < 0)
			r = -errno;
		if (dir >= 0)
			close(dir);
	}
	if (r == 0)
		lock = r = store_lock(s, false, 10000, e);
	if (r >= 0) {
		/* Already there: the same bytes by digest; the newer admission is kept. */
		r = renameat(s->root, staged, s->root, path) < 0 ? -errno : 0;
		if (r == -ENOTEMPTY || r == -EEXIST) {
			char file[200];

			snprintf(file, sizeof(file), "%s/admitted", path);
			r = file_replace(s->root, file, admitted, 0644, e);
		}
	}
	parent = file_open_beneath(s->root, "images/sha256", O_RDONLY | O_DIRECTORY, 0);
	if (r == 0 && (parent < 0 || fsync(parent) < 0))
		r = -EIO;
	if (r < 0)
		err_sys(e, -r, "%s/%s: cannot publish", s->path, path);
	if (parent >= 0)
		close(parent);
	if (lock >= 0)
		close(lock);
	staging_end(s, &t);
	return r;
}

void store_image_free(struct store_image *i)
{
	free(i->manifest);
	free(i->config);
	free(i->admitted);
	memset(i, 0, sizeof(*i));
}

void store_image_admitted(const struct store_image *i, const char *key, char *out, size_t size)
{
	size_t len = strlen(key);

	out[0] = '\0';
	for (const char *line = i->admitted; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (strncmp(line, key, len) == 0 && line[len] == '=') {
			const char *end = strchr(line, '\n');

			span_copy(span_of(line + len + 1, end ? (size_t)(end - line) - len - 1 : strlen(line + len + 1)), out, size);
			return;
		}
}

/* The config's digest out of a manifest whose own digest was checked. */
static int config_digest(const struct store_image *i, struct digest *out)
{
	yyjson_doc *doc = yyjson_read(i->manifest, i->manifest_len, 0);
	const char *text = yyjson_get_str(yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(doc), "config"), "digest"));
	int r = text ? digest_parse(span_str(text), out) : -EUCLEAN;

	yyjson_doc_free(doc);
	return r;
}

int store_image_read(struct store *s, const struct digest *manifest_digest, struct store_image *out, struct err *e)
{
	char path[160], hex[DIGEST_HEX_LEN + 1];
	struct digest want, have;
	int r;

	memset(out, 0, sizeof(*out));
	store_hex(manifest_digest, hex);
	snprintf(path, sizeof(path), "images/sha256/%s/manifest.json", hex);
	r = file_read(s->root, path, CONFIG_MANIFEST_MAX, &out->manifest, &out->manifest_len, e);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "images/sha256/%s/config.json", hex);
	r = file_read(s->root, path, CONFIG_MANIFEST_MAX, &out->config, &out->config_len, e);
	if (r < 0)
		goto fail;
	snprintf(path, sizeof(path), "images/sha256/%s/admitted", hex);
	r = file_read(s->root, path, 65536, &out->admitted, &out->admitted_len, e);
	if (r < 0)
		goto fail;
	have = sha256_of(span_of(out->manifest, out->manifest_len));
	if (!digest_equal(&have, manifest_digest) || config_digest(out, &want) < 0) {
		r = err_set(e, -EUCLEAN, "%s/images/sha256/%s: manifest.json is damaged: pull the image again", s->path, hex);
		goto fail;
	}
	have = sha256_of(span_of(out->config, out->config_len));
	if (!digest_equal(&have, &want)) {
		r = err_set(e, -EUCLEAN, "%s/images/sha256/%s: config.json is damaged: pull the image again", s->path, hex);
		goto fail;
	}
	return 0;
fail:
	store_image_free(out);
	return r;
}

int store_image_complete(struct store *s, const struct digest *manifest_digest, struct err *e)
{
	struct store_image image;
	struct digest chain, diff;
	yyjson_doc *doc;
	yyjson_val *ids, *id;
	size_t at, max;
	int r = store_image_read(s, manifest_digest, &image, e);

	if (r < 0)
		return r;
	doc = yyjson_read(image.config, image.config_len, 0);
	ids = yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(doc), "rootfs"), "diff_ids");
	if (!yyjson_is_arr(ids))
		r = -EUCLEAN;
	yyjson_arr_foreach(ids, at, max, id) {
		char name[STORE_SHORT_MAX];

		if (r == 0 && (!yyjson_is_str(id) || digest_parse(span_str(yyjson_get_str(id)), &diff) < 0))
			r = -EUCLEAN;
		if (r == 0) {
			chain = store_chain(at ? &chain : NULL, &diff);
			r = store_layer_find(s, &chain, name);
		}
	}
	yyjson_doc_free(doc);
	store_image_free(&image);
	return r < 0 ? err_set(e, r, "%s: image lacks a layer: pull it again", s->path) : 0;
}

int store_lock(struct store *s, bool exclusive, int timeout_ms, struct err *e)
{
	int fd = openat(s->root, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		return err_sys(e, errno, "%s/lock", s->path);
	for (int waited = 0; flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0; waited += 20) {
		if (errno != EWOULDBLOCK && errno != EINTR) {
			int errnum = errno;

			close(fd);
			return err_sys(e, errnum, "%s/lock", s->path);
		}
		if (waited >= timeout_ms) {
			close(fd);
			return err_set(e, -ETIMEDOUT, "%s: another program holds the store's lock", s->path);
		}
		poll(NULL, 0, 20);
	}
	return fd;
}
