/* SPDX-License-Identifier: MIT */
/*
 * Checks a compiled run record before anything in it is used. Input: a file or
 * memfd that may be cut, flipped or of another build. Never allocates, never
 * reads outside the given bytes.
 */
#include "record.h"

#include <errno.h>
#include <string.h>

#include "config.h"

uint32_t record_crc32(uint32_t crc, const void *at, size_t len)
{
	const uint8_t *p = at;
	uint32_t table[16];

	/* Half-byte table: 64 bytes of stack instead of 1 KiB of data. */
	for (uint32_t i = 0; i < 16; i++) {
		uint32_t c = i;

		for (int k = 0; k < 4; k++)
			c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
		table[i] = c;
	}
	crc = ~crc;
	while (len--) {
		crc ^= *p++;
		crc = table[crc & 15] ^ crc >> 4;
		crc = table[crc & 15] ^ crc >> 4;
	}
	return ~crc;
}

struct view {
	const uint8_t *at;
	uint32_t size;
	bool is_bad;
};

static void check_str(struct view *v, struct record_str s)
{
	if (s.off == 0) {
		v->is_bad |= s.len != 0;
		return;
	}
	if (s.off < sizeof(struct record_head) || s.off >= v->size || s.len >= v->size - s.off) {
		v->is_bad = true;
		return;
	}
	if (memchr(v->at + s.off, '\0', (size_t)s.len + 1) != v->at + s.off + s.len)
		v->is_bad = true;
}

/* The list's first element, or NULL where there is nothing to walk. */
static const void *check_list(struct view *v, struct record_list l, size_t element)
{
	if (l.count == 0)
		return NULL;
	if (l.off < sizeof(struct record_head) || l.off % 8 != 0 || l.off >= v->size ||
	    l.count > (v->size - l.off) / element) {
		v->is_bad = true;
		return NULL;
	}
	return v->at + l.off;
}

static void check_strs(struct view *v, struct record_list l)
{
	const struct record_str *s = check_list(v, l, sizeof(*s));

	for (uint32_t i = 0; s && i < l.count; i++) {
		check_str(v, s[i]);
		v->is_bad |= s[i].off == 0;
	}
}

static void check_pairs(struct view *v, struct record_list l)
{
	const struct record_pair *p = check_list(v, l, sizeof(*p));

	for (uint32_t i = 0; p && i < l.count; i++) {
		check_str(v, p[i].key);
		check_str(v, p[i].value);
		v->is_bad |= p[i].key.off == 0 || p[i].value.off == 0;
	}
}

static void check_mounts(struct view *v, struct record_list l)
{
	const struct record_mount *m = check_list(v, l, sizeof(*m));

	for (uint32_t i = 0; m && i < l.count; i++) {
		check_str(v, m[i].source);
		check_str(v, m[i].target);
		check_str(v, m[i].fstype);
		check_str(v, m[i].data);
		v->is_bad |= m[i].target.off == 0;
		v->is_bad |= m[i].bind ? m[i].source.off == 0 : m[i].fstype.off == 0;
	}
}

static void check_secrets(struct view *v, struct record_list l)
{
	const struct record_secret *s = check_list(v, l, sizeof(*s));

	for (uint32_t i = 0; s && i < l.count; i++) {
		check_str(v, s[i].source);
		check_str(v, s[i].name);
		v->is_bad |= s[i].source.off == 0 || s[i].name.off == 0;
	}
}

static void check_process(struct view *v, const struct record_head *r)
{
	check_strs(v, r->args);
	check_strs(v, r->env);
	check_str(v, r->path_env);
	check_str(v, r->cwd);
	check_list(v, r->groups, sizeof(uint32_t));
	check_list(v, r->rlimits, sizeof(struct record_rlimit));
	v->is_bad |= r->args.count == 0 || r->cwd.off == 0;
}

static void check_system(struct view *v, const struct record_head *r)
{
	const struct record_ns *ns = check_list(v, r->ns_join, sizeof(*ns));
	const struct record_device *dev = check_list(v, r->devices, sizeof(*dev));

	for (uint32_t i = 0; ns && i < r->ns_join.count; i++) {
		check_str(v, ns[i].path);
		v->is_bad |= ns[i].path.off == 0;
	}
	for (uint32_t i = 0; dev && i < r->devices.count; i++) {
		check_str(v, dev[i].path);
		v->is_bad |= dev[i].path.off == 0;
	}
	check_list(v, r->uid_map, sizeof(struct record_idmap));
	check_list(v, r->gid_map, sizeof(struct record_idmap));
	check_str(v, r->hostname);
	check_str(v, r->domainname);
	check_str(v, r->cgroup);
	check_pairs(v, r->cgroup_files);
	check_pairs(v, r->sysctls);
	check_list(v, r->device_prog, 8);
	check_secrets(v, r->secrets);
	check_list(v, r->seccomp, 8);
	v->is_bad |= r->seccomp.count > 4096;	/* BPF_MAXINSNS */
}

static void check_root(struct view *v, const struct record_head *r)
{
	check_str(v, r->root_path);
	check_str(v, r->store);
	check_strs(v, r->layers);
	check_mounts(v, r->mounts);
	check_strs(v, r->masked);
	check_strs(v, r->readonly);
	if (r->rootfs == RECORD_ROOTFS_PATH)
		v->is_bad |= r->root_path.off == 0;
	else if (r->rootfs == RECORD_ROOTFS_LAYERS)
		v->is_bad |= r->store.off == 0 || r->layers.count == 0;
	else
		v->is_bad = true;
}

/* The checksum as if its own field were 0. */
static uint32_t checksum(const uint8_t *at, size_t size)
{
	static const uint8_t zero[4];
	size_t field = offsetof(struct record_head, crc32);
	uint32_t crc = record_crc32(0, at, field);

	crc = record_crc32(crc, zero, sizeof(zero));
	return record_crc32(crc, at + field + 4, size - field - 4);
}

int record_check(const void *at, size_t size, struct err *e)
{
	const struct record_head *r = at;
	struct view v = { .at = at };

	if (size < sizeof(*r) || memcmp(r->magic, RECORD_MAGIC, sizeof(r->magic)) != 0)
		return err_set(e, -EBADMSG, "run record: not a run record (%zu bytes)", size);
	if (r->format != RECORD_FORMAT)
		return err_set(e, -ESTALE, "run record: format %u, this program reads %u: compile the bundle again",
			r->format, RECORD_FORMAT);
	if (r->size != size || size > CONFIG_RECORD_MAX)
		return err_set(e, -EBADMSG, "run record: is %zu bytes long and claims %u (at most %u): compile the bundle again",
			size, r->size, (unsigned)CONFIG_RECORD_MAX);
	if (checksum(at, size) != r->crc32)
		return err_set(e, -EBADMSG, "run record: checksum does not match: compile the bundle again");
	v.size = r->size;
	check_str(&v, r->id);
	check_str(&v, r->image_digest);
	check_process(&v, r);
	check_system(&v, r);
	check_root(&v, r);
	if (v.is_bad)
		return err_set(e, -EBADMSG, "run record: points outside itself: compile the bundle again");
	return 0;
}
