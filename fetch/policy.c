/* SPDX-License-Identifier: MIT */
/* Reads the operator's policy file. Fails closed: what it does not know, it rejects by name. */
#include "policy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <mbedtls/base64.h>
#include <yyjson.h>

#include "file.h"
#include "key.h"

enum { POLICY_FILE_MAX = 1 << 20, MEMBERS_MAX = 8 };

/* Every member of OBJECT is one of NAMES, and none is there twice: a typing error must not weaken a policy. */
static int check_members(const struct policy *p, yyjson_val *object, const char *what, const char *const names[MEMBERS_MAX], struct err *e)
{
	unsigned seen = 0;
	size_t at, max;
	yyjson_val *key, *value;

	if (!yyjson_is_obj(object))
		return err_set(e, -EKEYREJECTED, "scope %s: %s is not an object", p->scope, what);
	yyjson_obj_foreach(object, at, max, key, value) {
		unsigned i = 0;

		while (i < MEMBERS_MAX && names[i] && !yyjson_equals_str(key, names[i]))
			i++;
		if (i == MEMBERS_MAX || !names[i])
			return err_set(e, -EKEYREJECTED, "scope %s: %s has the member \"%.60s\", which is not known or not supported here", p->scope,
				what, yyjson_get_str(key));
		if (seen & 1u << i)
			return err_set(e, -EKEYREJECTED, "scope %s: %s has \"%s\" twice", p->scope, what, names[i]);
		seen |= 1u << i;
	}
	return 0;
}

static int add_key(struct policy *p, struct policy_requirement *q, yyjson_val *value, bool is_path, struct err *e)
{
	struct policy_key *k = &q->key[q->key_count];
	const char *text = yyjson_get_str(value);
	size_t len;
	int r = 0;

	if (!text)
		return err_set(e, -EKEYREJECTED, "scope %s: a key is not a string", p->scope);
	if (q->key_count == CONFIG_POLICY_KEYS_MAX)
		return err_set(e, -EKEYREJECTED, "scope %s: more than %d keys", p->scope, CONFIG_POLICY_KEYS_MAX);
	if (is_path) {
		char *pem;

		r = file_read(AT_FDCWD, text, POLICY_KEY_MAX - 1, &pem, &len, e);
		if (r < 0)
			return err_prefix(e, -EKEYREJECTED, "key of scope %s", p->scope);
		memcpy(k->pem, pem, len + 1);
		free(pem);
		snprintf(k->name, sizeof(k->name), "%s", text);
	} else {
		if (mbedtls_base64_decode((unsigned char *)k->pem, POLICY_KEY_MAX - 1, &len, (const unsigned char *)text, strlen(text)) != 0)
			return err_set(e, -EKEYREJECTED, "scope %s: keyData is not base64 of a PEM key", p->scope);
		k->pem[len] = '\0';
		snprintf(k->name, sizeof(k->name), "keyData of %.100s", p->scope);
	}
	for (int i = 0; i < q->key_count; i++)
		if (strcmp(q->key[i].pem, k->pem) == 0)	/* or one key could count as two */
			return err_set(e, -EKEYREJECTED, "scope %s: the key %s is there twice", p->scope, k->name);
	q->key_count++;
	r = key_check(k->pem, e);
	return r < 0 ? err_prefix(e, r, "key %s of scope %s", k->name, p->scope) : 0;
}

static int read_keys(struct policy *p, struct policy_requirement *q, yyjson_val *rule, struct err *e)
{
	static const struct { const char *member; bool is_path, is_list; } kinds[] = {
		{ "keyPath", true, false }, { "keyPaths", true, true }, { "keyData", false, false }, { "keyDatas", false, true },
	};
	yyjson_val *threshold = yyjson_obj_get(rule, "X-Coracle-Threshold"), *item;
	int found = 0, r = 0;
	size_t at, max;

	for (size_t i = 0; r == 0 && i < 4; i++) {
		yyjson_val *value = yyjson_obj_get(rule, kinds[i].member);

		if (!value)
			continue;
		found++;
		if (!kinds[i].is_list)
			r = add_key(p, q, value, kinds[i].is_path, e);
		else if (!yyjson_is_arr(value))
			r = err_set(e, -EKEYREJECTED, "scope %s: %s is not a list", p->scope, kinds[i].member);
		else
			yyjson_arr_foreach(value, at, max, item)
				if (r == 0)
					r = add_key(p, q, item, kinds[i].is_path, e);
	}
	if (r < 0)
		return r;
	if (found != 1 || q->key_count == 0)
		return err_set(e, -EKEYREJECTED, "scope %s: sigstoreSigned needs exactly one of keyPath, keyPaths, keyData, keyDatas", p->scope);
	q->threshold = threshold ? yyjson_get_int(threshold) : 1;
	if (q->threshold < 1 || q->threshold > q->key_count)
		return err_set(e, -EKEYREJECTED, "scope %s: X-Coracle-Threshold must be 1 to %d, the number of its keys", p->scope, q->key_count);
	return 0;
}

