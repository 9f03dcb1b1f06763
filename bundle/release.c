/* SPDX-License-Identifier: MIT */
/* Releases on the disk (release.h). The image was let in by signature and policy; its files are still read beneath its layer, bounded, and checked. */
#include "release.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle_make.h"
#include "file.h"
#include "net_files.h"
#include "quadlet.h"
#include "seal.h"
#include "store_dir.h"
#include "volume_saved.h"

enum { TRUST_FILE_MAX = 1 << 20, ENTRIES_MAX = 64, PINS_MAX = CONFIG_UNITS_MAX * 160 };

bool release_is(const char *unit)
{
	return strcmp(unit, RELEASE_NAME) == 0;
}

void release_dir(const char *digest, char out[RELEASE_DIR_MAX])
{
	const char *hex = strchr(digest, ':');

	snprintf(out, RELEASE_DIR_MAX, RELEASE_FOLDER "/%.32s", hex ? hex + 1 : "none");
}

int release_pins_read(struct store *s, const char *digest, struct release_pins *out, struct err *e)
{
	char dir[RELEASE_DIR_MAX], path[RELEASE_DIR_MAX + 8], *text, *save = NULL;
	size_t len;
	int r;

	memset(out, 0, sizeof(*out));
	release_dir(digest, dir);
	snprintf(path, sizeof(path), "%s/pins", dir);
	r = file_read(s->root, path, PINS_MAX, &text, &len, e);
	if (r < 0)
		return r;
	r = seal_check(store_seal(s), "pins", dir, span_of(text, len));
	if (r < 0)
		err_set(e, -EUCLEAN, "%s: not written under this board's key: refused", path);
	text[seal_body(span_of(text, len)).len] = '\0';
	for (char *line = strtok_r(text, "\n", &save); line && r == 0; line = strtok_r(NULL, "\n", &save)) {
		char *value = strchr(line, ' ');
		struct digest d;

		if (value)
			*value++ = '\0';
		if (!value || out->count == CONFIG_UNITS_MAX || digest_parse(span_str(value), &d) < 0 ||
		    !span_copy(span_str(line), out->at[out->count].unit, UNIT_NAME_MAX))
			r = err_set(e, -EUCLEAN, "%s: damaged", path);
		else
			span_copy(span_str(value), out->at[out->count++].digest, DIGEST_TEXT_LEN + 1);
	}
	free(text);
	return r;
}

int release_pins_write(struct store *s, const char *dir, const struct release_pins *p, struct err *e)
{
	char path[RELEASE_DIR_MAX + 32], name[RELEASE_DIR_MAX], mac[SEAL_LINE_MAX], *text = malloc(PINS_MAX);
	size_t at = 0;
	int r;

	if (!text)
		return err_sys(e, ENOMEM, "%s", dir);
	for (uint32_t i = 0; i < p->count; i++)
		at += (size_t)snprintf(text + at, PINS_MAX - at, "%s %s\n", p->at[i].unit, p->at[i].digest);
	/* By the name that it will have. */
	snprintf(name, sizeof(name), "%.*s", (int)(sizeof(RELEASE_FOLDER) + RELEASE_ID_LEN), dir);
	seal_line(store_seal(s), "pins", name, span_of(text, at), mac);
	at += (size_t)snprintf(text + at, PINS_MAX - at, "%s", mac);
	snprintf(path, sizeof(path), "%s/pins", dir);
	r = file_replace(s->root, path, span_of(text, at), 0644, e);
	free(text);
	return r;
}

const char *release_pin(const struct release_pins *p, const char *unit)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (strcmp(p->at[i].unit, unit) == 0)
			return p->at[i].digest;
	return "";
}

static bool ends_with(const char *s, const char *tail)
{
	size_t a = strlen(s), b = strlen(tail);

	return a > b && strcmp(s + a - b, tail) == 0;
}

/* Under a key (seal.h), where there is one. */
static int copy_file(const struct seal *seal, int from, int to, const char *name, size_t max, struct err *e)
{
	char mac[SEAL_LINE_MAX] = "", *text, *more;
	size_t len;
	int r = file_read(from, name, max, &text, &len, e);

	if (r < 0)
		return err_prefix(e, r, "release");
	more = seal->is_there ? realloc(text, len + SEAL_LINE_MAX + 3) : text;
	if (!more) {
		free(text);
		return err_sys(e, ENOMEM, "release");
	}
	if (seal->is_there) {
		if (len && more[len - 1] != '\n')
			more[len++] = '\n';
		seal_line(seal, "unit", name, span_of(more, len), mac);
		len += (size_t)snprintf(more + len, SEAL_LINE_MAX + 2, "#%s", mac);
	}
	r = file_replace(to, name, span_of(more, len), 0644, e);
	free(more);
	return r;
}

