/* SPDX-License-Identifier: MIT */
/* The operator's file, a line-wise subset of TOML: tables [[...]], `key = "text"`, `key = true`. What is not understood is an error, not skipped. */
#include "mirrors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

enum { FILE_MAX = 1 << 18 };
enum table { TABLE_TOP, TABLE_REGISTRY, TABLE_MIRROR };

struct place {
	char location[500];
	bool takes_tags, takes_digests;
};

/* One [[registry]]. */
struct entry {
	char prefix[500], location[500];
	bool is_blocked, by_digest_only;
	int count;
	struct place mirror[CONFIG_MIRRORS_MAX];
};

struct reader {
	const char *file, *name;	/* NAME: host/repo that is looked for */
	int line;
	enum table table;
	struct entry now, best;
	size_t best_len;
};

/* Characters of NAME that PREFIX covers, 0: it does not. "*.example.com" covers hosts below. */
static size_t covers(const char *prefix, const char *name)
{
	size_t len = strlen(prefix), host = strcspn(name, "/");

	if (strncmp(prefix, "*.", 2) == 0)
		return host >= len - 1 && strncmp(name + host - (len - 1), prefix + 1, len - 1) == 0 ? host : 0;
	return len && strncmp(name, prefix, len) == 0 && (!name[len] || name[len] == '/' || name[len] == ':') ? len : 0;
}

static void end_entry(struct reader *r)
{
	size_t len;

	if (!r->now.prefix[0])
		memcpy(r->now.prefix, r->now.location, sizeof(r->now.prefix));
	len = covers(r->now.prefix, r->name);
	if (len > r->best_len) {
		r->best = r->now;
		r->best_len = len;
	}
	memset(&r->now, 0, sizeof(r->now));
}

static int begin_table(struct reader *r, const char *line, struct err *e)
{
	struct entry *n = &r->now;

	if (strcmp(line, "[[registry]]") == 0) {
		if (r->table != TABLE_TOP)
			end_entry(r);
		r->table = TABLE_REGISTRY;
		return 0;
	}
	if (strcmp(line, "[[registry.mirror]]") != 0 || r->table == TABLE_TOP)
		return err_set(e, -EINVAL, "%s:%d: table %.100s is not supported: [[registry]] and below it [[registry.mirror]] are", r->file, r->line, line);
	if (n->count == CONFIG_MIRRORS_MAX)
		return err_set(e, -EINVAL, "%s:%d: more than %d mirrors", r->file, r->line, CONFIG_MIRRORS_MAX);
	n->mirror[n->count++] = (struct place){ .takes_tags = true, .takes_digests = true };
	r->table = TABLE_MIRROR;
	return 0;
}

/* TEXT: the value between quotes, or NULL where it is a boolean. */
static int set(struct reader *r, const char *key, const char *text, bool value, struct err *e)
{
	struct entry *n = &r->now;
	struct place *m = n->count ? &n->mirror[n->count - 1] : NULL;
	char *to = r->table == TABLE_MIRROR ? (strcmp(key, "location") == 0 ? m->location : NULL) : strcmp(key, "location") == 0 ? n->location :
		strcmp(key, "prefix") == 0 ? n->prefix : NULL;

	if (r->table != TABLE_TOP && to && text) {
		if (!*text || strstr(text, "://") || !span_copy(span_str(text), to, sizeof(n->prefix)))
			return err_set(e, -EINVAL, "%s:%d: %s must be HOST[:PORT][/PATH]", r->file, r->line, key);
	} else if (r->table != TABLE_TOP && strcmp(key, "insecure") == 0 && !text) {
		if (value)
			return err_set(e, -EINVAL, "%s:%d: insecure = true is not supported: put the registry's CA into certs.d", r->file, r->line);
	} else if (r->table == TABLE_REGISTRY && strcmp(key, "blocked") == 0 && !text) {
		n->is_blocked = value;
	} else if (r->table == TABLE_REGISTRY && strcmp(key, "mirror-by-digest-only") == 0 && !text) {
		n->by_digest_only = value;
	} else if (r->table == TABLE_MIRROR && strcmp(key, "pull-from-mirror") == 0 && text) {
		m->takes_tags = strcmp(text, "digest-only") != 0;
		m->takes_digests = strcmp(text, "tag-only") != 0;
		if (m->takes_tags && m->takes_digests && strcmp(text, "all") != 0)
			return err_set(e, -EINVAL, "%s:%d: pull-from-mirror must be all, digest-only or tag-only", r->file, r->line);
	} else if (r->table != TABLE_TOP || (strcmp(key, "unqualified-search-registries") != 0 && strcmp(key, "short-name-mode") != 0)) {
		return err_set(e, -EINVAL, "%s:%d: %.100s: not known, or not of this kind, here", r->file, r->line, key);
	}
	return 0;
}

