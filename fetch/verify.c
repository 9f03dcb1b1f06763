/* SPDX-License-Identifier: MIT */
/*
 * Signature checks in the trusted process. Signature manifests and bundles are read by the judge; a payload is parsed here
 * only after a configured key vouched for its bytes. No algorithm comes from the signature: the key decides.
 */
#include "verify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <mbedtls/base64.h>

#include "json.h"
#include "judge.h"
#include "key.h"
#include "rollout.h"
#include "sha256.h"

#define MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define INDEX_TYPE "application/vnd.oci.image.index.v1+json"
#define DSSE_START "DSSEv1 28 application/vnd.in-toto+json "

enum { REFERRER_PAGES_MAX = 8 };

/* One question to the policy, while signature after signature is looked at. */
struct check {
	struct registry *registry;
	int exe;
	const struct ref *ref;
	const struct policy *policy;
	const struct digest *digest;
	const struct verify_notes *notes;
	struct admitted *out;
	uint32_t good[POLICY_REQUIREMENTS_MAX];	/* bit k: key k of that requirement has signed */
	unsigned seen;
	bool has_claims;	/* of one good signature at least */
	struct err why;		/* why the last one did not count */
};

/* The member named KEY of an object that must hold exactly COUNT different members. */
static yyjson_val *only(yyjson_val *object, const char *key, size_t count)
{
	return yyjson_is_obj(object) && yyjson_obj_size(object) == count ? yyjson_obj_get(object, key) : NULL;
}

/* Strict: the three members of `critical`, each once, none unknown. */
static int read_claims(struct span payload, const struct digest *d, char *signed_ref, struct err *e)
{
	yyjson_doc *doc = json_read(payload, "the signed payload", e);
	yyjson_val *critical = yyjson_obj_get(yyjson_doc_get_root(doc), "critical");
	yyjson_val *type = only(critical, "type", 3);
	yyjson_val *name = only(only(critical, "identity", 3), "docker-reference", 1);
	yyjson_val *digest = only(only(critical, "image", 3), "docker-manifest-digest", 1);
	int r = 0;

	if (!yyjson_equals_str(type, "cosign container image signature") || !yyjson_is_str(name) || !yyjson_is_str(digest) ||
	    !span_copy(span_of(yyjson_get_str(name), yyjson_get_len(name)), signed_ref, 600))
		r = err_set(e, -EKEYREJECTED, "the signed payload is not a cosign container image signature");
	else if (!span_is(span_of(yyjson_get_str(digest), yyjson_get_len(digest)), digest_text(d).text))
		r = err_set(e, -EKEYREJECTED, "the signature is for another image (%.80s)", yyjson_get_str(digest));
	yyjson_doc_free(doc);
	return r;
}

int verify_payload(const char *pem, struct span payload, const char *sig, const struct digest *d, char *signed_ref, struct err *e)
{
	int r = key_verify(pem, payload, sig, e);

	return r < 0 ? r : read_claims(payload, d, signed_ref, e);
}

uint64_t verify_read_version(yyjson_val *value)
{
	const char *text = yyjson_get_str(value);
	uint64_t n = yyjson_is_uint(value) ? yyjson_get_uint(value) : 0;

	if (!text || strspn(text, "0123456789") != strlen(text) || strlen(text) > 18)
		return n;
	return strtoull(text, NULL, 10);
}

uint64_t verify_version(struct span payload)
{
	yyjson_doc *doc = yyjson_read((const char *)payload.at, payload.len, 0);
	uint64_t n = verify_read_version(yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(doc), "optional"), VERIFY_VERSION));

	yyjson_doc_free(doc);
	return n;
}

/* cosign BUNDLE_SPEC: the predicate is pinned, or any attestation by the same key (a failed scan, say) would count as a signature. */
static int read_statement(struct span statement, const struct digest *d, struct err *e)
{
	yyjson_doc *doc = json_read(statement, "the signed payload", e);
	yyjson_val *root = yyjson_doc_get_root(doc), *subject;
	yyjson_val *type = yyjson_obj_get(root, "predicateType");
	const char *hex = digest_text(d).text + 7;
	int r = -EKEYREJECTED;
	size_t at, max;

	if (!yyjson_equals_str(yyjson_obj_get(root, "_type"), "https://in-toto.io/Statement/v1")) {
		err_set(e, r, "the signed payload is not an in-toto statement");
	} else if (!yyjson_equals_str(type, "https://sigstore.dev/cosign/sign/v1")) {
		err_set(e, r, "the signed statement is an attestation (%.80s), no image signature", yyjson_is_str(type) ? yyjson_get_str(type) : "");
	} else {
		yyjson_arr_foreach(yyjson_obj_get(root, "subject"), at, max, subject)
			if (yyjson_equals_str(yyjson_obj_get(yyjson_obj_get(subject, "digest"), "sha256"), hex))
				r = 0;
		if (r < 0)
			err_set(e, r, "the signature is for another image");
	}
	yyjson_doc_free(doc);
	return r;
}

