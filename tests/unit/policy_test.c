/* SPDX-License-Identifier: MIT */
/* fetch/policy.c: which scope decides, what a broken policy says, and every kind of signedIdentity against what a signature can name. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "policy.h"

/* base64 of a P-256 key in PEM */
#define DATA "LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0tLS0KTUZrd0V3WUhLb1pJemowQ0FRWUlLb1pJemowREFRY0RRZ0FFN3BCbGtJTGkvV04xWDhGaVFUbF" \
	"pCSzIvR2xRRApPbDlibjFpRGFTRThCNUV1K3VjY05uZFFpZDJObWdwOG1yVFdoVDJYaFpic2hVR01EU0R4LzZqd3Z3PT0KLS0tLS1FTkQgUFVC" \
	"TElDIEtFWS0tLS0tCg=="
#define REJECT "[{\"type\":\"reject\"}]"
#define SIGNED(more) "[{\"type\":\"sigstoreSigned\",\"keyData\":\"" DATA "\"" more "}]"

static int load(const char *text, const char *reference, struct policy *p, struct err *e)
{
	char path[] = "/tmp/policy_test.XXXXXX";
	int fd = mkstemp(path), r;
	struct ref ref;

	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	assert_int_equal(ref_parse(reference, &ref, NULL), 0);
	e->text[0] = '\0';
	r = policy_load(path, &ref, p, e);
	unlink(path);
	return r;
}

static void most_specific_scope_decides(void **state)
{
	static const char text[] = "{\"default\":" REJECT ",\"transports\":{\"docker\":{"
		"\"reg.example.com:5000/a/b:1\":" REJECT ",\"reg.example.com:5000/a/b\":" REJECT ",\"reg.example.com:5000/a\":" REJECT ","
		"\"reg.example.com:5000\":" REJECT ",\"*.example.com\":" REJECT ",\"*.example.com:5000\":" REJECT ",\"*.com\":" REJECT ","
		"\"docker.io/library/busybox\":" REJECT "},"
		"\"oci\":{\"/proc/self\":" REJECT ",\"/\":" REJECT ",\"/usr/share\":" REJECT ",\"/usr/share:1\":" REJECT ",\"\":" REJECT "}}}";
	static const struct { const char *ref, *scope; } cases[] = {
		{ "reg.example.com:5000/a/b:1", "reg.example.com:5000/a/b:1" }, { "reg.example.com:5000/a/b:2", "reg.example.com:5000/a/b" },
		{ "reg.example.com:5000/a/b@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "reg.example.com:5000/a/b" },
		{ "reg.example.com:5000/a/c/d", "reg.example.com:5000/a" }, { "reg.example.com:5000/ab", "reg.example.com:5000" },
		{ "other.example.com/x", "*.example.com" }, { "other.example.com:5000/x", "*.example.com:5000" }, { "a.b.example.com/x", "*.example.com" },
		{ "b.com/x", "*.com" }, { "example.org/x", "default" }, { "busybox", "docker.io/library/busybox" }, { "alpine", "default" },
		{ "oci:/usr/share:1", "/usr/share:1" }, { "oci:/usr/share:2", "/usr/share" }, { "oci:/usr/share/doc", "/usr/share" },
		{ "oci:/tmp", "\"\" of oci" }, { "oci-archive:/etc/passwd", "default" },
	};
	static struct policy p;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(load(text, cases[i].ref, &p, &e), 0);
		if (strcmp(p.scope, cases[i].scope) != 0)
			fail_msg("%s: scope %s, want %s", cases[i].ref, p.scope, cases[i].scope);
		assert_true(policy_rejects(&p));
	}
}