static int read_line(struct reader *r, char *line, struct err *e)
{
	char *equals, *value, *end;

	line += strspn(line, " \t");
	if (*line == '[')
		line[strcspn(line, " \t#")] = '\0';
	if (*line == '[')
		return begin_table(r, line, e);
	if (!*line || *line == '#')
		return 0;
	equals = strchr(line, '=');
	if (!equals)
		return err_set(e, -EINVAL, "%s:%d: neither a table nor key = value", r->file, r->line);
	value = equals + 1 + strspn(equals + 1, " \t");
	for (end = equals; end > line && (end[-1] == ' ' || end[-1] == '\t'); end--)
		;
	*end = '\0';
	if (*value == '"') {
		end = strchr(++value, '"');
		if (!end || strchr(value, '\\') || (end[1] && end[1 + strspn(end + 1, " \t")] && end[1 + strspn(end + 1, " \t")] != '#'))
			return err_set(e, -EINVAL, "%s:%d: the value is not one quoted text", r->file, r->line);
		*end = '\0';
		return set(r, line, value, false, e);
	}
	value[strcspn(value, " \t#")] = '\0';
	if (r->table != TABLE_TOP && strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
		return err_set(e, -EINVAL, "%s:%d: the value is neither a quoted text nor true or false", r->file, r->line);
	return set(r, line, NULL, strcmp(value, "true") == 0, e);
}

static int read_text(struct reader *r, char *text, struct err *e)
{
	int code = 0;

	for (char *line = text, *next; code == 0 && line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		line[strcspn(line, "\r")] = '\0';
		r->line++;
		code = read_line(r, line, e);
	}
	if (r->table != TABLE_TOP)
		end_entry(r);
	return code;
}

/* PLACE instead of the first LEN characters of NAME. */
static int rename_to(struct endpoint_name *out, const char *place, const char *name, size_t len, struct err *e)
{
	char full[800], *slash;

	snprintf(full, sizeof(full), "%s%s", place, name + len);
	slash = strchr(full, '/');
	if (!slash || !span_copy(span_of(full, (size_t)(slash - full)), out->host, sizeof(out->host)) ||
	    !span_copy(span_str(slash + 1), out->repo, sizeof(out->repo)) || !ref_is_repo(out->repo) ||
	    !ref_split_host(out->host, out->server, out->port))
		return err_set(e, -EINVAL, "%.300s: not a repository on a host", full);
	if (strcmp(out->host, "docker.io") == 0)
		snprintf(out->server, sizeof(out->server), "registry-1.docker.io");
	return 0;
}

int mirrors_for(const char *file, const struct ref *ref, struct endpoint_name out[CONFIG_MIRRORS_MAX + 1], struct err *e)
{
	char name[800], *text = NULL;
	struct reader r = { .file = file, .name = name };
	size_t len;
	int count = 0, code = file ? file_read(AT_FDCWD, file, FILE_MAX, &text, &len, e) : -ENOENT;

	ref_name(ref, name, sizeof(name));
	if (code == -ENOENT && e)
		e->text[0] = '\0';
	else if (code < 0)
		return code;
	code = text ? read_text(&r, text, e) : 0;
	free(text);
	if (code == 0 && r.best.is_blocked)
		code = err_set(e, -EACCES, "%s blocks %s", file, r.best.prefix);
	for (int i = 0; code == 0 && i < r.best.count; i++) {
		const struct place *m = &r.best.mirror[i];

		code = rename_to(&out[count], m->location, name, r.best_len, e);
		out[count].is_mirror = true;
		out[count].takes_tags = m->takes_tags && !r.best.by_digest_only;
		out[count++].takes_digests = m->takes_digests;
	}
	if (code == 0 && r.best.location[0])
		code = rename_to(&out[count], r.best.location, name, r.best_len, e);
	if (code < 0)
		return code;
	if (!r.best.location[0]) {
		memcpy(out[count].host, ref->host, sizeof(ref->host));
		memcpy(out[count].server, ref->server, sizeof(ref->server));
		memcpy(out[count].port, ref->port, sizeof(ref->port));
		memcpy(out[count].repo, ref->repo, sizeof(ref->repo));
	}
	out[count].is_mirror = false;
	out[count].takes_tags = out[count].takes_digests = true;
	return count + 1;
}