int verify_statement(const char *pem, struct span statement, const char *sig, const struct digest *d, struct err *e)
{
	size_t room = statement.len + sizeof(DSSE_START) + 24, len;
	char *message = malloc(room);
	int r;

	if (!message)
		return err_sys(e, ENOMEM, "a signature bundle");
	/* DSSE protocol.md: the pre-authentication encoding */
	len = (size_t)snprintf(message, room, DSSE_START "%zu ", statement.len);
	memcpy(message + len, statement.at, statement.len);
	r = key_verify(pem, span_of(message, len + statement.len), sig, e);
	free(message);
	return r < 0 ? r : read_statement(statement, d, e);
}

static void note(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(struct check *c, const char *fmt, ...)
{
	char line[900];
	va_list ap;

	if (!c->notes)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	c->notes->say(c->notes->to, line);
}

static bool is_met(const struct check *c, int i)
{
	const struct policy_requirement *q = &c->policy->requirement[i];

	return q->rule == POLICY_ACCEPT || (q->rule == POLICY_SIGNED && __builtin_popcount(c->good[i]) >= q->threshold);
}

static bool are_all_met(const struct check *c)
{
	for (int i = 0; i < c->policy->count; i++)
		if (!is_met(c, i))
			return false;
	return c->policy->count > 0;
}

/* One signature, as one key of one requirement sees it. */
static int try_key(struct check *c, const struct policy_requirement *q, const char *pem, struct span payload, const char *sig,
	bool is_statement, struct err *e)
{
	char signed_ref[600];
	int r;

	if (is_statement) {
		r = verify_statement(pem, payload, sig, c->digest, e);
		return r < 0 ? r : policy_nameless_check(c->policy, q, c->ref, e);
	}
	r = verify_payload(pem, payload, sig, c->digest, signed_ref, e);
	return r < 0 ? r : policy_identity_check(c->policy, q, c->ref, signed_ref, e);
}

static bool wants_more(const struct check *c)
{
	return !are_all_met(c) || (c->has_claims && c->out->rollout < ROLLOUT_ALL);
}

/* Of a payload that a key vouches for. */
static void take_claims(struct check *c, struct span payload, bool is_statement)
{
	yyjson_doc *doc = is_statement ? NULL : yyjson_read((const char *)payload.at, payload.len, 0);
	unsigned share = rollout_read(yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(doc), "optional"), ROLLOUT_CLAIM));

	yyjson_doc_free(doc);
	c->out->rollout = c->has_claims && c->out->rollout > share ? c->out->rollout : share;
	c->has_claims = true;
	if (!is_statement && verify_version(payload) > c->out->version)
		c->out->version = verify_version(payload);
}

static void consider(struct check *c, const char *origin, struct span payload, const char *sig, bool is_statement)
{
	c->seen++;
	for (int i = 0; i < c->policy->count; i++) {
		const struct policy_requirement *q = &c->policy->requirement[i];

		for (int k = 0; k < q->key_count; k++) {
			struct err why = { "" };

			/* Once signed is enough, but who widens a rollout signs again. */
			if (c->good[i] >> k & 1 && !(are_all_met(c) && wants_more(c)))
				continue;
			if (try_key(c, q, q->key[k].pem, payload, sig, is_statement, &why) < 0) {
				note(c, "%s: key %s: no: %s", origin, q->key[k].name, why.text);
				snprintf(c->why.text, sizeof(c->why.text), "%.380s (key %.100s)", why.text, q->key[k].name);
				continue;
			}
			note(c, "%s: key %s: good", origin, q->key[k].name);
			c->good[i] |= 1u << k;
			take_claims(c, payload, is_statement);
			if (!c->out->payload[0]) {
				struct digest d = sha256_of(payload);

				memcpy(c->out->payload, digest_text(&d).text, sizeof(c->out->payload));
			}
		}
	}
}

