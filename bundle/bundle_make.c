/* SPDX-License-Identifier: MIT */
/*
 * Makes a bundle. The image's bytes were verified when they came into the store, its files are still its author's: they are opened inside the
 * merged root only. The unit is the board's own.
 */
#include "bundle_make.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yyjson.h>

#include "bundle_layers.h"
#include "compile_inner.h"
#include "file.h"
#include "generator.h"
#include "id_range.h"
#include "image_config.h"
#include "image_user.h"
#include "layer_check.h"
#include "net_plan.h"
#include "oci_config.h"
#include "rootfs_mount.h"
#include "seal.h"
#include "sha256.h"

struct make {
	const struct bundle_make *in;
	struct image_config *image;
	struct bundle_layers layers;
	struct image_user user;
	struct err *e;
	int dir, root;
	char *json;
	size_t len;
};

static int read_image(struct make *m)
{
	struct store_image image = { 0 };
	int r = store_image_read(m->in->store, m->in->digest, &image, m->e);

	if (r < 0)
		return err_prefix(m->e, r, "image %s is not whole in the store, coracle-fetch pull brings it", digest_text(m->in->digest).text);
	r = image_config_new(&m->image, span_of(image.config, image.config_len), m->e);
	store_image_free(&image);
	return r;
}

/* Topmost first. */
static int find_layers(struct make *m)
{
	struct digest chain;

	if ((size_t)snprintf(m->layers.store, sizeof(m->layers.store), "%s", m->in->store_path) >= sizeof(m->layers.store))
		return err_set(m->e, -ENAMETOOLONG, "%s: path too long", m->in->store_path);
	snprintf(m->layers.image, sizeof(m->layers.image), "%s", digest_text(m->in->digest).text);
	for (uint32_t i = 0; i < m->image->diff_ids; i++) {
		int r;

		chain = store_chain(i ? &chain : NULL, &m->image->diff_id[i]);
		r = layer_check_use(m->in->store, &chain, m->layers.layer[m->image->diff_ids - 1 - i], m->e);
		if (r < 0)
			return err_prefix(m->e, r, "%s: layer %u (%s)", m->layers.image, i, digest_text(&chain).text);
	}
	m->layers.count = m->image->diff_ids;
	return 0;
}

static int open_bundle(struct make *m)
{
	if (mkdir(m->in->bundle, 0755) < 0 && errno != EEXIST)
		return err_sys(m->e, errno, "%s", m->in->bundle);
	m->dir = open(m->in->bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->dir < 0)
		return err_sys(m->e, errno, "%s", m->in->bundle);
	if (mkdirat(m->dir, "rootfs", 0755) < 0 && errno != EEXIST)
		return err_sys(m->e, errno, "%s/rootfs", m->in->bundle);
	return 0;
}

/* The place in base/ for a mount: directories, and for the bind of a file an empty one. */
static int make_place(struct make *m, const char *path, bool is_file)
{
	char full[1200];
	char *last;
	int fd, r;

	if ((size_t)snprintf(full, sizeof(full), "base%s", path) >= sizeof(full))
		return err_set(m->e, -ENAMETOOLONG, "%s: path too long", path);
	last = strrchr(full, '/');
	if (is_file)
		*last = '\0';
	r = file_make_dirs(m->dir, full, 0755, m->e);
	if (r < 0 || !is_file)
		return r;
	*last = '/';
	fd = file_open_beneath(m->dir, full, O_WRONLY | O_CREAT, 0644);
	if (fd < 0)
		return err_sys(m->e, -fd, "%s/%s", m->in->bundle, full);
	close(fd);
	return 0;
}

/* The root is read-only from its first moment: what the image has no place for gets one in the lowest layer, base/. */
static int make_base(struct make *m, yyjson_doc *config)
{
	yyjson_val *mount;
	size_t i, max;

	yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(config), "mounts"), i, max, mount) {
		const char *path = yyjson_get_str(yyjson_obj_get(mount, "destination"));
		const char *type = yyjson_get_str(yyjson_obj_get(mount, "type"));
		const char *source = yyjson_get_str(yyjson_obj_get(mount, "source"));
		struct stat st;
		int r, fd = file_open_in_root(m->root, path, O_PATH, 0);

		if (fd >= 0)
			close(fd);
		/* What lies below /dev, /sys and the like is made there. */
		if (fd != -ENOENT || strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/sys/", 5) == 0)
			continue;
		r = make_place(m, path, strcmp(type, "bind") == 0 && (strncmp(source, NET_RUN "/", sizeof(NET_RUN)) == 0 ||
			(stat(source, &st) == 0 && !S_ISDIR(st.st_mode))));
		if (r < 0)
			return r;
		m->layers.has_base = true;
	}
	return 0;
}

