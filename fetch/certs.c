/* SPDX-License-Identifier: MIT */
/* The operator's files. A private key is wiped from memory once it was handed on. */
#include "certs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

#define SYSTEM_ROOTS "/etc/ssl/certs/ca-certificates.crt"

enum { PEM_MAX = 1 << 20 };

static bool ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), tail = strlen(end);

	return len > tail && strcmp(name + len - tail, end) == 0;
}

/* A file behind what is there already. */
static int append(struct certs *c, int dir, const char *name, size_t *len, struct err *e)
{
	size_t had = c->roots_len + c->cert_len + c->key_len, more;
	char *text, *grown;
	int r = file_read(dir, name, PEM_MAX - 1, &text, &more, e);

	if (r < 0)
		return r;
	grown = had + more < PEM_MAX ? malloc(had + more + 2) : NULL;
	if (grown) {
		memcpy(grown, c->pem ? c->pem : "", had);
		memcpy(grown + had, text, more);
		grown[had + more] = '\n';
		grown[had + more + 1] = '\0';
		if (c->pem)
			explicit_bzero(c->pem, had);
		free(c->pem);
		c->pem = grown;
		*len += more + 1;
	}
	explicit_bzero(text, more);
	free(text);
	return grown ? 0 : err_set(e, -EFBIG, "%s: the certificates are larger than %d bytes", name, PEM_MAX);
}

/* All files of LIST that end in END; without ALL the first alone, and its name without END into STEM. */
static int take(struct certs *c, DIR *list, const char *end, size_t *len, char *stem, size_t size, struct err *e)
{
	struct dirent *entry;
	int r = 0;

	rewinddir(list);
	while (r == 0 && (entry = readdir(list))) {
		if (!ends_with(entry->d_name, end))
			continue;
		r = append(c, dirfd(list), entry->d_name, len, e);
		if (stem) {
			span_copy(span_of(entry->d_name, strlen(entry->d_name) - strlen(end)), stem, size);
			break;
		}
	}
	return r;
}

static DIR *open_host(const char *dir, const char *server, const char *port, char *path, size_t size)
{
	const char *open = strchr(server, ':') ? "[" : "", *shut = *open ? "]" : "";
	DIR *list;

	snprintf(path, size, "%s/%s%s%s:%s", dir, open, server, shut, port);
	list = opendir(path);
	if (!list && strcmp(port, "443") == 0) {
		snprintf(path, size, "%s/%s%s%s", dir, open, server, shut);
		list = opendir(path);
	}
	return list;
}

int certs_read(const char *own, const char *first, const char *dir, const char *server, const char *port, struct certs *out, struct err *e)
{
	char path[700], stem[256] = "", key[270];
	DIR *list;
	int r = 0;

	memset(out, 0, sizeof(*out));
	list = own ? open_host(own, server, port, path, sizeof(path)) : NULL;
	if (!list && first)
		list = open_host(first, server, port, path, sizeof(path));
	if (!list)
		list = open_host(dir, server, port, path, sizeof(path));
	if (list)
		r = take(out, list, ".crt", &out->roots_len, NULL, 0, e);
	if (r == 0 && !out->roots_len && append(out, AT_FDCWD, SYSTEM_ROOTS, &out->roots_len, NULL) < 0)
		r = err_set(e, -EKEYREJECTED, "%s:%s: no certificate authority to trust: put its certificate into %s/%s:%s/ca.crt",
			server, port, dir, server, port);
	if (r == 0 && list)
		r = take(out, list, ".cert", &out->cert_len, stem, sizeof(stem), e);
	if (r == 0 && stem[0]) {
		snprintf(key, sizeof(key), "%s.key", stem);
		r = append(out, dirfd(list), key, &out->key_len, e);
		if (r < 0)
			err_prefix(e, r, "%s/%s.cert has no usable key", path, stem);
	}
	if (list)
		closedir(list);
	if (r < 0)
		certs_free(out);
	return r < 0 ? -EKEYREJECTED : 0;
}

void certs_free(struct certs *c)
{
	if (c->pem)
		explicit_bzero(c->pem, c->roots_len + c->cert_len + c->key_len);
	free(c->pem);
	memset(c, 0, sizeof(*c));
}
