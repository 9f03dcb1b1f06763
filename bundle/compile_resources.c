/* SPDX-License-Identifier: MIT */
/*
 * config.json's linux.resources into lines for cgroup v2 files (runtime-spec config-linux.md "Control groups" and config-linux v2 conversion
 * of cpu shares and memory+swap as crun and runc do it).
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "compile_inner.h"

enum { PAIRS_MAX = 48 };

struct lines {
	struct compile *c;
	uint32_t count;
	char key[PAIRS_MAX][64];
	char value[PAIRS_MAX][128];
};

static int add(struct lines *l, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int add(struct lines *l, const char *key, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (l->count == PAIRS_MAX)
		return err_set(l->c->e, -EFBIG, "config.json: linux.resources: more than %d limits", PAIRS_MAX);
	snprintf(l->key[l->count], sizeof(l->key[0]), "%s", key);
	va_start(ap, fmt);
	n = vsnprintf(l->value[l->count], sizeof(l->value[0]), fmt, ap);
	va_end(ap);
	if (strlen(key) >= sizeof(l->key[0]) || n < 0 || (size_t)n >= sizeof(l->value[0]))
		return err_set(l->c->e, -EFBIG, "config.json: linux.resources: %.60s: name or value too long", key);
	l->count++;
	return 0;
}

/* A byte count, or -1 for no limit. */
static int add_limit(struct lines *l, const char *key, int64_t n)
{
	return n == -1 ? add(l, key, "max") : add(l, key, "%lld", (long long)n);
}

static int refuse(struct lines *l, const struct jv *j, const char *const keys[], const char *why)
{
	for (; *keys; keys++) {
		struct jv one = jv_get(j, *keys);
		int r = jv_refuse(&one, why, l->c->e);

		if (r < 0)
			return r;
	}
	return 0;
}

static int memory(struct lines *l, const struct jv *resources)
{
	static const char *const no[] = { "kernel", "kernelTCP", "swappiness", "disableOOMKiller", "useHierarchy", "checkBeforeUpdate", NULL };
	struct jv m = jv_get(resources, "memory"), limit = jv_get(&m, "limit"), low = jv_get(&m, "reservation");
	struct jv swap = jv_get(&m, "swap");
	int64_t bytes = 0, total = 0, soft = 0;
	int r = refuse(l, &m, no, "cgroup v2 has no such file");

	if (r == 0)
		r = jv_i64(&limit, -1, INT64_MAX, &bytes, l->c->e);
	if (r == 0)
		r = jv_i64(&swap, -1, INT64_MAX, &total, l->c->e);
	if (r == 0)
		r = jv_i64(&low, -1, INT64_MAX, &soft, l->c->e);
	/* 0 is "not set" in files that Go programs write. */
	if (r == 0 && bytes != 0)
		r = add_limit(l, "memory.max", bytes);
	if (r == 0 && soft != 0)
		r = add_limit(l, "memory.low", soft);
	if (r < 0 || total == 0)
		return r;
	if (total == -1)
		return add_limit(l, "memory.swap.max", -1);
	if (bytes <= 0 || total < bytes)
		return err_set(l->c->e, -EBADMSG, "%s: is memory and swap together: needs limit, and not less than that",
			swap.path);
	return add_limit(l, "memory.swap.max", total - bytes);
}

static int cpu(struct lines *l, const struct jv *resources)
{
	static const char *const no[] = { "realtimeRuntime", "realtimePeriod", NULL };
	struct jv j = jv_get(resources, "cpu"), shares = jv_get(&j, "shares"), quota = jv_get(&j, "quota");
	struct jv period = jv_get(&j, "period"), burst = jv_get(&j, "burst"), idle = jv_get(&j, "idle");
	struct jv cpus = jv_get(&j, "cpus"), mems = jv_get(&j, "mems");
	uint64_t weight = 0, per = 0, extra = 0;
	int64_t used = 0, is_idle = 0;
	const char *set = NULL, *nodes = NULL;
	int r = refuse(l, &j, no, "cgroup v2 has no such file");

	if (r == 0)
		r = jv_u64(&shares, 262144, &weight, l->c->e);
	if (r == 0)
		r = jv_i64(&quota, -1, INT64_MAX, &used, l->c->e);
	if (r == 0)
		r = jv_u64(&period, 1000000, &per, l->c->e);
	if (r == 0)
		r = jv_u64(&burst, UINT64_MAX, &extra, l->c->e);
	if (r == 0)
		r = jv_i64(&idle, 0, 1, &is_idle, l->c->e);
	if (r == 0)
		r = jv_str(&cpus, &set, l->c->e);
	if (r == 0)
		r = jv_str(&mems, &nodes, l->c->e);
	if (r == 0 && weight != 0)
		r = add(l, "cpu.weight", "%llu", (unsigned long long)(1 + (weight < 2 ? 0 : weight - 2) * 9999 / 262142));
	per = per ? per : 100000;
	if (r == 0 && used > 0)
		r = add(l, "cpu.max", "%lld %llu", (long long)used, (unsigned long long)per);
	else if (r == 0 && (period.v || used == -1))
		r = add(l, "cpu.max", "max %llu", (unsigned long long)per);
	if (r == 0 && extra)
		r = add(l, "cpu.max.burst", "%llu", (unsigned long long)extra);
	if (r == 0 && idle.v)
		r = add(l, "cpu.idle", "%lld", (long long)is_idle);
	if (r == 0 && set && set[0])
		r = add(l, "cpuset.cpus", "%s", set);
	if (r == 0 && nodes && nodes[0])
		r = add(l, "cpuset.mems", "%s", nodes);
	return r;
}