/* volumes/NAME of the store: with owner and mode of the place in the image, else the program's user's. Kept as it is once it is there. */
static int make_volume(struct make *m, const char *name, const char *target)
{
	struct stat st;
	int volumes, r = file_make_dirs(store_fd(m->in->store), "volumes", 0755, m->e);
	int at;

	if (r < 0)
		return r;
	volumes = file_open_beneath(store_fd(m->in->store), "volumes", O_RDONLY | O_DIRECTORY, 0);
	if (volumes < 0)
		return err_sys(m->e, -volumes, "volumes");
	at = file_open_in_root(m->root, target, O_PATH | O_DIRECTORY, 0);
	if (at < 0 || fstat(at, &st) < 0) {
		st.st_uid = m->user.uid;
		st.st_gid = m->user.gid;
		st.st_mode = 0755;
	}
	if (at >= 0)
		close(at);
	/* Made under another name first: a volume of the wrong owner would stay so. */
	if (faccessat(volumes, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
		char aside[160];

		snprintf(aside, sizeof(aside), ".%s.new", name);
		if ((mkdirat(volumes, aside, 0700) < 0 && errno != EEXIST) || fchownat(volumes, aside, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
		    fchmodat(volumes, aside, st.st_mode & 01777, 0) < 0 || renameat(volumes, aside, volumes, name) < 0 || fsync(volumes) < 0)
			r = err_sys(m->e, errno, "volumes/%s", name);
	}
	close(volumes);
	return r;
}

static int make_volumes(struct make *m)
{
	const struct unit_list *l = &m->in->unit->volumes;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < l->count; i++) {
		const char *target = strchr(l->at[i], ':') + 1;
		char name[160], path[1024];

		if (l->at[i][0] == '/')
			continue;
		if (!span_copy(span_of(l->at[i], (size_t)(target - 1 - l->at[i])), name, sizeof(name)) ||
		    !span_copy(span_of(target, strcspn(target, ":")), path, sizeof(path)))
			return err_set(m->e, -EFBIG, "Volume=%.80s: too long", l->at[i]);
		r = make_volume(m, name, path);
	}
	return r;
}

static int write_config(struct make *m)
{
	char digest[DIGEST_TEXT_LEN + 1];
	struct oci_config c = {
		.image = m->image, .unit = m->in->unit, .user = &m->user, .store = m->in->store_path, .digest = digest,
		.id_first = m->layers.id_first, .id_count = m->layers.id_count,
	};

	snprintf(digest, sizeof(digest), "%s", digest_text(m->in->digest).text);
	return oci_config_write(&c, &m->json, &m->len, m->e);
}

static bool is_kept(struct make *m, const char *name, struct span data)
{
	char *now = NULL;
	size_t len = 0;
	bool is_same = file_read(m->dir, name, data.len, &now, &len, NULL) == 0 && span_equal(span_of(now, len), data);

	free(now);
	return is_same;
}

/* config.json after what it needs: a bundle that has one is whole. The record is a cache of it and never older. */
static int write_files(struct make *m, const struct record_build *record)
{
	struct span config = span_of(m->json, m->len), bytes = span_of(record->bytes, record->used);
	char name[COMPILE_NAME_MAX];
	bool is_same = is_kept(m, "config.json", config);
	int r = bundle_layers_write(m->dir, &m->layers, m->e);

	compile_record_name(&record->head, name);
	if (r == 0 && !is_same)
		r = file_replace(m->dir, "config.json", config, 0644, m->e);
	if (r == 0 && (!is_same || !is_kept(m, name, bytes)))
		r = file_replace(m->dir, name, bytes, 0644, m->e);
	return r;
}

static int places(struct make *m)
{
	yyjson_doc *config = yyjson_read(m->json, m->len, 0);
	int r = config ? make_base(m, config) : err_sys(m->e, ENOMEM, "config.json");

	yyjson_doc_free(config);
	return r;
}

static int make_all(struct make *m, struct record_build *out)
{
	const struct unit_file *u = m->in->unit;
	const char *user = u->user ? u->user : m->image->user;
	int r = open_bundle(m);

	if (r < 0)
		return r;
	m->root = rootfs_mount_open(&m->layers, m->in->bundle, m->e);
	if (m->root < 0)
		return m->root;
	/* User= of a unit takes the image's group away with its user. */
	r = image_user_find(m->root, user, u->group, &u->groups, &m->user, m->e);
	if (r == 0 && u->userns != UNIT_USERNS_HOST) {
		m->layers.id_count = CONFIG_USERNS_SIZE;
		r = id_range_find(m->in->store, u->name, &m->layers.id_first, m->e);
	}
	if (r == 0)
		r = write_config(m);
	if (r == 0)
		r = places(m);
	if (r == 0)
		r = make_volumes(m);
	if (r == 0)
		r = compile_config(span_of(m->json, m->len), &m->layers, m->in->bundle, out, m->e);
	return r;
}

int bundle_make(const struct bundle_make *in, struct record_build *out, struct bundle_told *told, struct err *e)
{
	struct make *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return err_sys(e, ENOMEM, "%s", in->bundle);
	m->in = in;
	m->e = e;
	m->dir = m->root = -1;
	r = read_image(m);
	if (r == 0)
		r = told->stop_signal = oci_config_stop_signal(in->unit, m->image, e);
	if (r > 0)
		told->health = m->image->health;
	if (r > 0)
		snprintf(told->version, sizeof(told->version), "%s", m->image->version);
	if (r > 0)
		r = find_layers(m);
	if (r == 0)
		r = make_all(m, out);
	if (r == 0) {
		r = write_files(m, out);
		if (r < 0 && in->may_lack_files) {
			compile_note("%s; it runs from memory now and is made again at the next start", e->text);
			e->text[0] = '\0';
			r = 0;
		}
	}
	if (m->root >= 0)
		close(m->root);
	if (m->dir >= 0)
		close(m->dir);
	image_config_free(m->image);
	free(m->json);
	free(m);
	return r;
}

void bundle_make_id(const struct digest *digest, struct span unit_bytes, char out[BUNDLE_ID_LEN + 1])
{
	struct digest_text text = digest_text(digest);
	struct digest sum;
	struct sha256 h;

	sha256_begin(&h);
	sha256_add(&h, text.text, strlen(text.text));
	sha256_add(&h, unit_bytes.at, unit_bytes.len);
	sha256_add(&h, BUNDLE_GENERATOR, strlen(BUNDLE_GENERATOR));
	sum = sha256_end(&h);
	for (int i = 0; i < BUNDLE_ID_LEN / 2; i++)
		snprintf(out + 2 * i, 3, "%02x", sum.sha256[i]);
}

static int make_spare_dir(struct err *e)
{
	bool is_there = (mkdir("/run/coracle", 0755) == 0 || errno == EEXIST) && (mkdir(BUNDLE_SPARE_DIR, 0755) == 0 || errno == EEXIST);

	return is_there ? 0 : err_sys(e, errno, BUNDLE_SPARE_DIR);
}

int bundle_make_own(struct bundle_make *m, const char *store_dir, bool is_spare, struct span unit_bytes, struct record_build *out,
	struct bundle_told *told, struct err *e)
{
	char store_path[PATH_MAX], path[PATH_MAX + BUNDLE_ID_LEN + 16], id[BUNDLE_ID_LEN + 1];
	int r;

	if (!realpath(store_dir, store_path))
		return err_sys(e, errno, "%s", store_dir);
	bundle_make_id(m->digest, unit_bytes, id);
	/* What a key vouches for is not read from where others may have written. */
	is_spare |= store_seal(m->store)->is_there;
	if (is_spare)
		snprintf(path, sizeof(path), BUNDLE_SPARE_DIR "/%s", id);
	else
		snprintf(path, sizeof(path), "%s/bundles/%s", store_path, id);
	m->store_path = store_path;
	m->bundle = path;
	r = is_spare ? make_spare_dir(e) : file_make_dirs(store_fd(m->store), "bundles", 0755, e);
	r = r < 0 ? r : bundle_make(m, out, told, e);
	m->store_path = m->bundle = NULL;
	return r;
}