static void broken_policy_rejects(void **state)
{
	static const struct { const char *rule, *word; } cases[] = {
		{ "[]", "1 to 4 requirements" }, { "{}", "1 to 4 requirements" }, { "[7]", "type is \"\"" },
		{ "[{\"type\":\"signedBy\",\"keyType\":\"GPGKeys\"}]", "type is \"signedBy\"" },
		{ "[{\"type\":\"reject\",\"keyPath\":\"/x\"}]", "\"keyPath\"" },
		{ "[{\"type\":\"sigstoreSigned\"}]", "exactly one of keyPath" },
		{ "[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/nonexistent.pub\"}]", "/nonexistent.pub" },
		{ "[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/etc/hostname\"}]", "supported kind" },
		{ "[{\"type\":\"sigstoreSigned\",\"keyPaths\":[]}]", "exactly one" }, { "[{\"type\":\"sigstoreSigned\",\"keyPaths\":\"/x\"}]", "not a list" },
		{ "[{\"type\":\"sigstoreSigned\",\"keyPath\":7}]", "not a string" },
		{ "[{\"type\":\"sigstoreSigned\",\"keyData\":\"!\"}]", "not base64" },
		{ "[{\"type\":\"sigstoreSigned\",\"keyData\":\"" DATA "\",\"keyPath\":\"/etc/hostname\"}]", "supported kind" },
		{ "[{\"type\":\"sigstoreSigned\",\"keyDatas\":[\"" DATA "\",\"" DATA "\"]}]", "twice" },
		{ "[{\"type\":\"sigstoreSigned\",\"keyData\":\"" DATA "\",\"keyData\":\"" DATA "\"}]", "\"keyData\" twice" },
		{ SIGNED(",\"keypath\":\"/x\""), "\"keypath\"" }, { SIGNED(",\"rekorPublicKeyPath\":\"/x\""), "\"rekorPublicKeyPath\"" },
		{ SIGNED(",\"fulcio\":{}"), "\"fulcio\"" }, { SIGNED(",\"pki\":{}"), "\"pki\"" },
		{ SIGNED(",\"X-Coracle-Threshold\":2"), "1 to 1" }, { SIGNED(",\"X-Coracle-Threshold\":0"), "1 to 1" },
		{ SIGNED(",\"X-Coracle-Threshold\":\"1\""), "1 to 1" },
		{ SIGNED(",\"signedIdentity\":{\"type\":\"matchAnything\"}"), "unknown type" }, { SIGNED(",\"signedIdentity\":7"), "unknown type" },
		{ SIGNED(",\"signedIdentity\":{\"type\":\"exactReference\"}"), "dockerReference" },
		{ SIGNED(",\"signedIdentity\":{\"type\":\"exactRepository\",\"dockerRepository\":\"\"}"), "dockerRepository" },
		{ SIGNED(",\"signedIdentity\":{\"type\":\"remapIdentity\",\"prefix\":\"a\"}"), "signedPrefix" },
		{ SIGNED(",\"signedIdentity\":{\"type\":\"matchExact\",\"prefix\":\"a\"}"), "\"prefix\"" },
	};
	static const char *const files[] = { "", "{", "[]", "{\"transports\":{}}", "{\"default\":{}}", "{\"default\":" REJECT ",\"more\":1}",
		"{\"default\":" REJECT "}garbage" };
	static struct policy p;
	char text[4096];
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		snprintf(text, sizeof(text), "{\"default\":[{\"type\":\"insecureAcceptAnything\"}],\"transports\":{\"docker\":{\"r.io/a\":%s}}}",
			cases[i].rule);
		assert_int_equal(load(text, "r.io/a", &p, &e), -EKEYREJECTED);
		if (!strstr(e.text, cases[i].word) || !strstr(e.text, "nothing is let in"))
			fail_msg("case %zu: %s", i, e.text);
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		assert_int_equal(load(files[i], "r.io/a", &p, &e), -EKEYREJECTED);
		assert_non_null(strstr(e.text, "nothing is let in"));
	}
}

#define OTHER "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

