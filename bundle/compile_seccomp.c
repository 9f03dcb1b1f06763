/* SPDX-License-Identifier: MIT */
/*
 * config.json's linux.seccomp into rules (runtime-spec config-linux.md "Seccomp"), and those into BPF by seccomp_bpf.c, for the architecture
 * this program was built for and the 32-bit one beside it where the profile names it.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "compile_inner.h"
#include "seccomp_bpf.h"

enum { GROUPS_MAX = 512, NAMES_MAX = 1024, RULES_MAX = 4096, COMPARES_MAX = 1024 };

struct word {
	const char *name;
	uint32_t value;
};

static const struct word actions[] = {
	{ "SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD }, { "SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS },
	{ "SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD }, { "SCMP_ACT_TRAP", SECCOMP_RET_TRAP },
	{ "SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO }, { "SCMP_ACT_TRACE", SECCOMP_RET_TRACE },
	{ "SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW }, { "SCMP_ACT_LOG", SECCOMP_RET_LOG }, { NULL, 0 },
};

static const struct word operators[] = {
	{ "SCMP_CMP_NE", SECCOMP_OP_NE }, { "SCMP_CMP_LT", SECCOMP_OP_LT }, { "SCMP_CMP_LE", SECCOMP_OP_LE },
	{ "SCMP_CMP_EQ", SECCOMP_OP_EQ }, { "SCMP_CMP_GE", SECCOMP_OP_GE }, { "SCMP_CMP_GT", SECCOMP_OP_GT },
	{ "SCMP_CMP_MASKED_EQ", SECCOMP_OP_MASKED_EQ }, { NULL, 0 },
};

/* SECCOMP_FILTER_FLAG_TSYNC has no meaning in a process with one thread. */
static const struct word flags[] = {
	{ "SECCOMP_FILTER_FLAG_TSYNC", 0 }, { "SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG },
	{ "SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW }, { NULL, 0 },
};

/* The profile's rules, and the comparisons they point into. */
struct profile {
	struct seccomp_rule rule[RULES_MAX];
	struct seccomp_compare compare[COMPARES_MAX];
	struct sock_filter code[BPF_MAXINSNS];
	size_t rules, compares;
	const struct seccomp_arch *arch[SECCOMP_ARCH_MAX];
	size_t archs;
};

static int look_up(struct compile *c, const struct jv *j, const struct word *table, uint32_t *out)
{
	const char *text = NULL;
	int r = jv_str(j, &text, c->e);

	if (r < 0)
		return r;
	if (!text)
		return err_set(c->e, -EBADMSG, "%s: is missing", j->path);
	for (; table->name; table++)
		if (strcmp(table->name, text) == 0) {
			*out = table->value;
			return 0;
		}
	return err_set(c->e, -ENOTSUP, "%s: not supported: \"%.60s\"", j->path, text);
}

static int action(struct compile *c, const struct jv *j, const struct jv *number, uint32_t *out)
{
	uint64_t n = EPERM;
	int r = look_up(c, j, actions, out);

	if (r == 0)
		r = jv_u64(number, 4095, &n, c->e);
	if (r < 0)
		return r;
	if (*out == SECCOMP_RET_ERRNO || *out == SECCOMP_RET_TRACE)
		*out |= (uint32_t)n;
	else if (number->v)
		return err_set(c->e, -EBADMSG, "%s: goes with SCMP_ACT_ERRNO or SCMP_ACT_TRACE only", number->path);
	return 0;
}

static int compare(struct compile *c, const struct jv *j, struct seccomp_compare *out)
{
	struct jv index = jv_get(j, "index"), value = jv_get(j, "value"), two = jv_get(j, "valueTwo"), op = jv_get(j, "op");
	uint64_t i = 0, a = 0, b = 0;
	uint32_t word = 0;
	int r = jv_u64(&index, SECCOMP_COMPARES_MAX - 1, &i, c->e);

	if (r == 0)
		r = jv_u64(&value, UINT64_MAX, &a, c->e);
	if (r == 0)
		r = jv_u64(&two, UINT64_MAX, &b, c->e);
	if (r == 0)
		r = look_up(c, &op, operators, &word);
	*out = (struct seccomp_compare){ .arg = (uint32_t)i, .op = word, .value = a, .two = b };
	return r;
}

static int add_rule(struct compile *c, struct profile *p, const struct jv *j, struct seccomp_rule rule)
{
	if (p->rules == RULES_MAX)
		return err_set(c->e, -EFBIG, "%s: more than %d rules in all", j->path, RULES_MAX);
	p->rule[p->rules++] = rule;
	return 0;
}

/* Comparisons of one argument are alternatives where a group has several, as runc and crun take them (the runtime-spec is silent). */
static bool is_alternatives(const struct seccomp_compare *cmp, uint32_t len)
{
	uint32_t seen = 0;

	for (uint32_t i = 0; i < len; i++) {
		if (seen >> cmp[i].arg & 1)
			return true;
		seen |= 1u << cmp[i].arg;
	}
	return false;
}

/* A call that no architecture here has is of another or of a newer kernel; profiles in the wild list those too. */
static int add_name(struct compile *c, struct profile *p, const struct jv *j, struct seccomp_rule rule)
{
	uint32_t apart = is_alternatives(rule.compare, rule.count) ? rule.count : 0;
	int r = jv_str(j, &rule.name, c->e);

	if (r == 0 && !rule.name)
		r = err_set(c->e, -EBADMSG, "%s: is no name", j->path);
	if (r < 0 || !apart)
		return r < 0 ? r : add_rule(c, p, j, rule);
	rule.count = 1;
	for (uint32_t i = 0; r == 0 && i < apart; i++, rule.compare++)
		r = add_rule(c, p, j, rule);
	return r;
}

static int group(struct compile *c, struct profile *p, const struct jv *j)
{
	struct jv names = jv_get(j, "names"), what = jv_get(j, "action"), number = jv_get(j, "errnoRet");
	struct jv args = jv_get(j, "args");
	struct seccomp_rule rule = { .compare = &p->compare[p->compares] };
	size_t count = 0, len = 0;
	int r = action(c, &what, &number, &rule.action);

	if (r == 0)
		r = jv_array(&names, NAMES_MAX, &count, c->e);
	if (r == 0 && count == 0)
		r = err_set(c->e, -EBADMSG, "%s: must name at least one system call", names.path);
	if (r == 0)
		r = jv_array(&args, SECCOMP_COMPARES_MAX, &len, c->e);
	if (r == 0 && p->compares + len > COMPARES_MAX)
		r = err_set(c->e, -EFBIG, "%s: more than %d comparisons in all", args.path, COMPARES_MAX);
	for (size_t i = 0; r == 0 && i < len; i++) {
		struct jv one = jv_at(&args, i);

		r = compare(c, &one, &p->compare[p->compares + i]);
	}
	p->compares += len;
	rule.count = (uint32_t)len;
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct jv one = jv_at(&names, i);

		r = add_name(c, p, &one, rule);
	}
	return r;
}

/* The native one is always there. One that this machine cannot run costs nothing and is left out; x32 stays killed. */
static int architectures(struct compile *c, struct profile *p, const struct jv *seccomp)
{
	struct jv list = jv_get(seccomp, "architectures");
	size_t count;
	int r = jv_array(&list, 32, &count, c->e);

	p->arch[p->archs++] = seccomp_arch_native();
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct jv one = jv_at(&list, i);
		const struct seccomp_arch *arch;
		const char *name = NULL;

		r = jv_str(&one, &name, c->e);
		if (r == 0 && (!name || !seccomp_arch_is_known(name)))
			r = err_set(c->e, -ENOTSUP, "%s: not supported: \"%.40s\"", one.path, name ? name : "");
		if (r < 0)
			break;
		arch = seccomp_arch_find(name);
		/* A 32-bit machine cannot run its 64-bit sibling's programs. */
		if (arch && arch->is_32bit && arch != p->arch[0] && p->archs < SECCOMP_ARCH_MAX)
			p->arch[p->archs++] = arch;
	}
	return r;
}

