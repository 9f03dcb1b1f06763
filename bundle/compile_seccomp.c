/* SPDX-License-Identifier: MIT */
/*
 * config.json's linux.seccomp into BPF, by libseccomp, for the architecture this program was built for (runtime-spec config-linux.md "Seccomp").
 * libseccomp's code checks the architecture before anything else and, on x86-64, lets no x32 number through unless x32 was asked for.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compile_inner.h"

enum { GROUPS_MAX = 512, NAMES_MAX = 1024, ARGS_MAX = 6 };

struct word {
	const char *name;
	uint32_t value;
};

static const struct word actions[] = {
	{ "SCMP_ACT_KILL", SCMP_ACT_KILL }, { "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS },
	{ "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD }, { "SCMP_ACT_TRAP", SCMP_ACT_TRAP },
	{ "SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0) }, { "SCMP_ACT_TRACE", SCMP_ACT_TRACE(0) },
	{ "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW }, { "SCMP_ACT_LOG", SCMP_ACT_LOG }, { NULL, 0 },
};

static const struct word operators[] = {
	{ "SCMP_CMP_NE", SCMP_CMP_NE }, { "SCMP_CMP_LT", SCMP_CMP_LT }, { "SCMP_CMP_LE", SCMP_CMP_LE },
	{ "SCMP_CMP_EQ", SCMP_CMP_EQ }, { "SCMP_CMP_GE", SCMP_CMP_GE }, { "SCMP_CMP_GT", SCMP_CMP_GT },
	{ "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ }, { NULL, 0 },
};

/* SECCOMP_FILTER_FLAG_TSYNC has no meaning in a process with one thread. */
static const struct word flags[] = {
	{ "SECCOMP_FILTER_FLAG_TSYNC", 0 }, { "SECCOMP_FILTER_FLAG_LOG", 2 }, { "SECCOMP_FILTER_FLAG_SPEC_ALLOW", 4 },
	{ NULL, 0 },
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
	if (*out == SCMP_ACT_ERRNO(0))
		*out = SCMP_ACT_ERRNO(n);
	else if (*out == SCMP_ACT_TRACE(0))
		*out = SCMP_ACT_TRACE(n);
	else if (number->v)
		return err_set(c->e, -EBADMSG, "%s: goes with SCMP_ACT_ERRNO or SCMP_ACT_TRACE only", number->path);
	return 0;
}

static int compare(struct compile *c, const struct jv *j, struct scmp_arg_cmp *out)
{
	struct jv index = jv_get(j, "index"), value = jv_get(j, "value"), two = jv_get(j, "valueTwo"), op = jv_get(j, "op");
	uint64_t i = 0, a = 0, b = 0;
	uint32_t word = 0;
	int r = jv_u64(&index, 5, &i, c->e);

	if (r == 0)
		r = jv_u64(&value, UINT64_MAX, &a, c->e);
	if (r == 0)
		r = jv_u64(&two, UINT64_MAX, &b, c->e);
	if (r == 0)
		r = look_up(c, &op, operators, &word);
	*out = (struct scmp_arg_cmp){ .arg = (unsigned)i, .op = (enum scmp_compare)word, .datum_a = a, .datum_b = b };
	return r;
}

/* Adds the rule for one name; several comparisons of the same argument are alternatives (runtime-spec: "args"), as libseccomp wants them apart. */
static int add_rule(scmp_filter_ctx ctx, uint32_t act, int nr, const struct scmp_arg_cmp *cmp, unsigned len)
{
	unsigned seen = 0;
	int r = 0;

	for (unsigned i = 0; i < len; i++) {
		if (seen >> cmp[i].arg & 1) {
			for (unsigned k = 0; r == 0 && k < len; k++)
				r = seccomp_rule_add_array(ctx, act, nr, 1, &cmp[k]);
			return r;
		}
		seen |= 1u << cmp[i].arg;
	}
	return seccomp_rule_add_array(ctx, act, nr, len, cmp);
}

static int group(struct compile *c, scmp_filter_ctx ctx, const struct jv *j, uint32_t fallback)
{
	struct jv names = jv_get(j, "names"), what = jv_get(j, "action"), number = jv_get(j, "errnoRet");
	struct jv args = jv_get(j, "args");
	struct scmp_arg_cmp cmp[ARGS_MAX];
	uint32_t act = 0;
	size_t count, len;
	int r = action(c, &what, &number, &act);

	if (r == 0)
		r = jv_array(&names, NAMES_MAX, &count, c->e);
	if (r == 0)
		r = jv_array(&args, ARGS_MAX, &len, c->e);
	for (size_t i = 0; r == 0 && i < len; i++) {
		struct jv one = jv_at(&args, i);

		r = compare(c, &one, &cmp[i]);
	}
	/* libseccomp refuses a rule that does what is done anyway. */
	if (r < 0 || act == fallback)
		return r;
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct jv one = jv_at(&names, i);
		const char *name = NULL;
		int nr;

		r = jv_str(&one, &name, c->e);
		if (r < 0)
			break;
		nr = name ? seccomp_syscall_resolve_name(name) : __NR_SCMP_ERROR;
		/* Unknown here: of another architecture or of a newer kernel; profiles in the wild list those too. */
		if (nr == __NR_SCMP_ERROR)
			continue;
		r = add_rule(ctx, act, nr, cmp, (unsigned)len);
		if (r < 0 && r != -EDOM && r != -EEXIST)
			r = err_set(c->e, -EBADMSG, "%s: libseccomp refuses the rule for %.40s: %s", one.path, name, strerror(-r));
		else
			r = 0;
	}
	return r;
}

