/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as config.json, through the whole compiler: seccomp profiles, device rules, mounts, namespaces, limits. A refusal says why; what comes out is
 * a record that record_check takes, whose programs only jump forward and inside themselves and end in an answer, as the kernel demands.
 */
#include <linux/bpf.h>
#include <linux/filter.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "compile.h"
#include "seccomp_arch.h"

static void check_filter(const struct record_head *r)
{
	const struct sock_filter *f = record_items(r, r->seccomp);
	uint32_t len = r->seccomp.count;

	if (len > BPF_MAXINSNS || (len && BPF_CLASS(f[len - 1].code) != BPF_RET))
		abort();
	for (uint32_t i = 0; i < len; i++) {
		if (BPF_CLASS(f[i].code) == BPF_JMP && (BPF_OP(f[i].code) == BPF_JA ? i + 1 + (uint64_t)f[i].k : i + 1 + (f[i].jt > f[i].jf ? f[i].jt : f[i].jf)) >= len)
			abort();
		if (f[i].code == (BPF_LD | BPF_W | BPF_ABS) && (f[i].k >= 64 || f[i].k % 4))
			abort();
	}
}

/* Forward alone, and no instruction that nothing leads to. */
static void check_devices(const struct record_head *r)
{
	const struct bpf_insn *p = record_items(r, r->device_prog);
	uint32_t len = r->device_prog.count;
	uint8_t *seen = calloc(len + 1, 1);

	seen[0] = 1;
	for (uint32_t i = 0; i < len; i++) {
		bool is_jump = BPF_CLASS(p[i].code) == BPF_JMP, is_exit = is_jump && BPF_OP(p[i].code) == BPF_EXIT;

		if (!seen[i] || (is_jump && !is_exit && (p[i].off < 0 || i + 1 + (uint32_t)p[i].off >= len)))
			abort();
		if (is_jump && !is_exit)
			seen[i + 1 + (uint32_t)p[i].off] = 1;
		if (!is_exit)
			seen[i + 1] = 1;
	}
	if (len && seen[len])
		abort();
	free(seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct record_build out;
	char *text = malloc(size + 1);
	struct err e = { "" };
	int r;

	memcpy(text, data, size);
	text[size] = '\0';
	r = compile_config(span_of(text, size), NULL, "/bundle", &out, &e);
	if (r < 0 && !e.text[0])
		abort();
	if (r == 0) {
		if (record_check(out.bytes, out.head.size, &e) < 0)
			abort();
		check_filter(&out.head);
		check_devices(&out.head);
	}
	free(text);
	return 0;
}
