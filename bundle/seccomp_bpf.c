/* SPDX-License-Identifier: MIT */
/*
 * The code generator. Input: rules that compile_seccomp.c has checked. An architecture's numbers become ranges of one outcome each; the
 * ranges become a balanced tree of comparisons whose leaves are returns, or the comparisons of arguments. All jumps go forwards and are relative,
 * so a piece of code can be moved as a whole.
 */
#include "seccomp_bpf.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

enum { X32_BIT = 0x40000000, JUMP_MAX = 255, FAILS_MAX = 3 * SECCOMP_COMPARES_MAX };

/* A rule, resolved: what it says of one number. */
struct entry {
	uint32_t nr, order;
	const struct seccomp_rule *rule;
	uint32_t sub;			/* of socketcall or ipc, or 0 */
};

/* From START up to the next one's. */
struct range {
	uint32_t start;
	uint32_t action;		/* where COUNT is 0 */
	uint32_t first, count;		/* entries with comparisons */
};

struct build {
	struct seccomp_filter *out;
	const struct seccomp_arch *arch;
	uint32_t fallback;
	struct entry *entry;
	struct range *range;
	size_t entries, ranges;
	bool is_full;
};

/* linux/net.h, linux/ipc.h: what i386 also does by one number, with the call as first argument. */
static const struct {
	const char *name;
	uint16_t nr, sub;
} inner_calls[] = {
	{ "socket", 102, 1 }, { "bind", 102, 2 }, { "connect", 102, 3 }, { "listen", 102, 4 }, { "accept", 102, 5 },
	{ "getsockname", 102, 6 }, { "getpeername", 102, 7 }, { "socketpair", 102, 8 }, { "send", 102, 9 }, { "recv", 102, 10 },
	{ "sendto", 102, 11 }, { "recvfrom", 102, 12 }, { "shutdown", 102, 13 }, { "setsockopt", 102, 14 },
	{ "getsockopt", 102, 15 }, { "sendmsg", 102, 16 }, { "recvmsg", 102, 17 }, { "accept4", 102, 18 }, { "recvmmsg", 102, 19 },
	{ "sendmmsg", 102, 20 }, { "semop", 117, 1 }, { "semget", 117, 2 }, { "semctl", 117, 3 }, { "semtimedop", 117, 4 },
	{ "msgsnd", 117, 11 }, { "msgrcv", 117, 12 }, { "msgget", 117, 13 }, { "msgctl", 117, 14 }, { "shmat", 117, 21 },
	{ "shmdt", 117, 22 }, { "shmget", 117, 23 }, { "shmctl", 117, 24 },
};

static size_t put(struct build *b, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	size_t at = b->out->len;

	if (at >= b->out->max) {
		b->is_full = true;
		return at;
	}
	b->out->at[at] = (struct sock_filter){ .code = code, .jt = jt, .jf = jf, .k = k };
	b->out->len++;
	return at;
}

static void put_return(struct build *b, uint32_t action)
{
	put(b, BPF_RET | BPF_K, action, 0, 0);
}

/* A gap of one instruction at AT. */
static void open_gap(struct build *b, size_t at)
{
	size_t end = b->out->len;

	put_return(b, 0);
	if (!b->is_full)
		memmove(&b->out->at[at + 1], &b->out->at[at], (end - at) * sizeof(*b->out->at));
}

/* Jumps that are taken when a rule does not match; each is set once the rule's end is known. */
struct fails {
	size_t at[FAILS_MAX];
	bool is_true[FAILS_MAX];
	size_t count;
};

/* CODE with K on the loaded word: goes on where it holds as WANTED, else fails. */
static void need(struct build *b, struct fails *f, uint16_t code, uint32_t k, bool wanted)
{
	f->at[f->count] = put(b, BPF_JMP | code | BPF_K, k, 0, 0);
	f->is_true[f->count++] = !wanted;
}

