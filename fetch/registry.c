/* SPDX-License-Identifier: MIT */
/*
 * Which endpoint is asked, how often, and after which pause. Trusted: it sees the peer's headers as fixed-size texts and its body as bytes to hash,
 * parses neither as a document.
 *
 * A body that breaks off goes on at the byte where it stopped, from the same endpoint or the next: the digest decides in the end.
 */
#include "registry.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "config.h"
#include "endpoint.h"

enum { PROGRESS_BYTES = 1 << 18, MIRROR_TRIES = 2 };

struct registry {
	struct access access;
	struct ref ref;
	int count;
	bool confirms_time;
	struct endpoint endpoint[CONFIG_MIRRORS_MAX + 1];
};

int registry_new(struct registry **out, const struct access *a, const struct ref *ref, struct err *e)
{
	struct endpoint_name names[CONFIG_MIRRORS_MAX + 1] = { { .takes_tags = true, .takes_digests = true, .repo = "layout" } };
	struct registry *r;
	int count = ref->transport == REF_DOCKER ? mirrors_for(a->registries_file, ref, names, e) : 1;

	*out = NULL;
	if (count < 0)
		return count;
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_sys(e, ENOMEM, "%s", ref->host);
	r->access = *a;
	r->ref = *ref;
	r->count = count;
	for (int i = 0; i < count; i++) {
		r->endpoint[i].name = names[i];
		r->endpoint[i].link = (struct link)LINK_CLOSED;
	}
	if (ref->transport != REF_DOCKER) {
		r->endpoint[0].file = &r->ref;
		span_copy(span_of(ref->path, strnlen(ref->path, 255)), r->endpoint[0].name.host, sizeof(r->endpoint[0].name.host));
	}
	*out = r;
	return 0;
}

void registry_free(struct registry *r)
{
	if (!r)
		return;
	for (int i = 0; i < r->count; i++)
		link_close(&r->endpoint[i].link);
	explicit_bzero(r, sizeof(*r));
	free(r);
}

