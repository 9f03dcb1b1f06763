/* SPDX-License-Identifier: MIT */
/*
 * One pass over the bytes of a layer, first those that an earlier pull kept, then the registry's from there on. The registry may lie about every one of
 * them; nothing is visible before the whole is what the manifest says.
 */
#include "layers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "config.h"
#include "partial.h"
#include "sha256.h"
#include "store.h"

enum { ROOM_STEP = 1 << 20 };

/* Where the bytes of a layer go: into the hash, the kept part and the unpacker. */
struct layer_sink {
	struct progress *progress;
	int store_fd;
	uint64_t room_due;	/* from so many bytes on, room is looked at again */
	struct partial partial;
	struct layer_stage *stage;
	struct sha256 hash;
	uint64_t len, size;
	bool is_replay;
	bool is_unpacker_done;	/* it gave up: its reason is asked for at the end */
	struct err *err;
};

/* How much a layer unpacks to is not known before its last byte: so room is looked at on the way. What is still to come takes at least its compressed size,
 * and what others need of the disk is not touched. Where the file system cannot be asked, its own word comes soon enough. */
static int check_room_left(struct layer_sink *s)
{
	uint64_t rest = (s->size - s->len) * (s->partial.fd >= 0 ? 2 : 1) + ((uint64_t)CONFIG_STORE_RESERVE_MIB << 20), room;
	struct statvfs v;

	s->room_due = s->len + ROOM_STEP;
	if (fstatvfs(s->store_fd, &v) < 0)
		return 0;
	room = (uint64_t)v.f_bavail * v.f_frsize;
	return room >= rest ? 0 : err_set(s->err, -ENOSPC, "the image does not fit: %llu MiB into a layer of %llu MiB the store has %llu MiB of room, and the rest needs "
		"at least %llu MiB: broken off. " STORE_MAKE_ROOM, (unsigned long long)(s->len >> 20), (unsigned long long)(s->size >> 20),
		(unsigned long long)(room >> 20), (unsigned long long)(rest >> 20));
}

static int take(void *to, const void *at, size_t len)
{
	struct layer_sink *s = to;
	int r;

	if (s->len >= s->room_due) {
		r = check_room_left(s);
		if (r < 0)
			return r;
	}
	if (len > s->size - s->len)
		return err_set(s->err, -EBADMSG, "layer is longer than its descriptor says: refused");
	s->len += len;
	sha256_add(&s->hash, at, len);
	if (!s->is_replay)
		partial_add(&s->partial, at, len);
	progress_add(s->progress, len, s->is_replay);
	r = layer_stage_feed(s->stage, at, len, s->err);
	if (r == -EPIPE)
		s->is_unpacker_done = true;
	return r;
}

/* Publishing syncs all there is. What came within this time is not on the disk yet: a power cut would find nothing of it, so nothing is lost by
 * forgetting it before it is written for nothing; flash is spared as many bytes as the layer has. */
enum { YOUNG_MS = 30000 };	/* as the kernel's vm.dirty_expire_centisecs */

/* All bytes to the sink: the kept ones, then the rest. */
static int fetch(const struct layers *l, const struct descriptor *blob, struct layer_sink *s, struct err *e)
{
	struct body b = { .sink = take, .to = s };
	char path[100];
	int r;

	s->is_replay = true;
	r = partial_replay(&s->partial, take, s);
	s->is_replay = false;
	if (r < 0)
		return r;
	b.at = s->len;
	if (s->len == s->size && s->size > 0)
		return 0;
	snprintf(path, sizeof(path), "blobs/%s", digest_text(&blob->digest).text);
	return registry_get(l->registry, path, "*/*", &b, NULL, e);
}

/* Size and digest of what came. */
static int check(const struct layer_sink *s, size_t index, const struct digest *have, const struct digest *want, struct err *e)
{
	if (s->len != s->size)
		return err_set(e, -ECONNABORTED, "layer %zu: ended after %llu of %llu bytes", index, (unsigned long long)s->len,
			(unsigned long long)s->size);
	if (!digest_equal(have, want))
		return err_set(e, -EBADMSG, "layer %zu: its bytes are %s, the manifest says %s: refused", index, digest_text(have).text,
			digest_text(want).text);
	return 0;
}

/* Does an error leave bytes that the next pull can go on with? Not where they were wrong, or took the room that was missing. */
static bool is_worth_keeping(int code)
{
	return code == -ECONNABORTED || code == -ETIME || code == -EAGAIN || code == -EACCES || code == -ENOENT || code == -EPROTO;
}