static int architectures(struct compile *c, scmp_filter_ctx ctx, const struct jv *seccomp)
{
	struct jv list = jv_get(seccomp, "architectures");
	size_t count;
	int r = jv_array(&list, 32, &count, c->e);

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct jv one = jv_at(&list, i);
		char name[32];
		const char *text = NULL;
		uint32_t arch;
		size_t k;

		r = jv_str(&one, &text, c->e);
		if (r < 0)
			break;
		if (!text || strncmp(text, "SCMP_ARCH_", 10) != 0)
			return err_set(c->e, -EBADMSG, "%s: is no SCMP_ARCH_ name", one.path);
		snprintf(name, sizeof(name), "%s", text + 10);
		for (k = 0; name[k]; k++)
			name[k] = (char)tolower((unsigned char)name[k]);
		arch = seccomp_arch_resolve_name(name);
		/* Those that this kernel cannot run cost nothing but room: only our own family is compiled in. */
		if (arch == 0)
			return err_set(c->e, -ENOTSUP, "%s: not supported: \"%.40s\"", one.path, text);
#if defined(__x86_64__)
		if (arch != SCMP_ARCH_X86 && arch != SCMP_ARCH_X32)
			continue;
#elif defined(__aarch64__)
		if (arch != SCMP_ARCH_ARM)
			continue;
#else
		continue;
#endif
		r = seccomp_arch_add(ctx, arch);
		r = r == -EEXIST ? 0 : r;
		if (r < 0)
			return err_set(c->e, r, "%s: libseccomp does not add it: %s", one.path, strerror(-r));
	}
	return r;
}

static int export(struct compile *c, scmp_filter_ctx ctx)
{
	size_t len = 0;
	void *out;
	int r = seccomp_export_bpf_mem(ctx, NULL, &len);

	if (r < 0 || len % sizeof(struct sock_filter) != 0)
		return err_set(c->e, r < 0 ? r : -EFAULT, "config.json: linux.seccomp: libseccomp makes no filter of it");
	if (len / sizeof(struct sock_filter) > BPF_MAXINSNS)
		return err_set(c->e, -EFBIG, "config.json: linux.seccomp: %zu instructions, the kernel takes %d",
			len / sizeof(struct sock_filter), BPF_MAXINSNS);
	out = record_build_list(c->b, &c->head->seccomp, len / sizeof(struct sock_filter), sizeof(struct sock_filter));
	if (!out)
		return 0;
	r = seccomp_export_bpf_mem(ctx, out, &len);
	return r < 0 ? err_set(c->e, r, "config.json: linux.seccomp: libseccomp: %s", strerror(-r)) : 0;
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

int compile_seccomp(struct compile *c, const struct jv *seccomp)
{
	struct jv what = jv_get(seccomp, "defaultAction"), number = jv_get(seccomp, "defaultErrnoRet");
	struct jv list = jv_get(seccomp, "syscalls"), listener = jv_get(seccomp, "listenerPath");
	scmp_filter_ctx ctx = NULL;
	uint32_t fallback = 0;
	size_t count = 0;
	int r = jv_object(seccomp, c->e);

	if (r < 0 || !seccomp->v)
		return r;
	r = jv_refuse(&listener, "user space notification: take the property out", c->e);
	if (r == 0)
		r = action(c, &what, &number, &fallback);
	if (r == 0)
		r = filter_flags(c, seccomp);
	if (r == 0)
		r = jv_array(&list, GROUPS_MAX, &count, c->e);
	if (r < 0)
		return r;
	ctx = seccomp_init(fallback);
	if (!ctx)
		return err_set(c->e, -ENOMEM, "%s: libseccomp does not start", seccomp->path);
	r = architectures(c, ctx, seccomp);
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	/* A binary tree of the numbers: a call costs nine comparisons instead of three hundred. */
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct jv one = jv_at(&list, i);

		r = group(c, ctx, &one, fallback);
	}
	if (r == 0)
		r = export(c, ctx);
	if (r < 0)
		err_set(c->e, r, "%s: libseccomp: %s", seccomp->path, strerror(-r));
	seccomp_release(ctx);
	return r;
}
