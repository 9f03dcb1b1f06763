/* SPDX-License-Identifier: MIT */
/* The auth file is the operator's; the challenge comes from the peer and is bounded, copied, never trusted further. */
#include "auth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yyjson.h>

#include "file.h"

enum { AUTH_FILE_MAX = 1 << 20 };

/* NAME="value" or NAME=token out of a comma list. */
static void parameter(const char *list, const char *name, char *out, size_t size)
{
	size_t len = strlen(name);

	out[0] = '\0';
	while (*list) {
		const char *value, *end;

		list += strspn(list, " ,\t");
		value = strchr(list, '=');
		if (!value)
			return;
		value++;
		end = *value == '"' ? strchr(value + 1, '"') : value + strcspn(value, ", ");
		if (!end)
			return;
		if ((size_t)(value - 1 - list) == len && strncasecmp(list, name, len) == 0) {
			if (*value == '"')
				value++;
			span_copy(span_of(value, (size_t)(end - value)), out, size);
			return;
		}
		list = *end == '"' ? end + 1 : end;
	}
}

int auth_challenge(const char *value, struct challenge *out)
{
	memset(out, 0, sizeof(*out));
	if (strncasecmp(value, "basic", 5) == 0)
		return 0;
	if (strncasecmp(value, "bearer ", 7) != 0)
		return -EPROTO;
	out->is_bearer = true;
	parameter(value + 7, "realm", out->realm, sizeof(out->realm));
	parameter(value + 7, "service", out->service, sizeof(out->service));
	parameter(value + 7, "scope", out->scope, sizeof(out->scope));
	return strncmp(out->realm, "https://", 8) == 0 ? 0 : -EPROTO;
}

static int take(yyjson_val *entry, const char *member, char *out, size_t size, const char *file, const char *key, struct err *e)
{
	yyjson_val *text = yyjson_obj_get(entry, member);

	if (!text || (yyjson_is_str(text) && span_copy(span_of(yyjson_get_str(text), yyjson_get_len(text)), out, size)))
		return 0;
	return err_set(e, -EBADMSG, "%s: %s of the entry %s is no text, or too long", file, member, key);
}

/* The longest key that HOST/REPO begins with. */
static yyjson_val *find(yyjson_val *auths, const char *host, const char *repo, char *key, size_t size)
{
	static const char *const hub[] = { "index.docker.io", "https://index.docker.io/v1/", "registry-1.docker.io" };
	yyjson_val *entry;
	char *slash;

	snprintf(key, size, "%s/%s", host, repo);
	while (!(entry = yyjson_obj_get(auths, key)) && (slash = strrchr(key, '/')))
		*slash = '\0';
	for (size_t i = 0; !entry && strcmp(host, "docker.io") == 0 && i < 3; i++)
		entry = yyjson_obj_get(auths, hub[i]);
	return entry;
}

int auth_lookup(const char *file, const char *host, const char *repo, struct credentials *out, struct err *e)
{
	char key[600], *text;
	yyjson_val *auths, *entry;
	yyjson_doc *doc;
	size_t len;
	int r;

	memset(out, 0, sizeof(*out));
	r = file_read(AT_FDCWD, file, AUTH_FILE_MAX, &text, &len, NULL);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_sys(e, -r, "%s", file);
	doc = yyjson_read(text, len, 0);
	auths = yyjson_obj_get(yyjson_doc_get_root(doc), "auths");
	entry = find(auths, host, repo, key, sizeof(key));
	if (!yyjson_is_obj(auths))
		r = err_set(e, -EBADMSG, "%s: not a containers-auth.json(5) file (no \"auths\")", file);
	if (r == 0)
		r = take(entry, "auth", out->basic, sizeof(out->basic), file, key, e);
	if (r == 0)
		r = take(entry, "identitytoken", out->identity, sizeof(out->identity), file, key, e);
	yyjson_doc_free(doc);
	explicit_bzero(text, len);
	free(text);
	return r;
}
