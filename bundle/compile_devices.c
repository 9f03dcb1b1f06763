/* SPDX-License-Identifier: MIT */
/*
 * linux.resources.devices (runtime-spec config-linux.md "Allowed Device list") into the BPF program that a cgroup asks before a device is opened or
 * made (linux/bpf.h, BPF_PROG_TYPE_CGROUP_DEVICE). The last rule that matches counts; what no rule matches is denied. The devices that the
 * specification promises to every container come behind the list.
 *
 * Stricter than runc and crun: a rule that denies one kind of access denies every opening that asks for that kind among others.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>

#include "compile_inner.h"

enum { RULES_MAX = 256, ANY = -1, ALL_ACCESS = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE };
enum { R_TYPE = BPF_REG_2, R_ACCESS = BPF_REG_3, R_MAJOR = BPF_REG_4, R_MINOR = BPF_REG_5, R_WORK = BPF_REG_1 };

struct rule {
	uint32_t type, access;		/* type 0: both */
	int64_t major, minor;
	bool is_allowed;
};

static const struct rule always[] = {
	{ BPF_DEVCG_DEV_CHAR, ALL_ACCESS, 1, 3, true }, { BPF_DEVCG_DEV_CHAR, ALL_ACCESS, 1, 5, true },
	{ BPF_DEVCG_DEV_CHAR, ALL_ACCESS, 1, 7, true }, { BPF_DEVCG_DEV_CHAR, ALL_ACCESS, 1, 8, true },
	{ BPF_DEVCG_DEV_CHAR, ALL_ACCESS, 1, 9, true }, { BPF_DEVCG_DEV_CHAR, ALL_ACCESS, 5, 0, true },
	{ BPF_DEVCG_DEV_CHAR, ALL_ACCESS, 5, 2, true }, { BPF_DEVCG_DEV_CHAR, ALL_ACCESS, 136, ANY, true },
};

enum { ALWAYS = sizeof(always) / sizeof(*always), CODE_MAX = 8 + 8 * (RULES_MAX + ALWAYS) };

struct program {
	struct bpf_insn at[CODE_MAX];
	uint32_t len;
};

static uint32_t put(struct program *p, uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
	p->at[p->len] = (struct bpf_insn){ .code = code, .dst_reg = dst & 15, .src_reg = src & 15, .off = off, .imm = imm };
	return p->len++;
}

