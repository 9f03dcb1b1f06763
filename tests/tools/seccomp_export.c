/* SPDX-License-Identifier: MIT */
/*
 * The seccomp code generator with every architecture in one host program, for test_seccomp.py. Reads from stdin
 *	default ACTION | arch SCMP_ARCH_NAME | rule ACTION NAME [ARG OP VALUE TWO]...		(numbers in decimal)
 * and writes the struct sock_filter's.
 */
#define SECCOMP_HAS_X86 1
#define SECCOMP_HAS_ARM 1
#include "../../bundle/seccomp_arch.c"
#include "../../bundle/seccomp_bpf.c"

#include <stdio.h>

enum { LINE = 1024, RULES = 4096, WORDS = 32 };

static struct seccomp_rule rules[RULES];
static struct sock_filter code[BPF_MAXINSNS];

int main(void)
{
	struct seccomp_filter f = { .at = code, .max = BPF_MAXINSNS };
	const struct seccomp_arch *archs[4];
	size_t count = 0, known = 0;
	uint32_t fallback = 0;
	char line[LINE];

	while (fgets(line, sizeof(line), stdin)) {
		char *save = NULL, *word[WORDS] = { strtok_r(line, " \n", &save) };
		size_t n = 1;

		while (n < WORDS && (word[n] = strtok_r(NULL, " \n", &save)))
			n++;
		if (strcmp(word[0], "default") == 0) {
			fallback = (uint32_t)strtoul(word[1], NULL, 10);
		} else if (strcmp(word[0], "arch") == 0) {
			archs[known++] = seccomp_arch_find(word[1]);
		} else {
			struct seccomp_rule *r = &rules[count++];
			struct seccomp_compare *c = calloc(SECCOMP_COMPARES_MAX, sizeof(*c));

			*r = (struct seccomp_rule){ .action = (uint32_t)strtoul(word[1], NULL, 10), .name = strdup(word[2]), .compare = c };
			for (size_t i = 3; i + 3 < n; i += 4)
				c[r->count++] = (struct seccomp_compare){ .arg = (uint32_t)strtoul(word[i], NULL, 10),
					.op = (uint32_t)strtoul(word[i + 1], NULL, 10), .value = strtoull(word[i + 2], NULL, 10),
					.two = strtoull(word[i + 3], NULL, 10) };
		}
	}
	if (seccomp_bpf_build(&f, archs, known, rules, count, fallback) < 0)
		return 1;
	return fwrite(code, sizeof(*code), f.len, stdout) == f.len ? 0 : 1;
}
