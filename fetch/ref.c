/* SPDX-License-Identifier: MIT */
/* Parses image references as users write them. Never allocates; asks the file system for a path's real name. */
#include "ref.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* distribution-spec: [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)* per component */
bool ref_is_repo(const char *s)
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

/* org.opencontainers.image.ref.name, as image-spec annotations.md has it, but for the @ */
static bool is_layout_name(const char *s)
{
	if (!*s || strlen(s) > 128)
		return false;
	for (; *s; s++)
		if (!is_alnum(*s) && !(*s >= 'A' && *s <= 'Z') && !strchr("-._:/+", *s))
			return false;
	return true;
}

static bool is_host(const char *s)
{
	unsigned char address[16];

	if (strchr(s, ':'))
		return inet_pton(AF_INET6, s, address) == 1;
	if (!*s)
		return false;
	for (; *s; s++)
		if (!is_alnum(*s) && !(*s >= 'A' && *s <= 'Z') && *s != '.' && *s != '-')
			return false;
	return true;
}

/* The first component is a host where it looks like one (Docker's rule): a dot, a port, a capital, or localhost. */
static bool has_host(const char *s, const char *slash)
{
	size_t len = (size_t)(slash - s);

	for (size_t i = 0; i < len; i++)
		if (s[i] >= 'A' && s[i] <= 'Z')
			return true;
	return memchr(s, '.', len) || memchr(s, ':', len) || (len == 9 && memcmp(s, "localhost", 9) == 0);
}

bool ref_split_host(const char *host, char server[256], char port[6])
{
	const char *end = *host == '[' ? strchr(host, ']') : host + strcspn(host, ":");
	unsigned number = 443;

	if (!end || !span_copy(*host == '[' ? span_of(host + 1, (size_t)(end - host) - 1) : span_of(host, (size_t)(end - host)), server, 256))
		return false;
	if ((*host == '[') != (strchr(server, ':') != NULL))
		return false;
	if (*end == ']')
		end++;
	if (*end) {
		size_t digits = strspn(end + 1, "0123456789");

		if (*end != ':' || digits == 0 || digits > 5 || end[1 + digits])
			return false;
		sscanf(end + 1, "%u", &number);
	}
	snprintf(port, 6, "%u", number);
	return number > 0 && number <= 65535 && is_host(server);
}

static int split_server(struct ref *r, struct err *e)
{
	if (!ref_split_host(r->host, r->server, r->port))
		return err_set(e, -EINVAL, "%s: not a host name, or no port number behind the colon", r->host);
	if (strcmp(r->host, "docker.io") == 0)
		snprintf(r->server, sizeof(r->server), "registry-1.docker.io");
	return 0;
}

/* PATH[:NAME]: skopeo's grammar, in which a path holds no colon. */
static int parse_path(char *rest, struct ref *out, struct err *e)
{
	char *colon = strchr(rest, ':'), real[PATH_MAX];

	if (colon) {
		*colon = '\0';
		if (!is_layout_name(colon + 1))
			return err_set(e, -EINVAL, "\"%.140s\" is not the name of an image in a layout", colon + 1);
		span_copy(span_str(colon + 1), out->tag, sizeof(out->tag));
	}
	if (!*rest)
		return err_set(e, -EINVAL, "the path is empty");
	if (!realpath(rest, real))
		return err_sys(e, errno, "%s", rest);
	return span_copy(span_str(real), out->path, sizeof(out->path)) ? 0 : err_set(e, -EINVAL, "%.200s: the path is too long", rest);
}

int ref_parse(const char *text, struct ref *out, struct err *e)
{
	char rest[800], *at, *colon, *slash;
	const char *name;

	memset(out, 0, sizeof(*out));
	if (strncmp(text, "docker://", 9) == 0) {
		text += 9;
	} else if (strncmp(text, "oci:", 4) == 0) {
		out->transport = REF_OCI;
		text += 4;
	} else if (strncmp(text, "oci-archive:", 12) == 0) {
		out->transport = REF_OCI_ARCHIVE;
		text += 12;
	}
	if (!span_copy(span_str(text), rest, sizeof(rest)))
		return err_set(e, -EINVAL, "reference is longer than %zu bytes", sizeof(rest) - 1);
	at = strchr(rest, '@');
	if (at) {
		if (digest_parse(span_str(at + 1), &out->digest) < 0)
			return err_set(e, -EINVAL, "%s: behind the @ must stand sha256: and 64 lower-case hex digits", text);
		out->has_digest = true;
		*at = '\0';
	}
	if (out->transport != REF_DOCKER)
		return parse_path(rest, out, e);
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
		if (strcmp(out->host, "index.docker.io") == 0)
			snprintf(out->host, sizeof(out->host), "docker.io");
	} else {
		snprintf(out->host, sizeof(out->host), "docker.io");
	}
	if (strcmp(out->host, "docker.io") == 0 && !strchr(name, '/'))
		snprintf(out->repo, sizeof(out->repo), "library/%.240s", name);
	else if (!span_copy(span_str(name), out->repo, sizeof(out->repo)))
		return err_set(e, -EINVAL, "%s: repository name too long", text);
	if (!ref_is_repo(out->repo))
		return err_set(e, -EINVAL, "%s: \"%.200s\" is not a repository name (lower case letters, digits, . _ - /)", text,
			out->repo);
	if (!out->tag[0] && !out->has_digest)
		snprintf(out->tag, sizeof(out->tag), "latest");
	return split_server(out, e);
}

void ref_name(const struct ref *r, char *out, size_t size)
{
	snprintf(out, size, "%s%s%s", r->path, r->host, r->repo[0] ? "/" : "");
	snprintf(out + strlen(out), size - strlen(out), "%s", r->repo);
}
