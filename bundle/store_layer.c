/* SPDX-License-Identifier: MIT */
/*
 * The index of layers. A layer lies under a short random name that is never given twice (a record compiled long ago must not meet
 * another layer under an old name), and is there for others once its index file is: that one replacement is its publishing.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "file.h"
#include "layer_stage_inner.h"
#include "sha256.h"

enum { INDEX_MAX = 768, SHORT_LEN = 6, RENAME_WITHOUT_REPLACING = 1, LOCK_MS = 10000 };

static void index_path(const struct digest *chain, char out[128])
{
	char hex[DIGEST_HEX_LEN + 1];

	snprintf(out, 128, "layers/index/%s", store_hex(chain, hex));
}

static bool is_short_name(struct span s)
{
	if (s.len == 0 || s.len >= STORE_SHORT_MAX)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!((s.at[i] >= '0' && s.at[i] <= '9') || (s.at[i] >= 'a' && s.at[i] <= 'z')))
			return false;
	return true;
}

/* Value of the line "KEY=..." in TEXT, or a span of length 0. */
static struct span value_of(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (strncmp(line, key, len) == 0 && line[len] == '=')
			return span_of(line + len + 1, strcspn(line + len + 1, "\n"));
	return span_of("", 0);
}

int store_layer_read(struct store *s, const struct digest *chain, struct store_layer *out)
{
	char path[128], hex[DIGEST_HEX_LEN + 1], *text;
	struct span name;
	size_t len;
	int r;

	memset(out, 0, sizeof(*out));
	index_path(chain, path);
	r = file_read(s->root, path, INDEX_MAX, &text, &len, NULL);
	if (r < 0)
		return r;
	r = seal_check(&s->seal, "layer", store_hex(chain, hex), span_of(text, len));
	if (r < 0) {
		free(text);
		return r;
	}
	name = span_of(text, strcspn(text, "\n"));
	out->has_list = digest_parse(value_of(text, "list"), &out->list) == 0;
	r = is_short_name(name) && (out->has_list || !s->seal.is_there) && digest_parse(value_of(text, "diff_id"), &out->diff_id) == 0 ? 0 : -EUCLEAN;
	if (r == 0) {
		span_copy(name, out->name, sizeof(out->name));
		out->entries = strtoull((const char *)value_of(text, "entries").at, NULL, 10);
		out->bytes = strtoull((const char *)value_of(text, "bytes").at, NULL, 10);
		snprintf(path, sizeof(path), "layers/%s", out->name);
		r = faccessat(s->root, path, F_OK, 0) < 0 ? -ENOENT : 0;
	}
	free(text);
	return r;
}

int store_layer_find(struct store *s, const struct digest *chain, char out[STORE_SHORT_MAX])
{
	struct store_layer l;

	if (store_layer_read(s, chain, &l) < 0)
		return -ENOENT;
	memcpy(out, l.name, sizeof(l.name));
	return 0;
}

static void random_name(char out[STORE_SHORT_MAX])
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	uint8_t bytes[SHORT_LEN];

	if (getrandom(bytes, sizeof(bytes), GRND_NONBLOCK) != sizeof(bytes))
		for (int i = 0; i < SHORT_LEN; i++)	/* the pool is not ready at first boot: any name that is free will do */
			bytes[i] = (uint8_t)rand();
	for (int i = 0; i < SHORT_LEN; i++)
		out[i] = digits[bytes[i] % 36];
	out[SHORT_LEN] = '\0';
}

static int move(int root, const char *from, const char *to)
{
	return syscall(SYS_renameat2, root, from, root, to, RENAME_WITHOUT_REPLACING) < 0 ? -errno : 0;
}

static int sync_dir(int root, const char *path)
{
	int fd = file_open_beneath(root, path, O_RDONLY | O_DIRECTORY, 0), r = 0;

	if (fd < 0)
		return fd;
	if (fsync(fd) < 0)
		r = -errno;
	close(fd);
	return r;
}

