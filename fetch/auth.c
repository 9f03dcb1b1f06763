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

int auth_lookup(const char *file, const char *host, const char *repo, char *out, size_t size, struct err *e)
{
	char key[600], *text, *slash;
	yyjson_doc *doc;
	yyjson_val *auths;
	size_t len;
	int r;

	out[0] = '\0';
	r = file_read(AT_FDCWD, file, AUTH_FILE_MAX, &text, &len, NULL);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_sys(e, -r, "%s", file);
	doc = yyjson_read(text, len, 0);
	auths = yyjson_obj_get(yyjson_doc_get_root(doc), "auths");
	if (!yyjson_is_obj(auths)) {
		r = err_set(e, -EBADMSG, "%s: not a containers-auth.json(5) file (no \"auths\")", file);
		goto out;
	}
	snprintf(key, sizeof(key), "%s/%s", host, repo);
	for (;;) {
		yyjson_val *auth = yyjson_obj_get(yyjson_obj_get(auths, key), "auth");

		if (yyjson_is_str(auth) && !span_copy(span_of(yyjson_get_str(auth), yyjson_get_len(auth)), out, size))
			r = err_set(e, -EBADMSG, "%s: the entry of %s is too long", file, key);
		slash = strrchr(key, '/');
		if (auth || !slash)
			break;
		*slash = '\0';
	}
out:
	yyjson_doc_free(doc);
	explicit_bzero(text, len);
	free(text);
	return r;
}
