/* SPDX-License-Identifier: MIT */
/* What is on disk decides, nothing is remembered between runs: a run that was cut is finished by the next. */
#include "gc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle_layers.h"
#include "file.h"
#include "release.h"
#include "slots.h"
#include "store_dir.h"

enum { LOCK_MS = 10000, NAME_MAX_LEN = 80, MOUNT_ROOT = 0x2000 };	/* STATX_ATTR_MOUNT_ROOT, which musl does not name */

struct set {
	struct digest *at;
	size_t len, size;
};

struct gc {
	struct store *store;
	bool dry_run;
	FILE *out;
	struct gc_result *result;
	struct err *err;
	struct set images, chains;	/* that stay */
	struct set gone_images, gone_chains;
	struct names {
		char (*at)[NAME_MAX_LEN];
		size_t len, size;
	} layers, gone_bundles, releases;	/* short names that stay; bundles that go; releases that stay */
	unsigned serial;
};

static int set_add(struct set *s, const struct digest *d)
{
	if (s->len == s->size) {
		size_t size = s->size ? s->size * 2 : 64;
		struct digest *at = realloc(s->at, size * sizeof(*at));

		if (!at)
			return -ENOMEM;
		s->at = at;
		s->size = size;
	}
	s->at[s->len++] = *d;
	return 0;
}

static bool set_has(const struct set *s, const struct digest *d)
{
	for (size_t i = 0; i < s->len; i++)
		if (digest_equal(&s->at[i], d))
			return true;
	return false;
}

static int names_add(struct names *n, const char *name)
{
	if (n->len == n->size) {
		size_t size = n->size ? n->size * 2 : 64;
		void *at = realloc(n->at, size * sizeof(*n->at));

		if (!at)
			return -ENOMEM;
		n->at = at;
		n->size = size;
	}
	if (!span_copy(span_str(name), n->at[n->len], sizeof(n->at[0])))
		return -ENAMETOOLONG;
	n->len++;
	return 0;
}

static bool names_has(const struct names *n, const char *name)
{
	for (size_t i = 0; i < n->len; i++)
		if (strcmp(n->at[i], name) == 0)
			return true;
	return false;
}

static int keep_text(struct gc *g, const char *text)
{
	struct digest d;

	if (!text[0] || digest_parse(span_str(text), &d) < 0 || set_has(&g->images, &d))
		return 0;
	return set_add(&g->images, &d);
}

/* A release keeps the images of its units, and its folder. */
static int keep_release(struct gc *g, const char *digest)
{
	struct release_pins *p = malloc(sizeof(*p));
	char dir[RELEASE_DIR_MAX];
	int r = p ? 0 : -ENOMEM;

	release_dir(digest, dir);
	if (r == 0 && digest[0])
		r = names_add(&g->releases, dir + sizeof(RELEASE_FOLDER));
	if (r == 0 && digest[0] && release_pins_read(g->store, digest, p, NULL) == 0)
		for (uint32_t i = 0; r == 0 && i < p->count; i++)
			r = keep_text(g, p->at[i].digest);
	free(p);
	return r;
}

static int keep_slots(struct gc *g)
{
	struct slots *slots = malloc(sizeof(*slots));
	int r = slots ? slots_read(g->store, slots, g->err) : -ENOMEM;

	for (uint32_t i = 0; r == 0 && i < slots->count; i++) {
		const struct slot *s = &slots->slot[i];

		r = keep_text(g, s->current);
		r = r < 0 ? r : keep_text(g, s->previous);
		r = r < 0 ? r : keep_text(g, s->next);
		if (r < 0 || !release_is(s->name))
			continue;
		r = keep_release(g, s->current);
		r = r < 0 ? r : keep_release(g, s->previous);
		r = r < 0 ? r : keep_release(g, s->next);
	}
	free(slots);
	return r < 0 ? err_prefix(g->err, r, "nothing is removed") : 0;
}

static bool is_mounted(int bundle)
{
	struct statx st;

	return statx(bundle, "rootfs", AT_SYMLINK_NOFOLLOW, 0, &st) == 0 && st.stx_attributes & MOUNT_ROOT;
}

