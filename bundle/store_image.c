/* SPDX-License-Identifier: MIT */
/* Images of the store: manifest, config and the reason they were let in, published by one rename. What lies on disk is believed as far as its
 * digest goes. Blocks on the disk. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yyjson.h>

#include "file.h"
#include "sha256.h"
#include "store_dir.h"

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

static int publish(struct store *s, const char *hex, struct span manifest, struct span config, struct span admitted, struct err *e)
{
	char path[128], staged[64];
	struct staging t;
	int parent = -1, lock = -1, r;

	snprintf(path, sizeof(path), "images/sha256/%s", hex);
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

int store_image_publish(struct store *s, const struct digest *manifest_digest, struct span manifest, struct span config,
	struct span admitted, struct err *e)
{
	char hex[DIGEST_HEX_LEN + 1], mac[SEAL_LINE_MAX], *text = malloc(admitted.len + SEAL_LINE_MAX);
	int r;

	if (!text)
		return err_sys(e, ENOMEM, "admitted");
	memcpy(text, admitted.at, admitted.len);
	seal_line(&s->seal, "image", store_hex(manifest_digest, hex), admitted, mac);
	memcpy(text + admitted.len, mac, strlen(mac));
	r = publish(s, hex, manifest, config, span_of(text, admitted.len + strlen(mac)), e);
	free(text);
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
	r = seal_check(&s->seal, "image", hex, span_of(out->admitted, out->admitted_len));
	if (r < 0) {
		err_set(e, r, "%s/%s: not written under this board's key: refused; pull the image again", s->path, path);
		goto fail;
	}
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

int store_image_layers(const struct store_image *i, struct digest *diff_ids, struct digest *chains, size_t max, struct err *e)
{
	yyjson_doc *doc = yyjson_read(i->config, i->config_len, 0);
	yyjson_val *ids = yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(doc), "rootfs"), "diff_ids"), *id;
	size_t at, len;
	int r = yyjson_is_arr(ids) ? (int)yyjson_arr_size(ids) : -EUCLEAN;

	if (r > (int)max)
		r = -EFBIG;
	yyjson_arr_foreach(ids, at, len, id) {
		if (r < 0)
			break;
		if (!yyjson_is_str(id) || digest_parse(span_str(yyjson_get_str(id)), &diff_ids[at]) < 0)
			r = -EUCLEAN;
		else
			chains[at] = store_chain(at ? &chains[at - 1] : NULL, &diff_ids[at]);
	}
	yyjson_doc_free(doc);
	return r < 0 ? err_set(e, r, "image config: its list of layers is unusable") : r;
}

int store_image_complete(struct store *s, const struct digest *manifest_digest, struct err *e)
{
	struct digest diff[CONFIG_LAYERS_MAX], chain[CONFIG_LAYERS_MAX];
	char name[STORE_SHORT_MAX];
	struct store_image image;
	int count, r = store_image_read(s, manifest_digest, &image, e);

	if (r < 0)
		return r;
	count = r = store_image_layers(&image, diff, chain, CONFIG_LAYERS_MAX, e);
	store_image_free(&image);
	for (int i = 0; r >= 0 && i < count; i++)
		if (store_layer_find(s, &chain[i], name) < 0)
			r = err_set(e, -ENOENT, "%s: image lacks a layer: pull it again", s->path);
	return r < 0 ? r : 0;
}

int store_each(struct store *s, const char *folder, int (*visit)(void *to, const struct digest *d), void *to, struct err *e)
{
	int fd = file_open_beneath(s->root, folder, O_RDONLY | O_DIRECTORY, 0), r = 0;
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct digest d;

	if (!list) {
		if (fd >= 0)
			close(fd);
		return err_sys(e, fd < 0 ? -fd : ENOMEM, "%s/%s", s->path, folder);
	}
	while (r == 0 && (entry = readdir(list))) {
		char text[DIGEST_TEXT_LEN + 1];

		if (strlen(entry->d_name) != DIGEST_HEX_LEN)
			continue;
		snprintf(text, sizeof(text), "sha256:%.64s", entry->d_name);
		if (digest_parse(span_str(text), &d) == 0)
			r = visit(to, &d);
	}
	closedir(list);
	return r;
}
