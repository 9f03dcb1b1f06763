/* SPDX-License-Identifier: MIT */
/* What runs here. Reads the CPU and the kernel's word, nothing of an image. */
#include "platform.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/utsname.h>

enum { EXACT = 100, OTHER_ARCH = 2 };

/* image-spec image-index.md and containerd's database.go */
void platform_normalise(struct platform *p)
{
	if (strcmp(p->arch, "x86_64") == 0 || strcmp(p->arch, "x86-64") == 0)
		memcpy(p->arch, "amd64", 6);
	else if (strcmp(p->arch, "aarch64") == 0)
		memcpy(p->arch, "arm64", 6);
	else if (strcmp(p->arch, "armhf") == 0 || strcmp(p->arch, "armel") == 0) {
		memcpy(p->variant, strcmp(p->arch, "armhf") == 0 ? "v7" : "v6", 3);
		memcpy(p->arch, "arm", 4);
	}
	if (p->variant[0] >= '5' && p->variant[0] <= '8' && !p->variant[1])
		memcpy(p->variant, (char[]){ 'v', p->variant[0], '\0' }, 3);
	if (strcmp(p->arch, "arm64") == 0 && (strcmp(p->variant, "v8") == 0 || strcmp(p->variant, "v8.0") == 0))
		p->variant[0] = '\0';
	if (strcmp(p->arch, "amd64") == 0 && strcmp(p->variant, "v1") == 0)
		p->variant[0] = '\0';
	if (strcmp(p->arch, "arm") == 0 && !p->variant[0])
		memcpy(p->variant, "v7", 3);
}

struct platform platform_host(void)
{
	struct platform p = { .os = "linux" };
#if defined(__x86_64__)
	memcpy(p.arch, "amd64", 6);
	__builtin_cpu_init();
	if (__builtin_cpu_supports("x86-64-v3"))
		memcpy(p.variant, "v3", 3);
	else if (__builtin_cpu_supports("x86-64-v2"))
		memcpy(p.variant, "v2", 3);
#elif defined(__aarch64__)
	int before = personality(0xffffffff);

	memcpy(p.arch, "arm64", 6);
	/* The kernel refuses this one where neither it nor the CPU knows AArch32 (arch/arm64/kernel/sys.c). */
	p.runs_arm32 = personality(PER_LINUX32) >= 0;
	personality((unsigned long)before);
#else
	struct utsname u;

	memcpy(p.arch, "arm", 4);
	/* A 64-bit kernel says aarch64 or armv8l; a 32-bit one armv7l at least, or this program would not run. */
	memcpy(p.variant, uname(&u) == 0 && (strncmp(u.machine, "armv8", 5) == 0 || strcmp(u.machine, "aarch64") == 0) ? "v8" : "v7", 3);
#endif
	return p;
}

int platform_parse(const char *text, struct platform *out, struct err *e)
{
	int used = 0;

	memset(out, 0, sizeof(*out));
	if (sscanf(text, "%15[^/]/%15[^/]%n/%7[^/]%n", out->os, out->arch, &used, out->variant, &used) < 2 || text[used])
		return err_set(e, -EINVAL, "platform %.60s: must be OS/ARCH[/VARIANT], as in linux/arm/v7", text);
	platform_normalise(out);
	return 0;
}

void platform_text(const struct platform *p, char *out, size_t size)
{
	snprintf(out, size, "%s/%s%s%s", p->os, p->arch, p->variant[0] ? "/" : "", p->variant);
}

/* The N of a variant "vN", 0 for none or another. */
static int level(const char *variant)
{
	return variant[0] == 'v' && variant[1] >= '1' && variant[1] <= '9' && !variant[2] ? variant[1] - '0' : 0;
}

int platform_rank(const struct platform *want, const struct platform *have)
{
	bool is_arm = strcmp(have->arch, "arm") == 0;
	int ours = level(want->variant), theirs = level(have->variant);

	if (strcmp(want->os, have->os) != 0)
		return 0;
	if (strcmp(want->arch, "arm64") == 0 && is_arm)
		return want->runs_arm32 && theirs >= 5 && theirs <= 8 ? OTHER_ARCH + theirs : 0;
	if (strcmp(want->arch, have->arch) != 0)
		return 0;
	if (strcmp(want->variant, have->variant) == 0)
		return EXACT;
	if (is_arm)
		return theirs >= 5 && theirs <= ours ? OTHER_ARCH + 10 + theirs : 0;
	if (strcmp(want->arch, "amd64") == 0 && (theirs >= 2 || !have->variant[0]))
		return theirs < ours ? OTHER_ARCH + 10 + theirs : 0;
	return 0;
}