static void say(const struct registry *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(const struct registry *r, const char *fmt, ...)
{
	char line[700];
	va_list ap;

	if (!r->access.say)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	r->access.say(r->access.say_to, line);
}

/* Statuses into codes. */
static int judge_status(const struct registry *r, const struct endpoint *p, const char *path, const struct net_head *h, struct err *e)
{
	switch (h->status) {
	case 200:
	case 206:
		return 0;
	case 404:
		return err_set(e, -ENOENT, "%s/%s: %s is not there (404)", p->name.host, p->name.repo, path);
	case 401:
	case 403:
		return err_set(e, -EACCES, "%s/%s: the registry denies access (%u): are the credentials in %s right?", p->name.host, p->name.repo,
			h->status, r->access.auth_file);
	case 416:
		return err_set(e, -ERANGE, "%s/%s: %s: the registry has no such range (416)", p->name.host, p->name.repo, path);
	default:
		return err_set(e, h->status == 408 || h->status == 429 || h->status >= 500 ? -ECONNABORTED : -EPROTO,
			"%s/%s: %s: the registry answers %u", p->name.host, p->name.repo, path, h->status);
	}
}

/* Doubling from CONFIG_FETCH_BACKOFF_MS, half to one and a half times that, so that a fleet does not come back in step. */
static int64_t backoff_ms(unsigned failures)
{
	int64_t ms = CONFIG_FETCH_BACKOFF_MS;
	uint32_t random = 0;

	while (--failures && ms < CONFIG_FETCH_BACKOFF_MAX_MS)
		ms *= 2;
	if (ms > CONFIG_FETCH_BACKOFF_MAX_MS)
		ms = CONFIG_FETCH_BACKOFF_MAX_MS;
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = (uint32_t)link_now_ms() * 2654435761u;
	return ms / 2 + (int64_t)(random % (uint32_t)ms);
}

/* 0 after the pause, or the reason not to try again. */
static int pause_for(struct registry *r, unsigned failures, const struct net_head *h, struct err *e)
{
	int64_t ms = backoff_ms(failures);
	struct err why = *e;

	if (h->retry_after_s > CONFIG_RETRY_AFTER_MAX_S)
		return err_prefix(e, -ECONNABORTED, "asks to come back in %u s", h->retry_after_s);
	if ((int64_t)h->retry_after_s * 1000 > ms)
		ms = (int64_t)h->retry_after_s * 1000;
	if (r->access.deadline_ms && link_now_ms() + ms >= r->access.deadline_ms)
		return err_prefix(e, -ETIME, "the pull took longer than it may");
	e->text[0] = '\0';
	say(r, "%s; trying again in %lld.%lld s", why.text, (long long)ms / 1000, (long long)ms % 1000 / 100);
	poll(NULL, 0, (int)ms);
	return 0;
}

/* From one endpoint, until it is done, refuses, or fails too often in a row. */
static int get_from(struct registry *r, struct endpoint *p, const char *path, const char *accept, struct body *b, bool may_resume,
	struct net_head *head, struct err *e)
{
	unsigned tries = p->name.is_mirror && r->access.tries > MIRROR_TRIES ? MIRROR_TRIES : r->access.tries;
	uint64_t mark = b->at;

	for (unsigned failures = 1;; failures++) {
		uint64_t start = b->at;
		int code;

		memset(head, 0, sizeof(*head));
		code = endpoint_get(p, &r->access, path, accept, b, head, e);
		if (code == 0)
			code = judge_status(r, p, path, head, e);
		if (code == 0)
			r->confirms_time |= time(NULL) <= head->date_s + CONFIG_CLOCK_AGREE_S;
		if (b->is_head && head->status >= 400)	/* some know no HEAD: the caller may GET */
			return code == -ECONNABORTED ? err_set(e, -EPROTO, "%s answers %u to HEAD", p->name.host, head->status) : code;
		if (code != -ECONNABORTED || b->was_refused || (b->at != start && !may_resume))
			return code;
		if (b->at - mark >= PROGRESS_BYTES) {
			failures = 1;
			mark = b->at;
		}
		if (failures >= tries)
			return code;
		code = pause_for(r, failures, head, e);
		if (code < 0)
			return code;
	}
}

/* Is P asked for PATH? A mirror for digests alone is never asked what a tag means. */
static bool has_part(const struct endpoint *p, const char *path)
{
	bool is_tag = strncmp(path, "manifests/", 10) == 0 && strncmp(path + 10, "sha256:", 7) != 0;

	return !p->is_down && (is_tag ? p->name.takes_tags : p->name.takes_digests);
}

static int get(struct registry *r, const char *path, const char *accept, struct body *b, bool may_resume, struct net_head *head, struct err *e)
{
	struct net_head ignored;
	struct err mine;
	int code = -ENOENT;

	for (int i = 0; i < r->count; i++) {
		struct endpoint *p = &r->endpoint[i];
		uint64_t start = b->at;

		if (!has_part(p, path))
			continue;
		mine.text[0] = '\0';
		code = get_from(r, p, path, accept, b, may_resume, head ? head : &ignored, &mine);
		if (code == 0)
			return 0;
		if (b->was_refused || code == -ETIME || code == -ENOMEM || (b->at != start && !may_resume) || i + 1 == r->count)
			break;
		p->is_down = code != -ENOENT;
		if (code != -ENOENT)
			say(r, "%s; going on to the next place", mine.text);
	}
	return err_set(e, code, "%s", mine.text);
}

bool registry_confirms_time(const struct registry *r)
{
	return r->confirms_time;
}

int registry_get(struct registry *r, const char *path, const char *accept, struct body *b, struct net_head *head, struct err *e)
{
	return get(r, path, accept, b, true, head, e);
}

int registry_get_bytes(struct registry *r, const char *path, const char *accept, size_t max, char **out, size_t *len,
	struct net_head *head, struct err *e)
{
	struct bytes kept;
	struct err mine;
	int code;

	*out = NULL;
	*len = 0;
	for (unsigned failures = 0;; failures++) {
		struct body b = { .sink = bytes_keep, .to = &kept };

		kept = (struct bytes){ .max = max };
		mine.text[0] = '\0';
		code = get(r, path, accept, &b, false, head, &mine);
		if (code != -ECONNABORTED || kept.len == 0 || failures >= r->access.tries)
			break;
		free(kept.at);
		poll(NULL, 0, (int)backoff_ms(failures + 1));
	}
	if (code == 0 && !kept.at) {
		kept.at = calloc(1, 1);
		code = kept.at ? 0 : -ENOMEM;
	}
	if (code < 0) {
		free(kept.at);
		return code == -EFBIG ? err_set(e, code, "%s/%s: %s is larger than %zu bytes", r->ref.host, r->ref.repo, path, max) :
			err_set(e, code, "%s", mine.text);
	}
	*out = kept.at;
	*len = kept.len;
	return 0;
}

int registry_head(struct registry *r, const char *path, const char *accept, struct digest *out, struct err *e)
{
	struct body b = { .sink = bytes_keep, .to = &(struct bytes){ .max = 0 }, .is_head = true };
	struct net_head head;
	int code = get(r, path, accept, &b, false, &head, e);

	if (code < 0)
		return code;
	return digest_parse(span_str(head.digest), out) < 0 ? err_set(e, -ENOTSUP, "%s/%s: %s: no digest in the answer to HEAD", r->ref.host, r->ref.repo,
		path) : 0;
}

void registry_next_page(const struct registry *r, const struct net_head *head, const char *below, char *path, size_t size)
{
	const char *open = strchr(head->link, '<'), *at = open ? strchr(open + 1, '/') : NULL, *end = at ? strchr(at, '>') : NULL;

	path[0] = '\0';
	if (end && at[1] == '/')	/* an absolute URL: it is asked of the same registry all the same */
		at = strchr(at + 2, '/');
	for (int i = 0; end && at && at < end && i < r->count; i++) {
		char prefix[700];
		size_t len = (size_t)snprintf(prefix, sizeof(prefix), "/v2/%s/", r->endpoint[i].name.repo);

		if (strncmp(at, prefix, len) != 0 || strncmp(at + len, below, strlen(below)) != 0)
			continue;
		for (const char *c = at; c < end; c++)
			if (*c <= ' ' || *c >= 127)
				return;
		span_copy(span_of(at + len, (size_t)(end - at) - len), path, size);
		return;
	}
}
