/* SPDX-License-Identifier: MIT */
/* Asks everything that a pull asks before the first layer, with the same functions, and tells what they said. Writes nothing, opens no store. */
#include "inspect.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "find.h"
#include "json_out.h"
#include "options.h"

enum { NOTES_MAX = 64 };

struct report {
	char *note[NOTES_MAX + 1];	/* NULL behind the last */
	size_t count;
};

static void keep_note(void *to, const char *line)
{
	struct report *r = to;

	if (r->count < NOTES_MAX && (r->note[r->count] = strdup(line)))
		r->count++;
}

static const char *const identities[] = {
	[POLICY_REPO_DIGEST_OR_EXACT] = "matchRepoDigestOrExact", [POLICY_EXACT] = "matchExact", [POLICY_REPOSITORY] = "matchRepository",
	[POLICY_EXACT_REFERENCE] = "exactReference", [POLICY_EXACT_REPOSITORY] = "exactRepository", [POLICY_REMAP] = "remapIdentity",
};

/* "sigstoreSigned by 1 of a.pub, b.pub, matchRepository" */
static void describe(const struct policy_requirement *q, char *out, size_t size)
{
	size_t len;

	if (q->rule != POLICY_SIGNED) {
		snprintf(out, size, "%s", q->rule == POLICY_ACCEPT ? "insecureAcceptAnything" : "reject");
		return;
	}
	snprintf(out, size, "sigstoreSigned by %d of ", q->threshold);
	for (int k = 0; k < q->key_count; k++) {
		len = strlen(out);
		snprintf(out + len, size - len, "%s%s", k ? ", " : "", q->key[k].name);
	}
	len = strlen(out);
	snprintf(out + len, size - len, "; %s %s", identities[q->identity], q->identity_value);
}

static uint64_t sum(const struct manifest *m)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < m->layer_count; i++)
		bytes += m->layer[i].blob.size;
	return bytes;
}

static const char *digest_or_nothing(const struct digest *d, struct digest_text *t)
{
	static const struct digest none;

	*t = digest_text(d);
	return digest_equal(d, &none) ? "" : t->text;
}

static void print_text(const struct options *o, const struct policy *p, const struct find *f, const struct report *rep, const struct err *why,
	bool is_good)
{
	struct digest_text t;
	char line[1400];

	printf("reference  %s\n", o->text);
	printf("names      %s\n", digest_or_nothing(&f->top, &t));
	printf("policy     %s, scope %s\n", o->policy_file, p->scope[0] ? p->scope : "-");
	for (int i = 0; i < p->count; i++) {
		describe(&p->requirement[i], line, sizeof(line));
		printf("wants      %s\n", line);
	}
	for (size_t i = 0; i < rep->count; i++)
		printf("found      %s\n", rep->note[i]);
	platform_text(&o->platform, line, sizeof(line));
	printf("platform   %s%s\n", line, o->platform.runs_arm32 ? " and 32-bit arm" : "");
	if (is_good) {
		printf("manifest   %s\n", digest_or_nothing(&f->manifest_digest, &t));
		printf("layers     %zu, %" PRIu64 " bytes compressed\n", f->manifest.layer_count, sum(&f->manifest));
		for (size_t i = 0; i < f->manifest.layer_count; i++)
			printf("           %s %" PRIu64 "\n", digest_text(&f->manifest.layer[i].blob.digest).text, f->manifest.layer[i].blob.size);
		printf("version    %" PRIu64 "\n", find_version(f));
		printf("decision   let in, signed by %s\n", f->admitted.signer);
	} else {
		printf("decision   refused: %s\n", why->text);
	}
}

static int print_json(const struct options *o, const struct policy *p, const struct find *f, const struct report *rep, const struct err *why,
	bool is_good)
{
	struct json_out j = { .at = NULL };
	struct digest_text t;
	char line[1400], *text;
	size_t len;

	json_out_object(&j, NULL);
	json_out_text(&j, "reference", o->text);
	json_out_text(&j, "digest", digest_or_nothing(&f->top, &t));
	json_out_text(&j, "policy", o->policy_file);
	json_out_text(&j, "scope", p->scope);
	json_out_array(&j, "wants");
	for (int i = 0; i < p->count; i++) {
		describe(&p->requirement[i], line, sizeof(line));
		json_out_text(&j, NULL, line);
	}
	json_out_close(&j, ']');
	json_out_texts(&j, "signatures", (const char *const *)rep->note);
	platform_text(&o->platform, line, sizeof(line));
	json_out_text(&j, "platform", line);
	json_out_bool(&j, "let_in", is_good);
	if (is_good) {
		json_out_text(&j, "manifest", digest_or_nothing(&f->manifest_digest, &t));
		json_out_text(&j, "signer", f->admitted.signer);
		json_out_uint(&j, "version", find_version(f));
		json_out_array(&j, "layers");
		for (size_t i = 0; i < f->manifest.layer_count; i++) {
			json_out_object(&j, NULL);
			json_out_text(&j, "digest", digest_text(&f->manifest.layer[i].blob.digest).text);
			json_out_uint(&j, "size", f->manifest.layer[i].blob.size);
			json_out_close(&j, '}');
		}
		json_out_close(&j, ']');
	} else {
		json_out_text(&j, "why", why->text);
	}
	json_out_close(&j, '}');
	if (json_out_end(&j, &text, &len) < 0)
		return -ENOMEM;
	fwrite(text, 1, len, stdout);
	free(text);
	return 0;
}

int inspect_main(int argc, char **argv)
{
	static struct options o;
	static struct policy p;
	static struct report rep;
	static struct ref ref;
	struct verify_notes notes = { keep_note, &rep };
	static struct ref as;
	struct find f = { .notes = &notes, .ref = &ref, .policy = &p, .platform = &o.platform };
	struct err e = { "" };
	int r = options_parse(argc, argv, &o);

	if (r)
		return r;
	signal(SIGPIPE, SIG_IGN);
	r = options_load(&o, &ref, &p, &e);
	if (r == 0)
		r = registry_new(&f.registry, &o.access, &ref, &e);
	f.exe = o.access.exe;
	if (r == 0 && o.as)
		r = ref_parse(o.as, &as, &e);
	f.as = o.as ? &as : NULL;
	if (r == 0)
		r = find_image(&f, &e);
	if (o.is_json)
		print_json(&o, &p, &f, &rep, &e, r == 0);
	else
		print_text(&o, &p, &f, &rep, &e, r == 0);
	registry_free(f.registry);
	find_free(&f);
	for (size_t i = 0; i < rep.count; i++)
		free(rep.note[i]);
	return r < 0;
}