/* Calls VISIT for every directory in FOLDER. */
static int each_dir(struct gc *g, const char *folder, int (*visit)(struct gc *g, int dir, const char *name))
{
	int fd = file_open_beneath(g->store->root, folder, O_RDONLY | O_DIRECTORY, 0), r = 0;
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (list && r == 0 && (entry = readdir(list))) {
		int dir;

		if (entry->d_name[0] == '.')
			continue;
		dir = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (dir < 0)
			continue;
		r = visit(g, dir, entry->d_name);
		close(dir);
	}
	if (list)
		closedir(list);
	return r;
}

static int keep_mounted(struct gc *g, int dir, const char *name)
{
	struct bundle_layers *l = malloc(sizeof(*l));
	int r = 0;

	if (l && is_mounted(dir) && bundle_layers_read(dir, l, NULL) == 0)
		r = keep_text(g, l->image);
	free(l);
	return r;
}

static int find_bundle(struct gc *g, int dir, const char *name)
{
	struct bundle_layers *l = malloc(sizeof(*l));
	struct digest d;
	bool stays;
	int r = 0;

	if (!l)
		return -ENOMEM;
	stays = is_mounted(dir) || (bundle_layers_read(dir, l, NULL) == 0 && digest_parse(span_str(l->image), &d) == 0 && set_has(&g->images, &d));
	free(l);
	if (!stays)
		r = names_add(&g->gone_bundles, name);
	return r;
}

static int keep_chain(void *to, const struct digest *chain)
{
	struct store_layer l;
	struct gc *g = to;
	int r;

	if (set_has(&g->chains, chain))
		return 0;
	r = set_add(&g->chains, chain);
	if (r == 0 && store_layer_read(g->store, chain, &l) == 0)
		r = names_add(&g->layers, l.name);
	return r;
}