/* The entries of FROM that end in one of TAILS (in "": folders, gone into once). */
static int copy_folder(const struct seal *seal, int from, int to, const char *const *tails, int depth, struct err *e)
{
	DIR *list = fdopendir(from);
	struct dirent *entry;
	int r = list ? 0 : err_sys(e, errno, "release"), count = 0;

	while (r == 0 && (entry = readdir(list))) {
		const char *name = entry->d_name;
		int in, out;

		if (name[0] == '.')
			continue;
		if (++count > ENTRIES_MAX) {
			r = err_set(e, -EFBIG, "release: more than %d entries in one folder", ENTRIES_MAX);
		} else if (depth) {
			in = file_open_beneath(from, name, O_RDONLY | O_DIRECTORY, 0);
			if (in < 0)
				continue;
			r = file_make_dirs(to, name, 0755, e);
			out = r < 0 ? r : file_open_beneath(to, name, O_RDONLY | O_DIRECTORY, 0);
			r = out < 0 ? out : copy_folder(seal, in, out, tails, depth - 1, e);
			if (out < 0)
				close(in);
			else
				close(out);
		} else {
			for (int i = 0; r == 0 && tails[i]; i++)
				if (ends_with(name, tails[i]))
					r = copy_file(seal, from, to, name, TRUST_FILE_MAX, e);
		}
	}
	if (list)
		closedir(list);
	else
		close(from);
	return r;
}

/* The one layer of the image, open. */
static int open_layer(struct store *s, const struct digest *digest, bool *may_change_trust, struct err *e)
{
	struct digest diff[CONFIG_LAYERS_MAX], chain[CONFIG_LAYERS_MAX];
	char path[64], word[8];
	struct store_image image;
	struct store_layer layer;
	int count, r = store_image_read(s, digest, &image, e);

	if (r < 0)
		return r;
	store_image_admitted(&image, "trust", word, sizeof(word));
	*may_change_trust = strcmp(word, "yes") == 0;
	count = r = store_image_layers(&image, diff, chain, CONFIG_LAYERS_MAX, e);
	store_image_free(&image);
	if (r >= 0 && count != 1)
		return err_set(e, -EINVAL, "release: has %d layers; a release is an image of one, with units/ in it", count);
	if (r >= 0)
		r = store_layer_read(s, &chain[0], &layer);
	if (r < 0)
		return err_set(e, r, "release: its layer is not in the store");
	snprintf(path, sizeof(path), "layers/%s", layer.name);
	r = file_open_beneath(s->root, path, O_RDONLY | O_DIRECTORY, 0);
	return r < 0 ? err_sys(e, -r, "%s", path) : r;
}

/* NAME of the layer into DIR; absent is nothing. */
static int copy_part(const struct seal *seal, int layer, int dir, const char *name, const char *const *tails, int depth, struct err *e)
{
	int in = file_open_beneath(layer, name, O_RDONLY | O_DIRECTORY, 0), out, r;

	if (in < 0)
		return in == -ENOENT ? 0 : err_sys(e, -in, "release: %s", name);
	r = file_make_dirs(dir, name, 0755, e);
	out = r < 0 ? r : file_open_beneath(dir, name, O_RDONLY | O_DIRECTORY, 0);
	if (out < 0) {
		close(in);
		return out;
	}
	r = copy_folder(seal, in, out, tails, depth, e);
	close(out);
	return r;
}