/* A blob or manifest by digest, into memory and checked. -EKEYREJECTED where it is not what its descriptor says. */
static int get_checked(struct check *c, const char *folder, const char *accept, const char *digest, uint64_t size, size_t max, char **out,
	size_t *len, struct err *e)
{
	struct digest want, have;
	char path[100];
	int r;

	*out = NULL;
	if (digest_parse(span_str(digest), &want) < 0 || size > max)
		return err_set(e, -EKEYREJECTED, "its descriptor is malformed or larger than %zu bytes", max);
	snprintf(path, sizeof(path), "%s/%s", folder, digest);
	r = registry_get_bytes(c->registry, path, accept, max, out, len, NULL, e);
	if (r < 0)
		return r == -ENOENT || r == -EFBIG ? -EKEYREJECTED : r;
	have = sha256_of(span_of(*out, *len));
	if (*len == size && digest_equal(&have, &want))
		return 0;
	free(*out);
	*out = NULL;
	return err_set(e, -EKEYREJECTED, "the signed payload does not have its digest");
}

/* What stands in the way of one signature is told and passed over; what is wrong with the link ends the search. */
static int skip(struct check *c, const char *origin, int r, const struct err *why)
{
	if (r != -EKEYREJECTED && r != -EBADMSG)
		return r;
	c->seen++;
	note(c, "%s: no: %s", origin, why->text);
	snprintf(c->why.text, sizeof(c->why.text), "%.500s", why->text);
	return 0;
}

/* cosign's first form: a manifest under the tag sha256-HEX.sig, a layer for each payload, the signature in an annotation. */
static int look_at_tag(struct check *c, struct err *e)
{
	static struct judge_signatures found;
	char path[120], origin[100], *text;
	size_t len;
	int r;

	snprintf(path, sizeof(path), "manifests/sha256-%s.sig", digest_text(c->digest).text + 7);
	r = registry_get_bytes(c->registry, path, MANIFEST_TYPE, CONFIG_SIGNATURE_MANIFEST_MAX, &text, &len, NULL, e);
	if (r == -ENOENT) {
		if (e)
			e->text[0] = '\0';
		return 0;
	}
	if (r < 0)
		return r;
	r = judge_signatures(c->exe, span_of(text, len), &found, e);
	free(text);
	for (uint32_t i = 0; r == 0 && i < found.count && wants_more(c); i++) {
		const struct judge_signature *s = &found.item[i];
		struct err why = { "" };

		snprintf(origin, sizeof(origin), "signature %u of the .sig tag", i + 1);
		r = get_checked(c, "blobs", "application/octet-stream", s->digest, s->size, CONFIG_SIGNATURE_MAX, &text, &len, &why);
		if (r == 0)
			consider(c, origin, span_of(text, len), s->base64, false);
		else
			r = skip(c, origin, r, &why);
		if (r < 0)
			err_set(e, r, "%s", why.text);
		free(text);
	}
	if (r == 0 && found.count == 0)
		snprintf(c->why.text, sizeof(c->why.text), "the signature manifest holds none");
	return r;
}

/* One referrer: its manifest, its bundle, the statement inside. */
static int look_at_bundle(struct check *c, const struct judge_descriptor *d, struct err *e)
{
	static struct judge_descriptors layer;
	static struct judge_bundle bundle;
	static unsigned char statement[CONFIG_SIGNATURE_MAX];
	char origin[100], *text;
	struct err why = { "" };
	size_t len;
	int r;

	snprintf(origin, sizeof(origin), "bundle %.19s", d->digest);
	r = get_checked(c, "manifests", MANIFEST_TYPE, d->digest, d->size, CONFIG_SIGNATURE_MANIFEST_MAX, &text, &len, &why);
	if (r == 0)
		r = judge_referrer(c->exe, span_of(text, len), &layer, &why);
	free(text);
	text = NULL;
	if (r == 0 && layer.count == 0)
		return 0;	/* an SBOM, say */
	if (r == 0)
		r = get_checked(c, "blobs", "application/octet-stream", layer.item[0].digest, layer.item[0].size,
			CONFIG_SIGNATURE_MANIFEST_MAX, &text, &len, &why);
	if (r == 0)
		r = judge_bundle(c->exe, span_of(text, len), &bundle, &why);
	if (r == 0 && mbedtls_base64_decode(statement, sizeof(statement), &len, (unsigned char *)bundle.payload, strlen(bundle.payload)) != 0)
		r = err_set(&why, -EBADMSG, "its payload is not base64");
	if (r == 0)
		consider(c, origin, span_of(statement, len), bundle.signature, true);
	else
		r = skip(c, origin, r, &why);
	free(text);
	return r < 0 ? err_set(e, r, "%s", why.text) : 0;
}