/* Under a free name: the list first, so that no layer is ever without one. */
static int place(struct store *s, const struct staging *t, char name[STORE_SHORT_MAX])
{
	char from[64], to[64], list[64];
	int r = -EEXIST;

	for (int attempt = 0; attempt < 64 && r == -EEXIST; attempt++) {
		random_name(name);
		snprintf(from, sizeof(from), "tmp/%s/list", t->name);
		snprintf(list, sizeof(list), "layers/list/%s", name);
		r = move(s->root, from, list);
		if (r < 0)
			continue;
		snprintf(to, sizeof(to), "layers/%s", name);
		snprintf(from, sizeof(from), "tmp/%s/layer", t->name);
		r = move(s->root, from, to);
		if (r < 0) {
			snprintf(from, sizeof(from), "tmp/%s/list", t->name);
			move(s->root, list, from);
		}
	}
	if (r == 0)
		r = sync_dir(s->root, "layers/list");
	return r < 0 ? r : sync_dir(s->root, "layers");
}

struct usage {
	struct store *store;
	uint64_t bytes;
};

static int add_usage(void *to, const struct digest *chain)
{
	struct store_layer l;
	struct usage *u = to;

	if (store_layer_read(u->store, chain, &l) == 0)
		u->bytes += l.bytes;
	return 0;
}

static int check_quota(struct store *s, int index, uint64_t bytes, struct err *e)
{
	uint64_t quota = (uint64_t)CONFIG_STORE_QUOTA_MIB << 20;
	struct usage u = { s, bytes };
	int r = quota ? store_each(s, STORE_LAYERS, add_usage, &u, e) : 0;

	return r < 0 || !quota || u.bytes <= quota ? r : err_set(e, -EDQUOT, "layer %d: with it the store would hold %llu MiB, its quota is %d MiB "
		"(STORE_QUOTA_MIB). " STORE_MAKE_ROOM, index, (unsigned long long)(u.bytes >> 20), CONFIG_STORE_QUOTA_MIB);
}

/* Of the list that lies in staging. */
static int list_digest(const struct staging *t, struct digest *out)
{
	static uint8_t block[16384];
	int fd = openat(t->dir, "list", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct sha256 h;
	ssize_t n;

	if (fd < 0)
		return -errno;
	sha256_begin(&h);
	while ((n = file_read_full(fd, block, sizeof(block))) > 0)
		sha256_add(&h, block, (size_t)n);
	*out = sha256_end(&h);
	close(fd);
	return (int)n;
}

static size_t index_text(struct store *s, const char *name, const struct layer_spec *spec, const struct digest *list, uint64_t entries, uint64_t bytes,
	char out[INDEX_MAX])
{
	char hex[DIGEST_HEX_LEN + 1], mac[SEAL_LINE_MAX];
	size_t len = (size_t)snprintf(out, INDEX_MAX, "%s\ndiff_id=%s\nentries=%" PRIu64 "\nbytes=%" PRIu64 "\nlist=%s\n", name,
		digest_text(&spec->diff_id).text, entries, bytes, digest_text(list).text);

	seal_line(&s->seal, "layer", store_hex(&spec->chain, hex), span_of(out, len), mac);
	return len + (size_t)snprintf(out + len, INDEX_MAX - len, "%s", mac);
}

int store_layer_publish(struct store *s, const struct staging *t, const struct layer_spec *spec, uint64_t entries, uint64_t bytes,
	struct err *e)
{
	char path[128], text[INDEX_MAX], name[STORE_SHORT_MAX];
	int lock = store_lock(s, false, LOCK_MS, e), r;
	struct digest list;

	if (lock < 0)
		return lock;
	if (store_layer_find(s, &spec->chain, name) == 0) {
		close(lock);	/* another pull was faster: its bytes are the same */
		return 0;
	}
	r = check_quota(s, spec->index, bytes, e);
	if (r < 0) {
		close(lock);
		return r;
	}
	r = list_digest(t, &list);
	if (r == 0)
		r = place(s, t, name);
	if (r == 0) {
		size_t len = index_text(s, name, spec, &list, entries, bytes, text);

		index_path(&spec->chain, path);
		r = file_replace(s->root, path, span_of(text, len), 0644, e);
		if (r < 0) {	/* not published: what was placed goes the way of all staging */
			char placed[64], back[64];

			/* Its replacement may have come as far as the rename. */
			unlinkat(s->root, path, 0);
			snprintf(placed, sizeof(placed), "layers/%s", name);
			snprintf(back, sizeof(back), "tmp/%s/layer", t->name);
			move(s->root, placed, back);
			snprintf(placed, sizeof(placed), "layers/list/%s", name);
			snprintf(back, sizeof(back), "tmp/%s/list", t->name);
			move(s->root, placed, back);
		}
	}
	close(lock);
	return r < 0 ? err_sys(e, -r, "layer %d: cannot publish", spec->index) : 0;
}