static void identities(void **state)
{
	static const struct { const char *identity, *ref, *is_signed; bool is_good; } cases[] = {
		/* the default, matchRepoDigestOrExact */
		{ "", "r.io/a:1", "r.io/a:1", true }, { "", "r.io/a:1", "r.io/a", false }, { "", "r.io/a:1", "r.io/a:2", false },
		{ "", "r.io/a@" OTHER, "r.io/a:2", true }, { "", "r.io/a@" OTHER, "r.io/a", true }, { "", "r.io/a@" OTHER, "r.io/b", false },
		{ "\"type\":\"matchExact\"", "r.io/a:1", "r.io/a:1", true }, { "\"type\":\"matchExact\"", "r.io/a@" OTHER, "r.io/a:1", false },
		{ "\"type\":\"matchExact\"", "r.io/a:1", "r.io/a", false },
		{ "\"type\":\"matchRepository\"", "r.io/a:1", "r.io/a", true }, { "\"type\":\"matchRepository\"", "r.io/a:1", "r.io/a:1", true },
		/* stricter than podman: a tag inside the signature binds, or an old tag's image could come as a new one's */
		{ "\"type\":\"matchRepository\"", "r.io/a:1", "r.io/a:2", false },
		{ "\"type\":\"matchRepository\"", "r.io/a:1", "r.io/ab", false }, { "\"type\":\"matchRepository\"", "r.io:5/a", "r.io/a", false },
		{ "\"type\":\"matchRepository\"", "r.io/a@" OTHER, "r.io/a:7", true },
		{ "\"type\":\"exactReference\",\"dockerReference\":\"x.io/y:3\"", "r.io/a:1", "x.io/y:3", true },
		{ "\"type\":\"exactReference\",\"dockerReference\":\"x.io/y:3\"", "r.io/a:1", "x.io/y", false },
		{ "\"type\":\"exactRepository\",\"dockerRepository\":\"x.io/y\"", "r.io/a:1", "x.io/y", true },
		{ "\"type\":\"exactRepository\",\"dockerRepository\":\"x.io/y\"", "r.io/a:1", "x.io/y:8", true },
		{ "\"type\":\"exactRepository\",\"dockerRepository\":\"x.io/y\"", "r.io/a:1", "r.io/a", false },
		{ "\"type\":\"remapIdentity\",\"prefix\":\"r.io\",\"signedPrefix\":\"up.io/x\"", "r.io/a:1", "up.io/x/a:1", true },
		{ "\"type\":\"remapIdentity\",\"prefix\":\"r.io\",\"signedPrefix\":\"up.io/x\"", "r.io/a:1", "r.io/a:1", false },
		{ "\"type\":\"remapIdentity\",\"prefix\":\"r.i\",\"signedPrefix\":\"up.i\"", "r.io/a:1", "up.io/a:1", false },
		{ "\"type\":\"remapIdentity\",\"prefix\":\"q.io\",\"signedPrefix\":\"up.io\"", "r.io/a:1", "r.io/a:1", true },
		{ "\"type\":\"exactRepository\",\"dockerRepository\":\"x.io/y\"", "oci:/tmp:1", "x.io/y", true },
		{ "\"type\":\"matchRepository\"", "oci:/tmp:1", "/tmp", false }, { "", "oci:/tmp:1", "/tmp:1", false },
	};
	static struct policy p;
	char text[4096];
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ref ref;
		int r;

		snprintf(text, sizeof(text), "{\"default\":[{\"type\":\"sigstoreSigned\",\"keyData\":\"" DATA "\"%s%s%s}]}",
			cases[i].identity[0] ? ",\"signedIdentity\":{" : "", cases[i].identity, cases[i].identity[0] ? "}" : "");
		assert_int_equal(load(text, cases[i].ref, &p, &e), 0);
		ref_parse(cases[i].ref, &ref, NULL);
		r = policy_identity_check(&p, &p.requirement[0], &ref, cases[i].is_signed, &e);
		if (r != (cases[i].is_good ? 0 : -EKEYREJECTED))
			fail_msg("case %zu: %d %s", i, r, e.text);
	}
}

static void nameless_signatures_want_a_scope_of_one_repository(void **state)
{
	static const struct { const char *scope, *kind, *ref; bool is_good; } cases[] = {
		{ "r.io/a", "matchRepository", "r.io/a:1", true }, { "r.io/a:1", "matchRepository", "r.io/a:1", true },
		{ "r.io", "matchRepository", "r.io/a:1", false }, { "r.io/a", "matchRepository", "r.io/a/b:1", false },
		{ "r.io/a", "matchExact", "r.io/a:1", false },
	};
	static struct policy p;
	char text[4096];
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ref ref;

		snprintf(text, sizeof(text), "{\"default\":" REJECT ",\"transports\":{\"docker\":{\"%s\":[{\"type\":\"sigstoreSigned\",\"keyData\":\"" DATA
			"\",\"signedIdentity\":{\"type\":\"%s\"}}]}}}", cases[i].scope, cases[i].kind);
		assert_int_equal(load(text, cases[i].ref, &p, &e), 0);
		ref_parse(cases[i].ref, &ref, NULL);
		assert_int_equal(policy_nameless_check(&p, &p.requirement[0], &ref, &e), cases[i].is_good ? 0 : -EKEYREJECTED);
		assert_true(cases[i].is_good || strstr(e.text, "names no repository"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(most_specific_scope_decides), cmocka_unit_test(broken_policy_rejects), cmocka_unit_test(identities),
		cmocka_unit_test(nameless_signatures_want_a_scope_of_one_repository),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