static int try_layer(const struct layers *l, size_t index, const struct layer_spec *spec, uint64_t *kept, struct err *e)
{
	const struct descriptor *blob = &l->manifest->layer[index].blob;
	struct layer_sink s = { .progress = l->progress, .store_fd = store_fd(l->store), .room_due = ROOM_STEP, .partial = { .fd = -1 }, .size = blob->size,
		.err = e };
	int64_t start_ms = link_now_ms();
	struct digest have;
	int r = layer_stage_begin(&s.stage, l->store, l->bundle_exe, spec, e);

	if (r < 0)
		return r;
	if (!l->no_partial && CONFIG_PARTIAL_MIN_KIB && blob->size >= CONFIG_PARTIAL_MIN_KIB * 1024ull)
		partial_open(&s.partial, store_fd(l->store), &blob->digest, blob->size);
	*kept = s.partial.len;
	sha256_begin(&s.hash);
	r = fetch(l, blob, &s, e);
	have = sha256_end(&s.hash);
	if (r == 0)
		r = check(&s, index, &have, &blob->digest, e);
	if (r == 0 && *kept == 0 && link_now_ms() - start_ms < YOUNG_MS)
		partial_drop(&s.partial);
	if (r == 0 || s.is_unpacker_done) {
		struct err why = { "" };
		int done = layer_stage_publish(s.stage, &why);

		r = done < 0 ? err_set(e, done, "%s", why.text) : r < 0 ? err_set(e, -EPROTO, "layer %zu: broken off", index) : 0;
	} else {
		layer_stage_abort(s.stage);
		l->progress->done -= s.len;
		l->progress->mark = l->progress->done;
	}
	if (r < 0 && !s.is_unpacker_done && is_worth_keeping(r))
		partial_keep(&s.partial);
	else
		partial_drop(&s.partial);
	return r;
}

/* A part that an earlier pull kept may be wrong from a power cut or another registry's lie: then once more, without it. */
static int get_layer(const struct layers *l, size_t index, const struct layer_spec *spec, struct err *e)
{
	struct err mine = { "" };
	uint64_t kept;
	int r = try_layer(l, index, spec, &kept, &mine);

	if (kept && r < 0 && r != -ECONNABORTED && r != -ETIME && r != -ENOSPC) {
		struct partial old;

		partial_open(&old, store_fd(l->store), &l->manifest->layer[index].blob.digest, UINT64_MAX);
		partial_drop(&old);
		progress_say(l->progress, "what an earlier pull kept of this layer is of no use: from its start again");
		mine.text[0] = '\0';
		r = try_layer(l, index, spec, &kept, &mine);
	}
	return r < 0 ? err_set(e, r, "%s", mine.text) : 0;
}

/* MISSING: what the unpacked layers will take at least, their compressed size where their maker does not say more; beside them the largest part lies once more while it comes. */
static int check_room(const struct layers *l, uint64_t missing, uint64_t largest, const struct digest *const *wanted, size_t count, struct err *e)
{
	uint64_t need = missing + (l->no_partial ? 0 : largest) + ((uint64_t)CONFIG_STORE_RESERVE_MIB << 20), room = 0;

	for (int attempt = 0; attempt < 2; attempt++) {
		struct statvfs v;

		if (fstatvfs(store_fd(l->store), &v) < 0)
			return err_sys(e, errno, "the store");
		room = (uint64_t)v.f_bavail * v.f_frsize;
		if (missing == 0 || room >= need)
			return 0;
		if (attempt == 0)
			partial_sweep(store_fd(l->store), wanted, count, 0);
	}
	return err_set(e, -ENOSPC, "the image needs at least %llu MiB of room, the store has %llu MiB: nothing was fetched. " STORE_MAKE_ROOM,
		(unsigned long long)(need >> 20), (unsigned long long)(room >> 20));
}

int layers_get(const struct layers *l, struct err *e)
{
	static struct digest chain[CONFIG_LAYERS_MAX];
	const struct digest *wanted[CONFIG_LAYERS_MAX];
	size_t count = l->manifest->layer_count;
	struct progress *p = l->progress;
	uint64_t largest = 0, least = 0, all = 0;
	char name[STORE_SHORT_MAX], line[100];
	int r;

	for (size_t i = 0; i < count; i++) {
		const struct image_layer *layer = &l->manifest->layer[i];

		wanted[i] = &layer->blob.digest;
		chain[i] = store_chain(i ? &chain[i - 1] : NULL, &layer->diff_id);
		r = store_hold(l->store, &chain[i], e);
		if (r < 0)
			return r;
		all += layer->blob.size;
		if (store_layer_find(l->store, &chain[i], name) == 0)
			continue;
		if (__builtin_add_overflow(p->total, layer->blob.size, &p->total) || p->total > INT64_MAX / 4)
			return err_set(e, -EFBIG, "the sizes of the layers are beyond all reason");
		least += layer->unpacked > layer->blob.size ? layer->unpacked : layer->blob.size;
		if (layer->blob.size > largest)
			largest = layer->blob.size;
		p->layers++;
	}
	partial_sweep(store_fd(l->store), wanted, count, CONFIG_PARTIAL_FILES_MAX);
	r = check_room(l, least, largest, wanted, count, e);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct layer_spec spec = {
			.diff_id = l->manifest->layer[i].diff_id, .chain = chain[i], .lower = chain, .lower_len = i,
			.compression = l->manifest->layer[i].compression, .index = (int)i,
		};

		if (store_layer_find(l->store, &chain[i], name) == 0)
			continue;
		p->layer++;
		r = get_layer(l, i, &spec, e);
		if (r == 0) {
			snprintf(line, sizeof(line), "layer %zu of %zu is in the store", p->layer, p->layers);
			progress_say(p, line);
		}
	}
	/* What was there already, or came with an earlier try of it, is not fetched again. */
	snprintf(line, sizeof(line), "%llu of the %llu bytes of its layers were new", (unsigned long long)p->total, (unsigned long long)all);
	if (r == 0)
		progress_say(p, line);
	return r;
}