static int keep_layers(struct gc *g)
{
	struct digest diff[CONFIG_LAYERS_MAX], chain[CONFIG_LAYERS_MAX];

	for (size_t i = 0; i < g->images.len; i++) {
		struct err why = { "" };
		struct store_image image;
		int count, r = store_image_read(g->store, &g->images.at[i], &image, &why);

		if (r == -ENOENT)
			continue;	/* named, and not pulled yet or any more */
		count = r < 0 ? r : store_image_layers(&image, diff, chain, CONFIG_LAYERS_MAX, &why);
		if (r == 0)
			store_image_free(&image);
		if (count < 0)
			return err_set(g->err, count, "nothing is removed: %s", why.text);
		for (int n = 0; r == 0 && n < count; n++)
			r = keep_chain(g, &chain[n]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int find_image(void *to, const struct digest *d)
{
	struct gc *g = to;

	return set_has(&g->images, d) ? 0 : set_add(&g->gone_images, d);
}

static int find_chain(void *to, const struct digest *d)
{
	struct gc *g = to;

	return set_has(&g->chains, d) ? 0 : set_add(&g->gone_chains, d);
}

/* Into trash/, where nobody looks but those who delete. */
static int discard(struct gc *g, const char *folder, const char *name)
{
	char from[200], to[200];

	if (g->dry_run)
		return 0;
	snprintf(from, sizeof(from), "%s/%s", folder, name);
	snprintf(to, sizeof(to), "trash/%d.%u.%.100s", (int)getpid(), g->serial++, name);
	return renameat(g->store->root, from, g->store->root, to) < 0 && errno != ENOENT ?
		err_sys(g->err, errno, "%s cannot be moved to trash/", from) : 0;
}

static int discard_layer(struct gc *g, int dir, const char *name)
{
	char list[64];
	int r;

	if (strcmp(name, "index") == 0 || strcmp(name, "list") == 0 || names_has(&g->layers, name))
		return 0;
	fprintf(g->out, "layer %s\n", name);
	g->result->layers++;
	r = discard(g, "layers", name);
	snprintf(list, sizeof(list), "layers/list/%.32s", name);
	if (r == 0 && !g->dry_run)
		unlinkat(g->store->root, list, 0);
	return r;
}

static int discard_release(struct gc *g, int dir, const char *name)
{
	if (names_has(&g->releases, name))
		return 0;
	fprintf(g->out, "release %s\n", name);
	return discard(g, RELEASE_FOLDER, name);
}

static int remove_found(struct gc *g)
{
	char hex[DIGEST_HEX_LEN + 1], path[128];
	int r = 0;

	for (size_t i = 0; r == 0 && i < g->gone_bundles.len; i++) {
		fprintf(g->out, "bundle %s\n", g->gone_bundles.at[i]);
		g->result->bundles++;
		r = discard(g, "bundles", g->gone_bundles.at[i]);
	}
	for (size_t i = 0; r == 0 && i < g->gone_images.len; i++) {
		struct store_image image;
		char ref[300] = "";

		if (store_image_read(g->store, &g->gone_images.at[i], &image, NULL) == 0) {
			store_image_admitted(&image, "ref", ref, sizeof(ref));
			store_image_free(&image);
		}
		fprintf(g->out, "image %s %s\n", digest_text(&g->gone_images.at[i]).text, ref);
		g->result->images++;
		r = discard(g, STORE_IMAGES, store_hex(&g->gone_images.at[i], hex));
	}
	/* A layer is gone for others when its index entry is: that first. */
	for (size_t i = 0; r == 0 && i < g->gone_chains.len; i++) {
		struct store_layer l;

		if (store_layer_read(g->store, &g->gone_chains.at[i], &l) == 0)
			g->result->bytes += l.bytes;
		snprintf(path, sizeof(path), STORE_LAYERS "/%s", store_hex(&g->gone_chains.at[i], hex));
		if (!g->dry_run && unlinkat(g->store->root, path, 0) < 0 && errno != ENOENT)
			r = err_sys(g->err, errno, "%s", path);
	}
	if (r == 0)
		r = each_dir(g, "layers", discard_layer);
	if (r == 0)
		r = each_dir(g, RELEASE_FOLDER, discard_release);
	/* Before a byte of them is deleted: a power cut must not bring an emptied layer back to its place. */
	if (!g->dry_run && syncfs(g->store->root) < 0 && r == 0)
		r = err_sys(g->err, errno, "sync");
	return r;
}

static int sweep_aside(struct gc *g, int dir, const char *name)
{
	file_sweep_aside(dir);
	return 0;
}

/* What a power cut left of files being replaced, where the store replaces files: never inside a layer, whose names are the image's. */
static void sweep_replaced(struct gc *g)
{
	static const char *const folders[] = { ".", "state", "layers/index" };

	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		int fd = file_open_beneath(g->store->root, folders[i], O_RDONLY | O_DIRECTORY, 0);

		if (fd >= 0) {
			file_sweep_aside(fd);
			close(fd);
		}
	}
	each_dir(g, STORE_IMAGES, sweep_aside);
	each_dir(g, "bundles", sweep_aside);
}

static int collect(struct gc *g)
{
	int r = keep_slots(g);

	if (r == 0)
		r = each_dir(g, "bundles", keep_mounted);
	if (r == 0)
		r = keep_layers(g);
	if (r == 0)
		r = staging_each_hold(g->store, keep_chain, g);
	if (r == 0)
		r = each_dir(g, "bundles", find_bundle);
	if (r == 0)
		r = store_each(g->store, STORE_IMAGES, find_image, g, g->err);
	if (r == 0)
		r = store_each(g->store, STORE_LAYERS, find_chain, g, g->err);
	return r < 0 ? r : remove_found(g);
}

int gc_run(struct store *s, const struct digest *keep, size_t keep_len, bool dry_run, FILE *out, struct gc_result *result, struct err *e)
{
	struct gc g = { .store = s, .dry_run = dry_run, .out = out, .result = result, .err = e };
	int lock, r;

	memset(result, 0, sizeof(*result));
	r = lock = store_lock(s, true, LOCK_MS, e);
	for (size_t i = 0; r >= 0 && i < keep_len; i++)
		r = set_add(&g.images, &keep[i]);
	if (r >= 0)
		r = collect(&g);
	if (r >= 0 && !dry_run)
		sweep_replaced(&g);
	if (lock >= 0)
		close(lock);
	if (r >= 0 && !dry_run)
		staging_sweep(s);
	free(g.images.at);
	free(g.chains.at);
	free(g.gone_images.at);
	free(g.gone_chains.at);
	free(g.layers.at);
	free(g.gone_bundles.at);
	free(g.releases.at);
	return r < 0 ? err_sys(e, -r, "garbage collection") : 0;
}
