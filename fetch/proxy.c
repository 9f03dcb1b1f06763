/* SPDX-License-Identifier: MIT */
/* Settings of the operator; never of the peer. */
#include "proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "file.h"
#include "ref.h"

enum { FILE_MAX = 16384, LIST_MAX = 4096 };

/* The value of NAME, in any case, in the lines of TEXT. */
static void line_of(const char *text, const char *name, char *out, size_t size)
{
	size_t len = strlen(name);

	for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (strncasecmp(line, name, len) == 0 && line[len] == '=')
			span_copy(span_of(line + len + 1, strcspn(line + len + 1, "\r\n")), out, size);
}

static void setting(const char *big, const char *small, const char *text, char *out, size_t size)
{
	const char *value = getenv(big) ? getenv(big) : getenv(small);

	out[0] = '\0';
	if (value)
		span_copy(span_str(value), out, size);
	else if (text)
		line_of(text, big, out, size);
}

/* SERVER inside NETWORK/BITS? */
static bool is_inside(const char *server, const char *network)
{
	unsigned char ours[16], theirs[16];
	char base[64];
	const char *slash = strchr(network, '/');
	int kind = strchr(server, ':') ? AF_INET6 : AF_INET;
	long bits = slash ? strtol(slash + 1, NULL, 10) : -1;

	if (bits < 0 || bits > (kind == AF_INET ? 32 : 128) || !span_copy(span_of(network, (size_t)(slash - network)), base, sizeof(base)) ||
	    inet_pton(kind, server, ours) != 1 || inet_pton(kind, base, theirs) != 1)
		return false;
	for (long i = 0; i < bits; i++)
		if ((ours[i / 8] ^ theirs[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

static bool is_named(const char *server, const char *port, char *entry)
{
	char *colon = strrchr(entry, ':');
	size_t len, ours = strlen(server);

	if (strcmp(entry, "*") == 0)
		return true;
	if (strchr(entry, '/'))
		return is_inside(server, entry);
	if (colon && strchr(entry, ':') == colon) {	/* name:port; an IPv6 address has more colons */
		if (strcmp(colon + 1, port) != 0)
			return false;
		*colon = '\0';
	}
	if (*entry == '.')
		entry++;
	len = strlen(entry);
	if (len == 0 || len > ours || strcasecmp(server + ours - len, entry) != 0)
		return false;
	return len == ours || server[ours - len - 1] == '.';
}

static bool is_excepted(char *list, const char *server, const char *port)
{
	char *rest = NULL;

	for (char *entry = strtok_r(list, ", \t", &rest); entry; entry = strtok_r(NULL, ", \t", &rest))
		if (is_named(server, port, entry))
			return true;
	return false;
}

/* [http://|https://][user:password@]HOST[:PORT][/] */
static int parse(const char *value, struct proxy *out, struct err *e)
{
	const char *scheme = strstr(value, "://"), *start = scheme ? scheme + 3 : value, *at = strrchr(start, '@');
	const char *host = at ? at + 1 : start, *open;
	bool is_tls = scheme && strncmp(value, "https://", 8) == 0, has_port;
	char name[300];

	if ((scheme && !is_tls && strncmp(value, "http://", 7) != 0) ||
	    !span_copy(span_of(host, strcspn(host, "/")), name, sizeof(name)) || !ref_split_host(name, out->server, out->port))
		return err_set(e, -EINVAL, "the proxy setting is not [http[s]://][user:password@]HOST[:PORT]");
	has_port = strchr(*name == '[' ? strchr(name, ']') : name, ':');
	if (!has_port)
		snprintf(out->port, sizeof(out->port), "%s", is_tls ? "443" : "80");
	open = strchr(out->server, ':') ? "[" : "";
	snprintf(out->url, sizeof(out->url), "%s://%.*s%s%s%s:%s", is_tls ? "https" : "http", (int)(host - start), start, open, out->server,
		*open ? "]" : "", out->port);
	return 0;
}

int proxy_for(const char *file, const char *server, const char *port, struct proxy *out, struct err *e)
{
	char value[500], list[LIST_MAX], *text = NULL;
	size_t len;
	int r = 0;

	memset(out, 0, sizeof(*out));
	if (file)
		file_read(AT_FDCWD, file, FILE_MAX, &text, &len, NULL);
	setting("HTTPS_PROXY", "https_proxy", text, value, sizeof(value));
	setting("NO_PROXY", "no_proxy", text, list, sizeof(list));
	if (value[0] && !is_excepted(list, server, port))
		r = parse(value, out, e);
	explicit_bzero(value, sizeof(value));
	free(text);
	return r;
}