static int pids_and_io(struct lines *l, const struct jv *resources)
{
	static const char *const no[] = { "leafWeight", "weightDevice", "throttleReadBpsDevice", "throttleWriteBpsDevice",
		"throttleReadIOPSDevice", "throttleWriteIOPSDevice", NULL };
	struct jv pids = jv_get(resources, "pids"), limit = jv_get(&pids, "limit"), io = jv_get(resources, "blockIO");
	struct jv weight = jv_get(&io, "weight");
	int64_t n = 0;
	uint64_t w = 0;
	int r = jv_i64(&limit, -1, INT64_MAX, &n, l->c->e);

	if (r == 0 && n != 0)
		r = add_limit(l, "pids.max", n);
	if (r == 0)
		r = refuse(l, &io, no, "use linux.resources.unified with io.max");
	if (r == 0)
		r = jv_u64(&weight, 1000, &w, l->c->e);
	if (r == 0 && w)
		r = add(l, "io.weight", "%llu", (unsigned long long)(w < 10 ? 1 : 1 + (w - 10) * 9999 / 990));
	return r;
}

static int huge_pages(struct lines *l, const struct jv *resources)
{
	struct jv list = jv_get(resources, "hugepageLimits");
	size_t count;
	int r = jv_array(&list, 16, &count, l->c->e);

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct jv one = jv_at(&list, i), size = jv_get(&one, "pageSize"), limit = jv_get(&one, "limit");
		const char *text = NULL;
		char key[64];
		uint64_t n = 0;

		r = jv_str(&size, &text, l->c->e);
		if (r == 0 && (!text || strspn(text, "0123456789KMGB") != strlen(text) || strlen(text) > 16))
			r = err_set(l->c->e, -EBADMSG, "%s: is no page size like 2MB", size.path);
		if (r == 0)
			r = jv_u64(&limit, UINT64_MAX, &n, l->c->e);
		if (r < 0)
			break;
		snprintf(key, sizeof(key), "hugetlb.%s.max", text);
		r = add(l, key, "%llu", (unsigned long long)n);
	}
	return r;
}

/* Files by their own names; they may not lead out of the unit's cgroup nor move processes. */
static int unified(struct lines *l, const struct jv *resources)
{
	struct jv j = jv_get(resources, "unified");
	yyjson_val *key, *value;
	size_t i, max;
	int r = jv_object(&j, l->c->e);

	if (r < 0 || !j.v)
		return r;
	yyjson_obj_foreach(j.v, i, max, key, value) {
		const char *name = yyjson_get_str(key), *text = yyjson_get_str(value);

		if (!text || strlen(text) != yyjson_get_len(value))
			return err_set(l->c->e, -EBADMSG, "%s.%.60s: is no string", j.path, name);
		if (strchr(name, '/') || !strchr(name, '.') || name[0] == '.' || strncmp(name, "cgroup.", 7) == 0)
			return err_set(l->c->e, -EINVAL, "%s.%.60s: refused: not a limit file of a controller", j.path, name);
		r = add(l, name, "%s", text);
		if (r < 0)
			return r;
	}
	return 0;
}

int compile_resources(struct compile *c, const struct jv *resources)
{
	static const char *const no[] = { "network", "rdma", NULL };
	static struct lines all;
	struct lines *l = &all;
	struct record_pair *out;
	int r = jv_object(resources, c->e);

	*l = (struct lines){ .c = c };
	if (r == 0)
		r = refuse(l, resources, no, "cgroup v2 has no such controller here");
	if (r == 0)
		r = memory(l, resources);
	if (r == 0)
		r = cpu(l, resources);
	if (r == 0)
		r = pids_and_io(l, resources);
	if (r == 0)
		r = huge_pages(l, resources);
	if (r == 0)
		r = unified(l, resources);
	if (r == 0)
		r = compile_devices(c, resources);
	if (r < 0)
		return r;
	out = record_build_list(c->b, &c->head->cgroup_files, l->count, sizeof(*out));
	for (uint32_t i = 0; out && i < l->count; i++) {
		out[i].key = record_build_str(c->b, l->key[i]);
		out[i].value = record_build_str(c->b, l->value[i]);
	}
	return 0;
}