static bool has(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int release_copy(struct store *s, const struct digest *digest, const char *dir, struct err *e)
{
	static const char *const units[] = { ".container", ".network", NULL }, *const certs[] = { ".crt", ".cert", ".key", NULL };
	bool may_change_trust = false;
	int layer, to = -1, r;

	layer = open_layer(s, digest, &may_change_trust, e);
	if (layer < 0)
		return layer;
	r = file_make_dirs(s->root, RELEASE_FOLDER, 0755, e);
	r = r < 0 ? r : file_remove_tree(s->root, dir, e);
	r = r < 0 ? r : file_make_dirs(s->root, dir, 0755, e);
	if (r == 0)
		r = to = file_open_beneath(s->root, dir, O_RDONLY | O_DIRECTORY, 0);
	if (r >= 0 && !has(layer, "units"))
		r = err_set(e, -EINVAL, "release: there is no units/ in it");
	if (r >= 0 && (has(layer, "policy.json") || has(layer, "certs.d")) && !may_change_trust)
		r = err_set(e, -EKEYREJECTED, "release: it brings policy.json or certs.d, and the policy that let it in does not say "
			"\"X-Coracle-MayChangeTrust\": true for it");
	if (r >= 0 && (has(layer, "policy.json") || has(layer, "certs.d")) && store_seal(s)->is_there)
		r = err_set(e, -ENOTSUP, "release: it brings policy.json or certs.d, which a board whose data partition is under a key does not take yet");
	r = r < 0 ? r : file_make_dirs(to, "units", 0755, e);
	r = r < 0 ? r : copy_part(store_seal(s), layer, to, "units", units, 0, e);
	r = r < 0 ? r : copy_part(store_seal(s), layer, to, "certs.d", certs, 1, e);
	if (r >= 0 && has(layer, "policy.json"))
		r = copy_file(store_seal(s), layer, to, "policy.json", TRUST_FILE_MAX, e);
	close(layer);
	if (to >= 0)
		close(to);
	return r < 0 ? r : 0;
}

static int check_network(int dir, const char *name, struct err *e)
{
	char path[300], *text = NULL;
	size_t len = 0;
	int r = file_read(dir, name, QUADLET_FILE_MAX, &text, &len, e);

	snprintf(path, sizeof(path), "release: units/%.200s", name);
	if (r == 0)
		r = net_files_try(span_of(text, len), path, e);
	free(text);
	return r;
}

int release_each(struct store *s, const char *dir, int (*visit)(void *to, const struct unit_file *u, struct span bytes, struct err *e), void *to,
	struct err *e)
{
	char folder[RELEASE_DIR_MAX + 32], path[400];
	struct dirent *entry;
	int fd, r = 0, count = 0;
	DIR *list;

	snprintf(folder, sizeof(folder), "%s/units", dir);
	fd = file_open_beneath(s->root, folder, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return err_sys(e, -fd, "%s", folder);
	list = fdopendir(fd);
	while (list && r == 0 && (entry = readdir(list))) {
		struct unit_file *u = NULL;
		char *bytes = NULL;
		size_t len = 0;

		if (ends_with(entry->d_name, ".network"))
			r = check_network(fd, entry->d_name, e);
		if (r < 0 || !ends_with(entry->d_name, ".container"))
			continue;
		snprintf(path, sizeof(path), "release: units/%.200s", entry->d_name);
		r = file_read(fd, entry->d_name, QUADLET_FILE_MAX, &bytes, &len, e);
		if (r == 0)
			r = unit_file_new(&u, span_of(bytes, len), path, NULL, e);
		if (r == 0 && ++count > CONFIG_UNITS_MAX)
			r = err_set(e, -EFBIG, "release: more than %d units (CONFIG_UNITS_MAX)", CONFIG_UNITS_MAX);
		if (r == 0 && (!strstr(u->image, "@sha256:") || u->update.is_auto))
			r = err_set(e, -EINVAL, "%s: Image= of a unit in a release names a digest (NAME@sha256:...), and has no AutoUpdate=", path);
		if (r == 0)
			r = visit(to, u, span_of(bytes, len), e);
		unit_file_free(u);
		free(bytes);
	}
	if (list)
		closedir(list);
	return r;
}

struct compiling {
	struct store *store;
	const char *store_dir;
	struct release_pins pins;
	struct record_build record;
	uint64_t need;			/* room for copies of volumes */
};

static int compile_one(void *to, const struct unit_file *u, struct span bytes, struct err *e)
{
	struct compiling *c = to;
	struct bundle_told told;
	struct digest digest;
	struct bundle_make m = { .store = c->store, .digest = &digest, .unit = u };
	int r = digest_parse(span_str(release_pin(&c->pins, u->name)), &digest);

	if (r < 0)
		return err_set(e, -EUCLEAN, "release: unit %s: not pinned: pull it again", u->name);
	r = bundle_make_own(&m, c->store_dir, false, bytes, &c->record, &told, e);
	if (r == 0)
		r = volume_saved_room(c->store, u, &c->need, e);
	return r < 0 ? err_prefix(e, r, "release: unit %s", u->name) : 0;
}

int release_compile(struct store *s, const char *store_dir, const char *digest, struct err *e)
{
	struct compiling *c = calloc(1, sizeof(*c));
	char dir[RELEASE_DIR_MAX], absolute[PATH_MAX];
	int r;

	if (!c)
		return err_sys(e, ENOMEM, "release");
	c->store = s;
	c->store_dir = absolute;	/* each bundle changes the working directory */
	release_dir(digest, dir);
	r = realpath(store_dir, absolute) ? release_pins_read(s, digest, &c->pins, e) : err_sys(e, errno, "%s", store_dir);
	if (r == 0)
		r = release_each(s, dir, compile_one, c, e);
	free(c);
	return r;
}
