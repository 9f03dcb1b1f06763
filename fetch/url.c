/* SPDX-License-Identifier: MIT */
/* Strict on what comes in: a redirect or a token realm is the peer's word. */
#include "url.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "ref.h"
#include "span.h"

int url_split(const char *url, struct url *out)
{
	const char *host = url + 8, *slash;
	char name[300];

	if (strncmp(url, "https://", 8) != 0)
		return -EPROTO;
	slash = host + strcspn(host, "/?#");
	if (!span_copy(span_of(host, (size_t)(slash - host)), name, sizeof(name)) || !ref_split_host(name, out->server, out->port))
		return -EPROTO;
	for (const char *c = slash; *c; c++)
		if (*c <= ' ' || *c >= 127)
			return -EPROTO;
	return snprintf(out->path, sizeof(out->path), "%s%s", *slash == '/' ? "" : "/", slash) < (int)sizeof(out->path) ? 0 : -EPROTO;
}

int url_add(char *text, size_t size, const char *before, const char *key, const char *value)
{
	size_t len = strlen(text);
	int n = snprintf(text + len, size - len, "%s%s=", before, key);

	if (n < 0 || (size_t)n >= size - len)
		return -EPROTO;
	for (len += (size_t)n; *value && len + 4 < size; value++) {
		bool is_plain = (*value >= 'a' && *value <= 'z') || (*value >= 'A' && *value <= 'Z') ||
			(*value >= '0' && *value <= '9') || strchr("-._~", *value);

		len += (size_t)snprintf(text + len, size - len, is_plain ? "%c" : "%%%02X", (unsigned char)*value);
	}
	return *value ? -EPROTO : 0;
}