/* cosign's second form: manifests that refer to the digest, by the API and, where that is absent, by its fallback tag. */
static int look_at_referrers(struct check *c, struct err *e)
{
	static struct judge_descriptors found;
	char path[1100], *text;
	struct net_head head;
	int r = 0;

	snprintf(path, sizeof(path), "referrers/%s", digest_text(c->digest).text);
	for (int page = 0; page < REFERRER_PAGES_MAX && path[0] && !are_all_met(c); page++) {
		struct err why = { "" };
		size_t len;

		r = registry_get_bytes(c->registry, path, INDEX_TYPE, CONFIG_SIGNATURE_MANIFEST_MAX, &text, &len, &head, &why);
		if (page == 0 && (r == -ENOENT || (r == -EPROTO && head.status >= 400 && head.status < 500))) {
			why.text[0] = '\0';
			snprintf(path, sizeof(path), "manifests/sha256-%s", digest_text(c->digest).text + 7);
			r = registry_get_bytes(c->registry, path, INDEX_TYPE, CONFIG_SIGNATURE_MANIFEST_MAX, &text, &len, &head, &why);
			if (r == -ENOENT)
				return 0;
		}
		if (r == 0)
			r = judge_referrers(c->exe, span_of(text, len), &found, &why);
		free(text);
		if (r < 0)
			return skip(c, "the list of referrers", r, &why) < 0 ? err_set(e, r, "%s", why.text) : 0;
		for (uint32_t i = 0; r == 0 && i < found.count && !are_all_met(c); i++)
			r = look_at_bundle(c, &found.item[i], e);
		if (r < 0)
			return r;
		registry_next_page(c->registry, &head, "referrers/", path, sizeof(path));
	}
	return r;
}

static void name_signers(struct check *c)
{
	char *out = c->out->signer;
	size_t room = sizeof(c->out->signer);

	for (int i = 0; i < c->policy->count; i++)
		for (int k = 0; k < c->policy->requirement[i].key_count; k++) {
			const char *name = c->policy->requirement[i].key[k].name;
			size_t len = strlen(out);

			if (c->good[i] >> k & 1 && !strstr(out, name) && len + strlen(name) + 3 < room)
				snprintf(out + len, room - len, "%s%s", len ? ", " : "", name);
		}
	if (!out[0])
		snprintf(out, room, "nobody (insecureAcceptAnything)");
}

static int refuse(const struct check *c, struct err *e)
{
	const char *missing = "";
	int have = 0;

	for (int i = c->policy->count - 1; i >= 0; i--) {
		have += __builtin_popcount(c->good[i]);
		for (int k = c->policy->requirement[i].key_count - 1; !is_met(c, i) && k >= 0; k--)
			if (!(c->good[i] >> k & 1))
				missing = c->policy->requirement[i].key[k].name;
	}
	if (c->seen == 0 && !c->why.text[0])
		return err_set(e, -EKEYREJECTED, "no signature: %s is not signed, and scope %s of the policy wants the key %s. "
			"Sign it: cosign sign --key KEY IMAGE", digest_text(c->digest).text, c->policy->scope, missing);
	if (have)
		return err_set(e, -EKEYREJECTED, "scope %.150s wants more signatures than the %d that count; missing is one by %.100s%s%s",
			c->policy->scope, have, missing, c->why.text[0] ? "; the last: " : "", c->why.text);
	return err_set(e, -EKEYREJECTED, "none of %u signatures counts; the last: %s", c->seen, c->why.text);
}

int verify_image(struct registry *r, int exe, const struct ref *ref, const struct policy *p, const struct digest *d,
	const struct verify_notes *notes, struct admitted *out, struct err *e)
{
	struct check c = { .registry = r, .exe = exe, .ref = ref, .policy = p, .digest = d, .notes = notes, .out = out };
	int ret = 0;

	memset(out, 0, sizeof(*out));
	out->rollout = ROLLOUT_ALL;
	if (policy_rejects(p))
		return err_set(e, -EKEYREJECTED, "the policy rejects it (scope %s)", p->scope);
	if (!are_all_met(&c))
		ret = look_at_tag(&c, e);
	if (ret == 0 && !are_all_met(&c))
		ret = look_at_referrers(&c, e);
	if (ret < 0)
		return ret;
	if (!are_all_met(&c))
		return refuse(&c, e);
	out->digest = *d;
	snprintf(out->scope, sizeof(out->scope), "%s", p->scope);
	name_signers(&c);
	return 0;
}