static int read_identity(struct policy *p, struct policy_requirement *q, yyjson_val *identity, struct err *e)
{
	static const struct { const char *type; enum policy_identity value; const char *member[2]; } kinds[] = {
		{ "matchRepoDigestOrExact", POLICY_REPO_DIGEST_OR_EXACT, { NULL, NULL } },
		{ "matchExact", POLICY_EXACT, { NULL, NULL } },
		{ "matchRepository", POLICY_REPOSITORY, { NULL, NULL } },
		{ "exactReference", POLICY_EXACT_REFERENCE, { "dockerReference", NULL } },
		{ "exactRepository", POLICY_EXACT_REPOSITORY, { "dockerRepository", NULL } },
		{ "remapIdentity", POLICY_REMAP, { "prefix", "signedPrefix" } },
	};
	char *const out[2] = { q->identity_value, q->identity_signed };

	q->identity = POLICY_REPO_DIGEST_OR_EXACT;
	if (!identity)
		return 0;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		const char *const names[MEMBERS_MAX] = { "type", kinds[i].member[0], kinds[i].member[1] };
		int r;

		if (!yyjson_equals_str(yyjson_obj_get(identity, "type"), kinds[i].type))
			continue;
		q->identity = kinds[i].value;
		r = check_members(p, identity, "signedIdentity", names, e);
		for (int m = 0; r == 0 && m < 2 && kinds[i].member[m]; m++) {
			yyjson_val *value = yyjson_obj_get(identity, kinds[i].member[m]);

			if (!yyjson_is_str(value) || !yyjson_get_len(value) || !span_copy(span_str(yyjson_get_str(value)), out[m], 600))
				r = err_set(e, -EKEYREJECTED, "scope %s: signedIdentity lacks %s", p->scope, kinds[i].member[m]);
		}
		return r;
	}
	return err_set(e, -EKEYREJECTED, "scope %s: signedIdentity is of an unknown type", p->scope);
}

static int read_requirement(struct policy *p, struct policy_requirement *q, yyjson_val *rule, struct err *e)
{
	static const char *const plain[MEMBERS_MAX] = { "type" };
	static const char *const with_keys[MEMBERS_MAX] = {
		"type", "keyPath", "keyPaths", "keyData", "keyDatas", "signedIdentity", "X-Coracle-Threshold", "X-Coracle-MayChangeTrust",
	};
	const char *type = yyjson_get_str(yyjson_obj_get(rule, "type"));
	yyjson_val *trust = yyjson_obj_get(rule, "X-Coracle-MayChangeTrust");
	int r;

	if (type && strcmp(type, "sigstoreSigned") == 0) {
		q->rule = POLICY_SIGNED;
		r = check_members(p, rule, "sigstoreSigned", with_keys, e);
		r = r < 0 ? r : read_keys(p, q, rule, e);
		if (r == 0 && trust && !yyjson_is_bool(trust))
			r = err_set(e, -EKEYREJECTED, "scope %s: X-Coracle-MayChangeTrust must be true or false", p->scope);
		q->may_change_trust = yyjson_get_bool(trust);
		return r < 0 ? r : read_identity(p, q, yyjson_obj_get(rule, "signedIdentity"), e);
	}
	if (!type || (strcmp(type, "reject") != 0 && strcmp(type, "insecureAcceptAnything") != 0))
		return err_set(e, -EKEYREJECTED, "scope %s: type is \"%.40s\"; reject, insecureAcceptAnything and sigstoreSigned are supported",
			p->scope, type ? type : "");
	q->rule = *type == 'r' ? POLICY_REJECT : POLICY_ACCEPT;
	return check_members(p, rule, type, plain, e);
}

