/* SPDX-License-Identifier: MIT */
/* fetch/ref.c and fetch/auth.c: what users and registries write, and what they must not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "auth.h"
#include "image.h"
#include "ref.h"

static void references_as_users_write_them(void **state)
{
	struct ref r;

	(void)state;
	assert_int_equal(ref_parse("docker://registry.demo:5443/demo/hello:1", &r, NULL), 0);
	assert_string_equal(r.host, "registry.demo:5443");
	assert_string_equal(r.server, "registry.demo");
	assert_string_equal(r.port, "5443");
	assert_string_equal(r.repo, "demo/hello");
	assert_string_equal(r.tag, "1");
	assert_int_equal(ref_parse("busybox", &r, NULL), 0);
	assert_string_equal(r.host, "docker.io");
	assert_string_equal(r.server, "registry-1.docker.io");
	assert_string_equal(r.repo, "library/busybox");
	assert_string_equal(r.tag, "latest");
	assert_int_equal(ref_parse("localhost/a__b/c-d.e@sha256:"
		"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", &r, NULL), 0);
	assert_true(r.has_digest);
	assert_string_equal(r.tag, "");
	assert_string_equal(r.port, "443");
}

static void bad_references_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "/", "a//b", "UPPER", "a.b/", "a.b:99999/c", "a.b:/c", "a.b/c:", "a.b/c:.x", "a.b/c@sha256:12", "a.b/../c",
		"a.b/c d", "a.b/c%2f", "a.b/-c", "a.b/c-", "a_b.c/d\n", "a.b/c?x", "a.b/c#x",
	};
	struct ref r;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct err e = { "" };

		if (ref_parse(bad[i], &r, &e) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_true(e.text[0]);
	}
}

static void challenges(void **state)
{
	struct challenge c;

	(void)state;
	assert_int_equal(auth_challenge("Bearer realm=\"https://auth.example/token\",service=\"reg\",scope=\"repository:a/b:pull\"", &c), 0);
	assert_true(c.is_bearer);
	assert_string_equal(c.realm, "https://auth.example/token");
	assert_string_equal(c.service, "reg");
	assert_int_equal(auth_challenge("Basic realm=\"x\"", &c), 0);
	assert_false(c.is_bearer);
	assert_int_equal(auth_challenge("Bearer realm=\"http://plain.example/\"", &c), -EPROTO);
	assert_int_equal(auth_challenge("Bearer service=\"x\"", &c), -EPROTO);
	assert_int_equal(auth_challenge("Bearer realm=\"https://no-end", &c), -EPROTO);
	assert_int_equal(auth_challenge("Negotiate", &c), -EPROTO);
	assert_int_equal(auth_challenge("", &c), -EPROTO);
}

static void platforms_as_containerd_chooses(void **state)
{
	static const char index[] = "{\"manifests\":["
		"{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"size\":1,\"digest\":\"sha256:1111111111111111111111111111111111111111111111111111111111111111\",\"platform\":{\"os\":\"linux\",\"architecture\":\"arm\",\"variant\":\"v6\"}},"
		"{\"mediaType\":\"application/x.unknown\",\"size\":1,\"digest\":\"sha256:2222222222222222222222222222222222222222222222222222222222222222\",\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}},"
		"{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"size\":1,\"digest\":\"sha256:3333333333333333333333333333333333333333333333333333333333333333\",\"platform\":{\"os\":\"linux\",\"architecture\":\"arm\",\"variant\":\"v7\"}},"
		"{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"size\":1,\"digest\":\"sha256:4444444444444444444444444444444444444444444444444444444444444444\",\"platform\":{\"os\":\"linux\",\"architecture\":\"arm64\",\"variant\":\"v8\"}}"
		"]}";
	static const struct { const char *platform; int digit; } cases[] = {
		{ "linux/arm/v7", 3 }, { "linux/armhf", 3 }, { "linux/arm/v6", 1 }, { "linux/arm/v5", 0 }, { "linux/aarch64", 4 },
		{ "linux/arm64/v8", 4 }, { "linux/amd64", 0 }, { "windows/arm64", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct descriptor d = { .size = 0 };
		struct platform p;
		int r;

		assert_int_equal(platform_parse(cases[i].platform, &p, NULL), 0);
		r = image_index_choose(span_str(index), &p, &d, NULL);
		assert_int_equal(r, cases[i].digit ? 0 : -ENOENT);
		if (r == 0)
			assert_int_equal(d.digest.sha256[0], cases[i].digit * 0x11);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(references_as_users_write_them),
		cmocka_unit_test(bad_references_are_refused),
		cmocka_unit_test(challenges),
		cmocka_unit_test(platforms_as_containerd_chooses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
