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

enum { POLICY_FILE_MAX = 1 << 20 };

static int add_key_file(struct policy *p, const char *path, struct err *e)
{
	char *text;
	size_t len;
	int r;

	if (p->key_count == POLICY_KEYS_MAX)
		return err_set(e, -EKEYREJECTED, "policy: more than %d keys in scope %s", POLICY_KEYS_MAX, p->scope);
	r = file_read(AT_FDCWD, path, POLICY_KEY_MAX - 1, &text, &len, e);
	if (r < 0)
		return err_prefix(e, -EKEYREJECTED, "policy: key of scope %s", p->scope);
	memcpy(p->key[p->key_count], text, len + 1);
	snprintf(p->key_name[p->key_count++], sizeof(p->key_name[0]), "%s", path);
	free(text);
	return 0;
}

static int add_key_data(struct policy *p, const char *base64, struct err *e)
{
	size_t len;

	if (p->key_count == POLICY_KEYS_MAX || mbedtls_base64_decode((unsigned char *)p->key[p->key_count], POLICY_KEY_MAX - 1,
	    &len, (const unsigned char *)base64, strlen(base64)) != 0)
		return err_set(e, -EKEYREJECTED, "policy: keyData of scope %s is not base64 of a PEM key", p->scope);
	p->key[p->key_count][len] = '\0';
	snprintf(p->key_name[p->key_count++], sizeof(p->key_name[0]), "keyData of %.100s", p->scope);
	return 0;
}

static int read_keys(struct policy *p, yyjson_val *rule, struct err *e)
{
	yyjson_val *one = yyjson_obj_get(rule, "keyPath"), *many = yyjson_obj_get(rule, "keyPaths"), *item;
	yyjson_val *data = yyjson_obj_get(rule, "keyData"), *datas = yyjson_obj_get(rule, "keyDatas");
	size_t at, max;
	int r = 0;

	if (!!one + !!many + !!data + !!datas != 1)
		return err_set(e, -EKEYREJECTED, "policy: scope %s needs exactly one of keyPath, keyPaths, keyData, keyDatas "
			"(fulcio and pki are not supported)", p->scope);
	if (yyjson_is_str(one))
		return add_key_file(p, yyjson_get_str(one), e);
	if (yyjson_is_str(data))
		return add_key_data(p, yyjson_get_str(data), e);
	yyjson_arr_foreach(many ? many : datas, at, max, item)
		if (r == 0)
			r = !yyjson_is_str(item) ? -EKEYREJECTED : many ? add_key_file(p, yyjson_get_str(item), e) :
				add_key_data(p, yyjson_get_str(item), e);
	return p->key_count || r < 0 ? r : err_set(e, -EKEYREJECTED, "policy: scope %s names no key", p->scope);
}

static int read_identity(struct policy *p, yyjson_val *identity, struct err *e)
{
	static const struct { const char *type; enum policy_identity value; const char *member; } kinds[] = {
		{ "matchRepoDigestOrExact", POLICY_REPO_DIGEST_OR_EXACT, NULL },
		{ "matchExact", POLICY_EXACT, NULL },
		{ "matchRepository", POLICY_REPOSITORY, NULL },
		{ "exactReference", POLICY_EXACT_REFERENCE, "dockerReference" },
		{ "exactRepository", POLICY_EXACT_REPOSITORY, "dockerRepository" },
	};

	p->identity = POLICY_REPO_DIGEST_OR_EXACT;
	if (!identity)
		return 0;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		yyjson_val *value;

		if (!yyjson_equals_str(yyjson_obj_get(identity, "type"), kinds[i].type))
			continue;
		p->identity = kinds[i].value;
		if (!kinds[i].member)
			return 0;
		value = yyjson_obj_get(identity, kinds[i].member);
		if (yyjson_is_str(value) && span_copy(span_str(yyjson_get_str(value)), p->identity_value, sizeof(p->identity_value)))
			return 0;
		return err_set(e, -EKEYREJECTED, "policy: signedIdentity of scope %s lacks %s", p->scope, kinds[i].member);
	}
	return err_set(e, -EKEYREJECTED, "policy: signedIdentity of scope %s is of an unknown type", p->scope);
}