static int read_requirements(struct policy *p, yyjson_val *list, struct err *e)
{
	yyjson_val *item;
	size_t at, max;
	int r = 0;

	if (!yyjson_is_arr(list) || yyjson_arr_size(list) == 0 || yyjson_arr_size(list) > POLICY_REQUIREMENTS_MAX)
		return err_set(e, -EKEYREJECTED, "scope %s: must be a list of 1 to %d requirements", p->scope, POLICY_REQUIREMENTS_MAX);
	yyjson_arr_foreach(list, at, max, item)
		if (r == 0)
			r = read_requirement(p, &p->requirement[p->count++], item, e);
	return r;
}

/* containers-policy.json(5), docker: full reference, repository, its namespaces, host, wildcard hosts; first found wins. */
static yyjson_val *find_docker(yyjson_val *scopes, const struct ref *ref, char *scope, size_t size)
{
	const char *dot;
	yyjson_val *v;
	char *slash;

	if (ref->has_digest)
		snprintf(scope, size, "%s/%s@%s", ref->host, ref->repo, digest_text(&ref->digest).text);
	else
		snprintf(scope, size, "%s/%s:%s", ref->host, ref->repo, ref->tag);
	v = yyjson_obj_get(scopes, scope);
	if (v)
		return v;
	snprintf(scope, size, "%s/%s", ref->host, ref->repo);
	while (!(v = yyjson_obj_get(scopes, scope)) && (slash = strrchr(scope, '/')))
		*slash = '\0';
	for (dot = strchr(ref->host, '.'); !v && dot; dot = strchr(dot + 1, '.')) {
		snprintf(scope, size, "*%s", dot);
		v = yyjson_obj_get(scopes, scope);
	}
	return v;
}

/* The same for oci: and oci-archive:: PATH:REFERENCE, PATH, the directories above it. */
static yyjson_val *find_path(yyjson_val *scopes, const struct ref *ref, char *scope, size_t size)
{
	yyjson_val *v = NULL;
	char *slash;

	if (ref->tag[0]) {
		snprintf(scope, size, "%s:%s", ref->path, ref->tag);
		v = yyjson_obj_get(scopes, scope);
	}
	if (v)
		return v;
	snprintf(scope, size, "%s", ref->path);
	while (!(v = yyjson_obj_get(scopes, scope)) && (slash = strrchr(scope, '/')) && slash != scope)
		*slash = '\0';
	return v;
}

static yyjson_val *find_scope(yyjson_val *root, const struct ref *ref, char *scope, size_t size)
{
	static const char *const names[] = { [REF_DOCKER] = "docker", [REF_OCI] = "oci", [REF_OCI_ARCHIVE] = "oci-archive" };
	yyjson_val *scopes = yyjson_obj_get(yyjson_obj_get(root, "transports"), names[ref->transport]), *v;

	v = ref->transport == REF_DOCKER ? find_docker(scopes, ref, scope, size) : find_path(scopes, ref, scope, size);
	if (!v) {
		scope[0] = '\0';
		v = yyjson_obj_get(scopes, "");
		snprintf(scope, size, v ? "\"\" of %s" : "default", names[ref->transport]);
	}
	return v ? v : yyjson_obj_get(root, "default");
}

int policy_load(const char *file, const struct ref *ref, struct policy *out, struct err *e)
{
	static const char *const members[MEMBERS_MAX] = { "default", "transports" };
	yyjson_doc *doc = NULL;
	yyjson_val *root;
	char *text = NULL;
	size_t len;
	int r;

	memset(out, 0, sizeof(*out));
	r = file_read(AT_FDCWD, file, POLICY_FILE_MAX, &text, &len, e);
	if (r < 0)
		return err_prefix(e, -EKEYREJECTED, "no policy, so nothing is let in");
	doc = yyjson_read(text, len, 0);
	root = yyjson_doc_get_root(doc);
	snprintf(out->scope, sizeof(out->scope), "default");
	r = !yyjson_is_obj(root) || !yyjson_is_arr(yyjson_obj_get(root, "default")) ?
		err_set(e, -EKEYREJECTED, "not a containers-policy.json(5) file") : check_members(out, root, "the policy", members, e);
	if (r == 0)
		r = read_requirements(out, find_scope(root, ref, out->scope, sizeof(out->scope)), e);
	if (r < 0)
		err_prefix(e, r, "%s: the policy is broken, so nothing is let in", file);
	yyjson_doc_free(doc);
	free(text);
	return r;
}

bool policy_rejects(const struct policy *p)
{
	for (int i = 0; i < p->count; i++)
		if (p->requirement[i].rule == POLICY_REJECT)
			return true;
	return p->count == 0;
}

