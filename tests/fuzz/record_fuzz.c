/* SPDX-License-Identifier: MIT */
/* Any bytes as a run record. Length and checksum are made right first, so that the inside is reached; what record_check lets through is then read to
 * its last byte, as the starter would. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"

static size_t sum;

static void use(const struct record_head *r, struct record_str s)
{
	const char *text = record_text(r, s);

	if (text && strlen(text) != s.len)
		abort();
	sum += text ? s.len : 0;
}

static void use_bytes(const struct record_head *r, struct record_list l, size_t element)
{
	const uint8_t *at = record_items(r, l);

	for (size_t i = 0; i < l.count * element; i++)
		sum += at[i];
}

static void use_strs(const struct record_head *r, struct record_list l)
{
	const struct record_str *s = record_items(r, l);

	for (uint32_t i = 0; i < l.count; i++)
		use(r, s[i]);
}

static void use_pairs(const struct record_head *r, struct record_list l)
{
	const struct record_pair *p = record_items(r, l);

	for (uint32_t i = 0; i < l.count; i++) {
		use(r, p[i].key);
		use(r, p[i].value);
	}
}

static void use_all(const struct record_head *r)
{
	const struct record_mount *m = record_items(r, r->mounts);
	const struct record_device *d = record_items(r, r->devices);
	const struct record_ns *n = record_items(r, r->ns_join);
	const struct record_str strs[] = { r->id, r->image_digest, r->path_env, r->cwd, r->hostname, r->domainname, r->root_path, r->store, r->cgroup };

	for (size_t i = 0; i < sizeof(strs) / sizeof(*strs); i++)
		use(r, strs[i]);
	use_strs(r, r->args);
	use_strs(r, r->env);
	use_strs(r, r->layers);
	use_strs(r, r->masked);
	use_strs(r, r->readonly);
	use_pairs(r, r->sysctls);
	use_pairs(r, r->cgroup_files);
	use_bytes(r, r->groups, 4);
	use_bytes(r, r->rlimits, sizeof(struct record_rlimit));
	use_bytes(r, r->uid_map, sizeof(struct record_idmap));
	use_bytes(r, r->gid_map, sizeof(struct record_idmap));
	use_bytes(r, r->seccomp, 8);
	for (uint32_t i = 0; i < r->mounts.count; i++) {
		use(r, m[i].source);
		use(r, m[i].target);
		use(r, m[i].fstype);
		use(r, m[i].data);
	}
	for (uint32_t i = 0; i < r->devices.count; i++)
		use(r, d[i].path);
	for (uint32_t i = 0; i < r->ns_join.count; i++)
		use(r, n[i].path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record_head *r = aligned_alloc(8, (size + 7) / 8 * 8 + 8);
	struct err e = { "" };

	memcpy(r, data, size);
	if (record_check(r, size, &e) < 0 && !e.text[0])
		abort();
	if (size >= sizeof(*r)) {
		memcpy(r->magic, RECORD_MAGIC, sizeof(r->magic));
		r->format = RECORD_FORMAT;
		r->size = (uint32_t)size;
		r->crc32 = 0;
		r->crc32 = record_crc32(0, r, size);
		if (record_check(r, size, NULL) == 0)
			use_all(r);
	}
	free(r);
	return 0;
}