static void load(struct build *b, const struct seccomp_compare *c, bool is_high, uint32_t mask)
{
	put(b, BPF_LD | BPF_W | BPF_ABS, (uint32_t)(offsetof(struct seccomp_data, args) + 8 * c->arg + 4 * is_high), 0, 0);
	if (c->op == SECCOMP_OP_MASKED_EQ && mask != UINT32_MAX)
		put(b, BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
}

/* The low word decides. */
static void low_word(struct build *b, struct fails *f, const struct seccomp_compare *c)
{
	uint32_t low = (uint32_t)c->value;

	load(b, c, false, low);
	switch ((enum seccomp_op)c->op) {
	case SECCOMP_OP_EQ: need(b, f, BPF_JEQ, low, true); break;
	case SECCOMP_OP_NE: need(b, f, BPF_JEQ, low, false); break;
	case SECCOMP_OP_GT: need(b, f, BPF_JGT, low, true); break;
	case SECCOMP_OP_GE: need(b, f, BPF_JGE, low, true); break;
	case SECCOMP_OP_LE: need(b, f, BPF_JGT, low, false); break;
	case SECCOMP_OP_LT: need(b, f, BPF_JGE, low, false); break;
	case SECCOMP_OP_MASKED_EQ: need(b, f, BPF_JEQ, (uint32_t)c->two, true); break;
	}
}

/* The high word, then the low one where the high one leaves it open; a jump of 2 or 3 ends behind the low word's comparison. */
static void compare(struct build *b, struct fails *f, const struct seccomp_compare *c)
{
	uint32_t high = (uint32_t)(c->value >> 32);

	if (b->arch->is_32bit) {
		low_word(b, f, c);
		return;
	}
	/* A mask over the low word alone. */
	if (c->op != SECCOMP_OP_MASKED_EQ || high || c->two >> 32)
		load(b, c, true, high);
	switch ((enum seccomp_op)c->op) {
	case SECCOMP_OP_EQ:
		need(b, f, BPF_JEQ, high, true);
		break;
	case SECCOMP_OP_NE:
		put(b, BPF_JMP | BPF_JEQ | BPF_K, high, 0, 2);
		break;
	case SECCOMP_OP_GT:
	case SECCOMP_OP_GE:
		put(b, BPF_JMP | BPF_JGT | BPF_K, high, 3, 0);
		need(b, f, BPF_JEQ, high, true);
		break;
	case SECCOMP_OP_LE:
	case SECCOMP_OP_LT:
		need(b, f, BPF_JGT, high, false);
		put(b, BPF_JMP | BPF_JEQ | BPF_K, high, 0, 2);
		break;
	case SECCOMP_OP_MASKED_EQ:
		if (high || c->two >> 32)
			need(b, f, BPF_JEQ, (uint32_t)(c->two >> 32), true);
		break;
	}
	low_word(b, f, c);
}

static void settle(struct build *b, const struct fails *f)
{
	for (size_t i = 0; i < f->count && !b->is_full; i++) {
		struct sock_filter *j = &b->out->at[f->at[i]];
		uint8_t distance = (uint8_t)(b->out->len - f->at[i] - 1);

		if (f->is_true[i])
			j->jt = distance;
		else
			j->jf = distance;
	}
}

static void put_entry(struct build *b, const struct entry *e)
{
	struct seccomp_compare inner = { .op = SECCOMP_OP_EQ, .value = e->sub };
	struct fails f = { .count = 0 };

	if (e->sub)
		compare(b, &f, &inner);
	for (uint32_t i = 0; !e->sub && i < e->rule->count; i++)
		compare(b, &f, &e->rule->compare[i]);
	put_return(b, e->rule->action);
	settle(b, &f);
}

static void put_leaf(struct build *b, const struct range *r)
{
	for (uint32_t i = 0; i < r->count; i++)
		put_entry(b, &b->entry[r->first + i]);
	put_return(b, r->count ? b->fallback : r->action);
}

/* Ranges FROM to before TO; the number is in the accumulator. */
static void put_tree(struct build *b, size_t from, size_t to)
{
	size_t middle = from + (to - from) / 2, jump, len;

	if (to - from == 1) {
		put_leaf(b, &b->range[from]);
		return;
	}
	jump = put(b, BPF_JMP | BPF_JGE | BPF_K, b->range[middle].start, 0, 0);
	put_tree(b, from, middle);
	if (b->is_full)
		return;
	len = b->out->len - jump - 1;
	if (len > JUMP_MAX) {
		open_gap(b, jump + 1);
		if (b->is_full)
			return;
		b->out->at[jump + 1] = (struct sock_filter){ .code = BPF_JMP | BPF_JA, .k = (uint32_t)len };
		b->out->at[jump].jf = 1;
	} else {
		b->out->at[jump].jt = (uint8_t)len;
	}
	put_tree(b, middle, to);
}

static int by_number(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->nr != y->nr ? (x->nr < y->nr ? -1 : 1) : x->order < y->order ? -1 : x->order > y->order;
}

static void add_entry(struct build *b, uint32_t nr, const struct seccomp_rule *rule, uint32_t sub)
{
	b->entry[b->entries] = (struct entry){ .nr = nr, .order = (uint32_t)b->entries, .rule = rule, .sub = sub };
	b->entries++;
}

/* Arguments behind socketcall are out of a filter's sight: a rule that looks at them holds there for all calls if it forbids, for none if it allows. */
static void add_inner(struct build *b, const struct seccomp_rule *rule)
{
	uint32_t kind = rule->action & SECCOMP_RET_ACTION_FULL;

	if (rule->count && (kind == SECCOMP_RET_ALLOW || kind == SECCOMP_RET_LOG || kind == SECCOMP_RET_TRACE))
		return;
	for (size_t i = 0; i < sizeof(inner_calls) / sizeof(*inner_calls); i++)
		if (strcmp(inner_calls[i].name, rule->name) == 0)
			add_entry(b, inner_calls[i].nr, rule, inner_calls[i].sub);
}

static void resolve(struct build *b, const struct seccomp_rule *rules, size_t count)
{
	b->entries = 0;
	for (size_t i = 0; i < count; i++) {
		int64_t nr = seccomp_arch_number(b->arch, rules[i].name);

		if (rules[i].action == b->fallback)
			continue;
		if (nr >= 0)
			add_entry(b, (uint32_t)nr, &rules[i], 0);
		if (b->arch->has_socketcall)
			add_inner(b, &rules[i]);
	}
	qsort(b->entry, b->entries, sizeof(*b->entry), by_number);
}

static void add_range(struct build *b, struct range r)
{
	struct range *last = b->ranges ? &b->range[b->ranges - 1] : NULL;

	if (last && last->start == r.start)
		last = --b->ranges ? last - 1 : NULL;
	if (!last || last->count || r.count || last->action != r.action)
		b->range[b->ranges++] = r;
}

/* The entries of one number. */
static struct range outcome(const struct build *b, size_t first, size_t count)
{
	struct range r = { .start = b->entry[first].nr, .first = (uint32_t)first, .count = (uint32_t)count };

	for (size_t i = first; i < first + count; i++)
		if (!b->entry[i].rule->count && !b->entry[i].sub)
			return (struct range){ .start = r.start, .action = b->entry[i].rule->action };
	return r;
}

static void make_ranges(struct build *b)
{
	size_t i = 0;

	b->ranges = 0;
	add_range(b, (struct range){ .start = 0, .action = b->fallback });
	while (i < b->entries) {
		uint32_t nr = b->entry[i].nr;
		size_t count = 1;

		while (i + count < b->entries && b->entry[i + count].nr == nr)
			count++;
		add_range(b, outcome(b, i, count));
		add_range(b, (struct range){ .start = nr + 1, .action = b->fallback });
		i += count;
	}
	if (b->arch->has_x32) {
		add_range(b, (struct range){ .start = X32_BIT, .action = SECCOMP_RET_KILL_PROCESS });
		/* -1 is how a tracer takes a call away. */
		add_range(b, (struct range){ .start = UINT32_MAX, .action = b->fallback });
	}
}

/* A call of another architecture passes over the block. */
static void put_arch(struct build *b, const struct seccomp_rule *rules, size_t count)
{
	size_t skip;

	put(b, BPF_JMP | BPF_JEQ | BPF_K, b->arch->audit, 1, 0);
	skip = put(b, BPF_JMP | BPF_JA, 0, 0, 0);
	put(b, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
	resolve(b, rules, count);
	make_ranges(b);
	put_tree(b, 0, b->ranges);
	if (!b->is_full)
		b->out->at[skip].k = (uint32_t)(b->out->len - skip - 1);
}

int seccomp_bpf_build(struct seccomp_filter *out, const struct seccomp_arch *const *archs, size_t count, const struct seccomp_rule *rules,
	size_t rules_len, uint32_t fallback)
{
	struct build b = { .out = out, .fallback = fallback };
	int r = 0;

	/* At most two entries a rule, two ranges an entry, and the four that are always there. */
	b.entry = calloc(2 * rules_len + 1, sizeof(*b.entry));
	b.range = calloc(4 * rules_len + 4, sizeof(*b.range));
	out->len = 0;
	if (!b.entry || !b.range) {
		r = -ENOMEM;
		goto out;
	}
	put(&b, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
	for (size_t i = 0; i < count; i++) {
		b.arch = archs[i];
		put_arch(&b, rules, rules_len);
	}
	put_return(&b, SECCOMP_RET_KILL_PROCESS);
	r = b.is_full ? -EFBIG : 0;
out:
	free(b.range);
	free(b.entry);
	return r;
}