bool policy_may_change_trust(const struct policy *p)
{
	for (int i = 0; i < p->count; i++)
		if (p->requirement[i].rule == POLICY_SIGNED && p->requirement[i].may_change_trust)
			return true;
	return false;
}

/* Cuts ":tag" or "@digest" off; says whether there was a tag. */
static bool cut_tag(char *name)
{
	char *at = strchr(name, '@'), *slash, *colon;

	if (at)
		*at = '\0';
	slash = strrchr(name, '/');
	colon = strchr(slash ? slash : name, ':');
	if (!slash || !colon)
		return false;
	*colon = '\0';
	return true;
}

/* containers-policy.json(5), remapIdentity: where OURS is PREFIX or lies below it (at a / or :), its start becomes SIGNED. */
static void remap(const struct policy_requirement *q, char *ours, size_t size)
{
	size_t len = strlen(q->identity_value);
	char rest[700];

	if (strncmp(ours, q->identity_value, len) != 0 || (ours[len] && ours[len] != '/' && ours[len] != ':'))
		return;
	snprintf(rest, sizeof(rest), "%s", ours + len);
	snprintf(ours, size, "%s%s", q->identity_signed, rest);
}

int policy_identity_check(const struct policy *p, const struct policy_requirement *q, const struct ref *ref, const char *signed_ref,
	struct err *e)
{
	char ours[800], exact[940], theirs[800];
	bool is_good = false, has_tag, is_named = ref->transport == REF_DOCKER;

	ref_name(ref, ours, sizeof(ours));
	if (q->identity == POLICY_REMAP)
		remap(q, ours, sizeof(ours));
	snprintf(exact, sizeof(exact), "%s:%s", ours, ref->tag);
	snprintf(theirs, sizeof(theirs), "%s", signed_ref);
	has_tag = cut_tag(theirs);
	switch (q->identity) {
	case POLICY_EXACT_REPOSITORY:
		is_good = strcmp(theirs, q->identity_value) == 0;
		break;
	case POLICY_EXACT_REFERENCE:
		is_good = strcmp(signed_ref, q->identity_value) == 0;
		break;
	case POLICY_REPOSITORY:
		/* A tag inside the signature binds, whichever rule matched the repository. */
		is_good = is_named && strcmp(theirs, ours) == 0 && (!has_tag || !ref->tag[0] || strcmp(signed_ref, exact) == 0);
		break;
	case POLICY_EXACT:
		is_good = is_named && ref->tag[0] && strcmp(signed_ref, exact) == 0;
		break;
	case POLICY_REPO_DIGEST_OR_EXACT:
	case POLICY_REMAP:
		is_good = is_named && (ref->tag[0] ? strcmp(signed_ref, exact) == 0 : ref->has_digest && strcmp(theirs, ours) == 0);
		break;
	}
	if (is_good)
		return 0;
	return err_set(e, -EKEYREJECTED, "the signature is for \"%.150s\", which signedIdentity of scope %.150s does not let stand for %.150s%s",
		signed_ref, p->scope, is_named ? exact : ref->path,
		!is_named ? ": a file has no name of its own, so say exactRepository or exactReference" :
		!has_tag && q->identity != POLICY_REPOSITORY && q->identity != POLICY_EXACT_REPOSITORY ?
		": cosign signs without a tag, so use matchRepository or exactRepository" : "");
}

int policy_nameless_check(const struct policy *p, const struct policy_requirement *q, const struct ref *ref, struct err *e)
{
	bool is_kind = q->identity == POLICY_EXACT_REPOSITORY || (q->identity == POLICY_REPOSITORY && ref->transport == REF_DOCKER);
	char ours[800];
	size_t len;

	if (ref->transport == REF_DOCKER)
		ref_name(ref, ours, sizeof(ours));
	else
		snprintf(ours, sizeof(ours), "%s", ref->path);
	len = strlen(ours);
	if (is_kind && strncmp(p->scope, ours, len) == 0 && (!p->scope[len] || p->scope[len] == ':' || p->scope[len] == '@'))
		return 0;
	return err_set(e, -EKEYREJECTED, "a signature of the bundle form names no repository, so it counts only under a scope that is exactly \"%.200s\", "
		"with signedIdentity %s; the scope here is %.150s", ours,
		ref->transport == REF_DOCKER ? "matchRepository or exactRepository" : "exactRepository", p->scope);
}