/* At most eight instructions; those that do not hold jump behind them. */
static void put_rule(struct program *p, const struct rule *r)
{
	uint32_t out[4], outs = 0;

	if (r->type)
		out[outs++] = put(p, BPF_JMP | BPF_JNE | BPF_K, R_TYPE, 0, 0, (int32_t)r->type);
	if (r->access != ALL_ACCESS) {
		put(p, BPF_ALU64 | BPF_MOV | BPF_X, R_WORK, R_ACCESS, 0, 0);
		put(p, BPF_ALU64 | BPF_AND | BPF_K, R_WORK, 0, 0, (int32_t)(r->is_allowed ? ~r->access & ALL_ACCESS : r->access));
		out[outs++] = put(p, BPF_JMP | (r->is_allowed ? BPF_JNE : BPF_JEQ) | BPF_K, R_WORK, 0, 0, 0);
	}
	if (r->major != ANY)
		out[outs++] = put(p, BPF_JMP | BPF_JNE | BPF_K, R_MAJOR, 0, 0, (int32_t)r->major);
	if (r->minor != ANY)
		out[outs++] = put(p, BPF_JMP | BPF_JNE | BPF_K, R_MINOR, 0, 0, (int32_t)r->minor);
	put(p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, r->is_allowed);
	put(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	for (uint32_t i = 0; i < outs; i++)
		p->at[out[i]].off = (int16_t)(p->len - out[i] - 1);
}

static bool is_everything(const struct rule *r)
{
	return !r->type && r->access == ALL_ACCESS && r->major == ANY && r->minor == ANY;
}

/* struct bpf_cgroup_dev_ctx: type in the low half of the first word, access in the high one; major; minor. */
static void put_program(struct program *p, const struct rule *rules, size_t count)
{
	put(p, BPF_LDX | BPF_MEM | BPF_W, R_TYPE, BPF_REG_1, 0, 0);
	put(p, BPF_LDX | BPF_MEM | BPF_W, R_MAJOR, BPF_REG_1, 4, 0);
	put(p, BPF_LDX | BPF_MEM | BPF_W, R_MINOR, BPF_REG_1, 8, 0);
	put(p, BPF_ALU64 | BPF_MOV | BPF_X, R_ACCESS, R_TYPE, 0, 0);
	put(p, BPF_ALU64 | BPF_AND | BPF_K, R_TYPE, 0, 0, 0xffff);
	put(p, BPF_ALU64 | BPF_RSH | BPF_K, R_ACCESS, 0, 0, 16);
	for (size_t i = ALWAYS; i-- > 0;)
		put_rule(p, &always[i]);
	while (count-- > 0) {
		put_rule(p, &rules[count]);
		/* What follows is never reached, and the kernel refuses code that is not. */
		if (is_everything(&rules[count]))
			return;
	}
	put(p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0);
	put(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static int access_of(struct compile *c, const struct jv *j, uint32_t *out)
{
	const char *text = "rwm";
	int r = jv_str(j, &text, c->e);

	*out = 0;
	for (; r == 0 && *text; text++) {
		uint32_t one = *text == 'r' ? BPF_DEVCG_ACC_READ : *text == 'w' ? BPF_DEVCG_ACC_WRITE : *text == 'm' ? BPF_DEVCG_ACC_MKNOD : 0;

		if (!one)
			r = err_set(c->e, -EBADMSG, "%s: takes letters of rwm", j->path);
		*out |= one;
	}
	return r;
}

static int number_of(struct compile *c, const struct jv *j, int64_t *out)
{
	*out = ANY;
	return jv_i64(j, ANY, UINT32_MAX / 2, out, c->e);
}

static int one_rule(struct compile *c, const struct jv *j, struct rule *out)
{
	struct jv allow = jv_get(j, "allow"), type = jv_get(j, "type"), access = jv_get(j, "access");
	struct jv major = jv_get(j, "major"), minor = jv_get(j, "minor");
	const char *kind = "a";
	int r = jv_bool(&allow, &out->is_allowed, c->e);

	if (r == 0)
		r = jv_str(&type, &kind, c->e);
	if (r == 0 && (strlen(kind) != 1 || !strchr("abcu", kind[0])))
		r = err_set(c->e, -EBADMSG, "%s: must be a, b, c or u", type.path);
	if (r == 0)
		r = access_of(c, &access, &out->access);
	if (r == 0)
		r = number_of(c, &major, &out->major);
	if (r == 0)
		r = number_of(c, &minor, &out->minor);
	out->type = r == 0 && kind[0] == 'b' ? BPF_DEVCG_DEV_BLOCK : r == 0 && kind[0] == 'a' ? 0 : BPF_DEVCG_DEV_CHAR;
	return r;
}

int compile_devices(struct compile *c, const struct jv *resources)
{
	static struct rule rules[RULES_MAX];
	static struct program p;
	struct jv list = jv_get(resources, "devices");
	size_t count, from = 0;
	void *out;
	int r = jv_array(&list, RULES_MAX, &count, c->e);

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct jv one = jv_at(&list, i);

		r = one_rule(c, &one, &rules[i]);
		if (is_everything(&rules[i]))
			from = i;
	}
	/* Everything is allowed: no program. */
	if (r < 0 || count == 0 || (from == count - 1 && is_everything(&rules[from]) && rules[from].is_allowed))
		return r;
	p.len = 0;
	put_program(&p, rules, count);
	out = record_build_list(c->b, &c->head->device_prog, p.len, sizeof(*p.at));
	if (out)
		memcpy(out, p.at, p.len * sizeof(*p.at));
	return 0;
}
