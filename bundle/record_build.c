/* SPDX-License-Identifier: MIT */
/* Lays out and seals a run record. Input is what compile*.c took out of a config.json; nothing here parses. */
#include "record_build.h"

#include <errno.h>
#include <linux/sched.h>
#include <string.h>

#if defined(__x86_64__)
#define MACHINE "x86_64"
#elif defined(__aarch64__)
#define MACHINE "aarch64"
#elif defined(__arm__)
#define MACHINE "arm"
#else
#error "no machine name for this target"
#endif

void record_build_begin(struct record_build *b)
{
	memset(b, 0, sizeof(*b));
	memcpy(b->head.magic, RECORD_MAGIC, sizeof(b->head.magic));
	b->head.format = RECORD_FORMAT;
	b->used = sizeof(b->head);
}

/* LEN bytes at a multiple of ALIGN, or NULL. */
static uint8_t *take(struct record_build *b, size_t len, size_t align)
{
	size_t at = (b->used + align - 1) / align * align;

	if (b->is_full || at > sizeof(b->bytes) || len > sizeof(b->bytes) - at) {
		b->is_full = true;
		return NULL;
	}
	b->used = at + len;
	return b->bytes + at;
}

struct record_str record_build_str(struct record_build *b, const char *text)
{
	struct record_str s = { 0, 0 };
	size_t len = text ? strlen(text) : 0;
	uint8_t *at = text ? take(b, len + 1, 1) : NULL;

	if (!at)
		return s;
	memcpy(at, text, len + 1);
	s.off = (uint32_t)(at - b->bytes);
	s.len = (uint32_t)len;
	return s;
}

void *record_build_list(struct record_build *b, struct record_list *list, size_t count, size_t size)
{
	uint8_t *at;

	*list = (struct record_list){ 0, 0 };
	if (count == 0)
		return NULL;
	at = count > sizeof(b->bytes) / size ? NULL : take(b, count * size, 8);
	if (!at) {
		b->is_full = true;
		return NULL;
	}
	list->off = (uint32_t)(at - b->bytes);
	list->count = (uint32_t)count;
	return at;
}

static uint64_t add_feature(uint64_t hash, bool is_used, const char *name)
{
	if (!is_used)
		return hash;
	for (const char *p = name; *p; p++)
		hash = (hash ^ (uint8_t)*p) * 0x100000001b3u;
	return (hash ^ ',') * 0x100000001b3u;
}

uint64_t record_build_features(const struct record_head *r)
{
	uint64_t h = 0xcbf29ce484222325u;

	h = add_feature(h, true, MACHINE);
	h = add_feature(h, true, "clone3");
	h = add_feature(h, true, "mount_setattr");
	h = add_feature(h, r->seccomp.count > 0, "seccomp-filter");
	h = add_feature(h, r->layers.count > 1, "overlay");
	h = add_feature(h, r->clone_flags & CLONE_NEWUSER, "userns-idmap");
	h = add_feature(h, r->cgroup_files.count > 0, "cgroup2");
	h = add_feature(h, r->device_prog.count > 0, "cgroup-bpf");
	return h;
}

int record_build_seal(struct record_build *b, struct err *e)
{
	if (b->is_full)
		return err_set(e, -EFBIG, "run record: larger than %u bytes (CONFIG_RECORD_MAX): fewer or shorter "
			"arguments, environment or mounts, or a larger limit", (unsigned)CONFIG_RECORD_MAX);
	b->head.feature_hash = record_build_features(&b->head);
	b->head.size = (uint32_t)b->used;
	b->head.crc32 = 0;
	b->head.crc32 = record_crc32(0, b->bytes, b->used);
	return record_check(b->bytes, b->used, e);
}
