/* SPDX-License-Identifier: MIT */
/* Parses image references as users write them. Never allocates. */
#include "ref.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* distribution-spec: [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)* per component */
static bool is_repo(const char *s)
{
	if (!is_alnum(*s))
		return false;
	while (*s) {
		if (is_alnum(*s)) {
			s++;
		} else if (*s == '.' || *s == '/') {
			s++;
		} else if (*s == '_') {
			s += s[1] == '_' ? 2 : 1;
		} else if (*s == '-') {
			while (*s == '-')
				s++;
		} else {
			return false;
		}
		if (!is_alnum(*s) && !(is_alnum(s[-1])))
			return false;
	}
	return true;
}

static bool is_tag(const char *s)
{
	if (!*s || *s == '.' || *s == '-' || strlen(s) > 128)
		return false;
	for (; *s; s++)
		if (!is_alnum(*s) && !(*s >= 'A' && *s <= 'Z') && *s != '_' && *s != '.' && *s != '-')
			return false;
	return true;
}

static bool is_host(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if (!is_alnum(*s) && !(*s >= 'A' && *s <= 'Z') && *s != '.' && *s != '-')
			return false;
	return true;
}

/* The first component is a host where it looks like one (Docker's rule): a dot, a port, or localhost. */
static bool has_host(const char *s, const char *slash)
{
	size_t len = (size_t)(slash - s);

	return memchr(s, '.', len) || memchr(s, ':', len) || (len == 9 && memcmp(s, "localhost", 9) == 0);
}

static int split_server(struct ref *r, struct err *e)
{
	const char *colon = strchr(r->host, ':');
	unsigned port = 443;

	if (colon) {
		size_t digits = strspn(colon + 1, "0123456789");

		port = 0;
		if (digits && digits <= 5 && !colon[1 + digits])
			sscanf(colon + 1, "%u", &port);
		if (port == 0 || port > 65535)
			return err_set(e, -EINVAL, "%s: no port number behind the colon", r->host);
	}
	snprintf(r->port, sizeof(r->port), "%u", port);
	span_copy(span_of(r->host, colon ? (size_t)(colon - r->host) : strlen(r->host)), r->server, sizeof(r->server));
	if (!is_host(r->server))
		return err_set(e, -EINVAL, "%s: not a host name", r->host);
	if (strcmp(r->host, "docker.io") == 0)
		snprintf(r->server, sizeof(r->server), "registry-1.docker.io");
	return 0;
}

int ref_parse(const char *text, struct ref *out, struct err *e)
{
	char rest[800], *at, *colon, *slash;
	const char *name;

	memset(out, 0, sizeof(*out));
	if (strncmp(text, "docker://", 9) == 0)
		text += 9;
	if (!span_copy(span_str(text), rest, sizeof(rest)))
		return err_set(e, -EINVAL, "reference is longer than %zu bytes", sizeof(rest) - 1);
	at = strchr(rest, '@');
	if (at) {
		if (digest_parse(span_str(at + 1), &out->digest) < 0)
			return err_set(e, -EINVAL, "%s: behind the @ must stand sha256: and 64 lower-case hex digits", text);
		out->has_digest = true;
		*at = '\0';
	}
	slash = strrchr(rest, '/');
	colon = strchr(slash ? slash : rest, ':');
	if (colon) {
		if (!is_tag(colon + 1))
			return err_set(e, -EINVAL, "%s: \"%.140s\" is not a tag", text, colon + 1);
		span_copy(span_str(colon + 1), out->tag, sizeof(out->tag));
		*colon = '\0';
	}
	slash = strchr(rest, '/');
	name = rest;
	if (slash && has_host(rest, slash)) {
		if (!span_copy(span_of(rest, (size_t)(slash - rest)), out->host, sizeof(out->host)))
			return err_set(e, -EINVAL, "%s: host name too long", text);
		name = slash + 1;
	} else {
		snprintf(out->host, sizeof(out->host), "docker.io");
	}
	if (strcmp(out->host, "docker.io") == 0 && !strchr(name, '/'))
		snprintf(out->repo, sizeof(out->repo), "library/%.240s", name);
	else if (!span_copy(span_str(name), out->repo, sizeof(out->repo)))
		return err_set(e, -EINVAL, "%s: repository name too long", text);
	if (!is_repo(out->repo))
		return err_set(e, -EINVAL, "%s: \"%.200s\" is not a repository name (lower case letters, digits, . _ - /)", text,
			out->repo);
	if (!out->tag[0] && !out->has_digest)
		snprintf(out->tag, sizeof(out->tag), "latest");
	return split_server(out, e);
}

void ref_name(const struct ref *r, char *out, size_t size)
{
	snprintf(out, size, "%s/%s", r->host, r->repo);
}