static int export(struct compile *c, struct profile *p, uint32_t fallback)
{
	struct seccomp_filter f = { .at = p->code, .max = BPF_MAXINSNS };
	int r = seccomp_bpf_build(&f, p->arch, p->archs, p->rule, p->rules, fallback);
	void *out;

	if (r == -EFBIG)
		return err_set(c->e, r, "config.json: linux.seccomp: makes more than the %d instructions that the kernel takes", BPF_MAXINSNS);
	if (r < 0)
		return err_sys(c->e, -r, "config.json: linux.seccomp");
	out = record_build_list(c->b, &c->head->seccomp, f.len, sizeof(*f.at));
	if (out)
		memcpy(out, f.at, f.len * sizeof(*f.at));
	return 0;
}

static int filter_flags(struct compile *c, const struct jv *seccomp)
{
	struct jv list = jv_get(seccomp, "flags");
	size_t count;
	int r = jv_array(&list, 8, &count, c->e);

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct jv one = jv_at(&list, i);
		uint32_t flag = 0;

		r = look_up(c, &one, flags, &flag);
		c->head->seccomp_flags |= flag;
	}
	return r;
}

/* With the memory for it in P. */
static int profile(struct compile *c, const struct jv *seccomp, struct profile *p)
{
	struct jv what = jv_get(seccomp, "defaultAction"), number = jv_get(seccomp, "defaultErrnoRet");
	struct jv list = jv_get(seccomp, "syscalls"), listener = jv_get(seccomp, "listenerPath");
	uint32_t fallback = 0;
	size_t count = 0;
	int r = jv_refuse(&listener, "user space notification: take the property out", c->e);

	if (r == 0)
		r = action(c, &what, &number, &fallback);
	if (r == 0)
		r = filter_flags(c, seccomp);
	if (r == 0)
		r = architectures(c, p, seccomp);
	if (r == 0)
		r = jv_array(&list, GROUPS_MAX, &count, c->e);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct jv one = jv_at(&list, i);

		r = group(c, p, &one);
	}
	return r == 0 ? export(c, p, fallback) : r;
}

int compile_seccomp(struct compile *c, const struct jv *seccomp)
{
	struct profile *p;
	int r = jv_object(seccomp, c->e);

	if (r < 0 || !seccomp->v)
		return r;
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_sys(c->e, ENOMEM, "%s", seccomp->path);
	r = profile(c, seccomp, p);
	free(p);
	return r;
}