static int read_rule(struct policy *p, yyjson_val *list, struct err *e)
{
	yyjson_val *rule = yyjson_arr_get_first(list), *type = yyjson_obj_get(rule, "type");
	int r;

	if (yyjson_arr_size(list) != 1)
		return err_set(e, -EKEYREJECTED, "policy: scope %s must hold exactly one requirement", p->scope);
	if (yyjson_equals_str(type, "reject")) {
		p->rule = POLICY_REJECT;
		return 0;
	}
	if (yyjson_equals_str(type, "insecureAcceptAnything")) {
		p->rule = POLICY_ACCEPT;
		return 0;
	}
	if (!yyjson_equals_str(type, "sigstoreSigned"))
		return err_set(e, -EKEYREJECTED, "policy: scope %s: type must be reject, insecureAcceptAnything or sigstoreSigned", p->scope);
	p->rule = POLICY_SIGNED;
	r = read_keys(p, rule, e);
	return r < 0 ? r : read_identity(p, yyjson_obj_get(rule, "signedIdentity"), e);
}

/* containers-policy.json(5), docker: full reference, repository, its namespaces, host, wildcard hosts; first found wins. */
static yyjson_val *find_scope(yyjson_val *scopes, const struct ref *ref, char *scope, size_t size)
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
	if (!v) {
		scope[0] = '\0';
		v = yyjson_obj_get(scopes, "");
	}
	return v;
}

int policy_load(const char *file, const struct ref *ref, struct policy *out, struct err *e)
{
	yyjson_doc *doc = NULL;
	yyjson_val *root, *rule;
	char *text = NULL;
	size_t len;
	int r;

	memset(out, 0, sizeof(*out));
	r = file_read(AT_FDCWD, file, POLICY_FILE_MAX, &text, &len, e);
	if (r < 0)
		return err_prefix(e, -EKEYREJECTED, "no policy, so nothing is let in");
	doc = yyjson_read(text, len, 0);
	root = yyjson_doc_get_root(doc);
	if (!yyjson_is_obj(root) || !yyjson_is_arr(yyjson_obj_get(root, "default"))) {
		r = err_set(e, -EKEYREJECTED, "%s: not a containers-policy.json(5) file, so nothing is let in", file);
		goto out;
	}
	rule = find_scope(yyjson_obj_get(yyjson_obj_get(root, "transports"), "docker"), ref, out->scope, sizeof(out->scope));
	if (!rule) {
		rule = yyjson_obj_get(root, "default");
		snprintf(out->scope, sizeof(out->scope), "default");
	}
	r = read_rule(out, rule, e);
	if (r < 0)
		err_prefix(e, r, "%s", file);
out:
	yyjson_doc_free(doc);
	free(text);
	return r;
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

int policy_identity_check(const struct policy *p, const struct ref *ref, const char *signed_ref, struct err *e)
{
	char ours[800], exact[800], theirs[800];
	bool is_good = false, has_tag;

	ref_name(ref, ours, sizeof(ours));
	snprintf(exact, sizeof(exact), "%s:%s", ours, ref->tag);
	snprintf(theirs, sizeof(theirs), "%s", signed_ref);
	has_tag = cut_tag(theirs);
	switch (p->identity) {
	case POLICY_REPOSITORY:
		is_good = strcmp(theirs, ours) == 0;
		break;
	case POLICY_EXACT_REPOSITORY:
		is_good = strcmp(theirs, p->identity_value) == 0;
		break;
	case POLICY_EXACT_REFERENCE:
		is_good = strcmp(signed_ref, p->identity_value) == 0;
		break;
	case POLICY_EXACT:
		is_good = ref->tag[0] && strcmp(signed_ref, exact) == 0;
		break;
	case POLICY_REPO_DIGEST_OR_EXACT:
		is_good = ref->tag[0] ? strcmp(signed_ref, exact) == 0 : ref->has_digest && strcmp(theirs, ours) == 0;
		break;
	}
	/* A tag inside the signature binds, whichever rule matched the repository. */
	if (is_good && has_tag && ref->tag[0] && p->identity == POLICY_REPOSITORY && strcmp(signed_ref, exact) != 0)
		is_good = false;
	if (is_good)
		return 0;
	return err_set(e, -EKEYREJECTED, "the signature is for \"%.200s\", which signedIdentity of scope %.150s does not let stand for %.200s%s",
		signed_ref, p->scope, exact,
		!has_tag && (p->identity == POLICY_EXACT || p->identity == POLICY_REPO_DIGEST_OR_EXACT) ?
		": cosign signs without a tag, so use matchRepository or exactRepository" : "");
}
