/* SPDX-License-Identifier: MIT */
/* fetch/platform.c and the choice in fetch/image.c: the orders that containerd's platforms package documents. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "image.h"

static void normal_forms(void **state)
{
	static const struct { const char *in, *out; } cases[] = {
		{ "linux/x86_64", "linux/amd64" }, { "linux/x86-64/v1", "linux/amd64" }, { "linux/amd64/v2", "linux/amd64/v2" },
		{ "linux/aarch64", "linux/arm64" }, { "linux/arm64/v8", "linux/arm64" }, { "linux/arm64/8", "linux/arm64" },
		{ "linux/arm64/v8.0", "linux/arm64" }, { "linux/arm", "linux/arm/v7" }, { "linux/arm/7", "linux/arm/v7" }, { "linux/arm/6", "linux/arm/v6" },
		{ "linux/armhf", "linux/arm/v7" }, { "linux/armel", "linux/arm/v6" }, { "linux/arm/v5", "linux/arm/v5" },
	};
	static const char *const bad[] = { "", "linux", "linux/", "/arm", "linux/arm/v7/x", "linux/arm/v7/" };
	struct platform p;
	char text[48];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(platform_parse(cases[i].in, &p, NULL), 0);
		platform_text(&p, text, sizeof(text));
		assert_string_equal(text, cases[i].out);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(platform_parse(bad[i], &p, NULL), -EINVAL);
}

/* Of what an index offers, in its order, which is taken on a host? */
static void choices(void **state)
{
	static const struct { const char *host; bool runs_arm32; const char *offers[6]; int taken; } cases[] = {
		{ "linux/arm/v7", false, { "linux/arm/v5", "linux/arm/v6", "linux/arm/v7", "linux/arm64" }, 2 },
		{ "linux/arm/v7", false, { "linux/arm/v5", "linux/arm/v6" }, 1 }, { "linux/arm/v7", false, { "linux/arm/v8", "linux/arm64" }, -1 },
		{ "linux/arm/v6", false, { "linux/arm/v7", "linux/arm/v5" }, 1 }, { "linux/arm/v6", false, { "linux/arm" }, -1 },
		{ "linux/arm/v8", false, { "linux/arm/v6", "linux/arm/v7" }, 1 },
		{ "linux/arm64", false, { "linux/arm/v7", "linux/arm64/v8" }, 1 }, { "linux/arm64", false, { "linux/arm/v7" }, -1 },
		{ "linux/arm64", true, { "linux/arm/v7", "linux/arm64" }, 1 }, { "linux/arm64", true, { "linux/arm/v6", "linux/arm/v7", "linux/arm/v5" }, 1 },
		{ "linux/amd64/v3", false, { "linux/amd64", "linux/amd64/v2", "linux/amd64/v3", "linux/amd64/v4" }, 2 },
		{ "linux/amd64/v3", false, { "linux/amd64", "linux/amd64/v2", "linux/amd64/v4" }, 1 },
		{ "linux/amd64/v2", false, { "linux/amd64/v3", "linux/amd64" }, 1 }, { "linux/amd64", false, { "linux/amd64/v2", "linux/amd64/v3" }, -1 },
		{ "linux/amd64/v3", false, { "linux/386" }, -1 }, { "linux/amd64", false, { "windows/amd64", "unknown/unknown" }, -1 },
		{ "linux/amd64", false, { "linux/amd64", "linux/amd64" }, 0 },		/* the first among equals */
		{ "linux/amd64", false, { "", "linux/amd64" }, 1 }, { "linux/amd64", false, { "", "linux/arm64" }, 0 },	/* without a platform: last resort */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char json[4096] = "{\"manifests\":[{\"mediaType\":\"text/plain\",\"digest\":\"x\",\"size\":-1}";
		struct descriptor d;
		struct platform host;
		int r;

		assert_int_equal(platform_parse(cases[i].host, &host, NULL), 0);
		host.runs_arm32 = cases[i].runs_arm32;
		for (int k = 0; k < 6 && cases[i].offers[k]; k++) {
			char os[16] = "", arch[16] = "", variant[16] = "";
			size_t len = strlen(json);

			sscanf(cases[i].offers[k], "%15[^/]/%15[^/]/%15s", os, arch, variant);
			len += (size_t)snprintf(json + len, sizeof(json) - len, ",{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"size\":%d,"
				"\"digest\":\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\"", k + 1);
			if (os[0])
				len += (size_t)snprintf(json + len, sizeof(json) - len, ",\"platform\":{\"os\":\"%s\",\"architecture\":\"%s\"%s%s%s}", os, arch,
					variant[0] ? ",\"variant\":\"" : "", variant, variant[0] ? "\"" : "");
			snprintf(json + len, sizeof(json) - len, "}");
		}
		strcat(json, "]}");
		r = image_index_choose(span_str(json), &host, &d, NULL);
		if ((r == 0 ? (int)d.size - 1 : -1) != cases[i].taken)
			fail_msg("case %zu: took %d (%d), want %d", i, (int)d.size - 1, r, cases[i].taken);
	}
}

static void this_machine(void **state)
{
	struct platform p = platform_host(), plain;

	(void)state;
	assert_string_equal(p.os, "linux");
#if defined(__x86_64__)
	platform_parse("linux/amd64", &plain, NULL);
#elif defined(__aarch64__)
	platform_parse("linux/arm64", &plain, NULL);
#else
	platform_parse("linux/arm/v7", &plain, NULL);
#endif
	assert_true(platform_rank(&p, &plain) > 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(normal_forms), cmocka_unit_test(choices), cmocka_unit_test(this_machine) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
