/* SPDX-License-Identifier: MIT */
/*
 * What a tag names now, each time a board looks whether there is something new: by HEAD, which Docker Hub does not count as a pull; where a registry
 * knows none, or says no digest, by the manifest, hashed and forgotten. Nothing is let in for it: a registry that lies here could do so in the manifest.
 */
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "options.h"
#include "pull.h"
#include "sha256.h"
#include "sntp.h"

static int check(const struct options *o, struct digest *out, struct err *e)
{
	struct registry *registry = NULL;
	struct digest_text wanted;
	char path[220], *bytes = NULL;
	struct ref ref;
	size_t len;
	int r = ref_parse(o->text, &ref, e);

	if (r == 0)
		sntp_wait(NULL, NULL);
	if (r == 0)
		r = registry_new(&registry, &o->access, &ref, e);
	if (r == 0) {
		wanted = digest_text(&ref.digest);
		snprintf(path, sizeof(path), "manifests/%s", ref.has_digest ? wanted.text : ref.tag);
		r = ref.transport == REF_DOCKER ? registry_head(registry, path, IMAGE_ACCEPT, out, e) : -ENOTSUP;
		if (r == -ENOTSUP || r == -EPROTO || r == -ENOENT || r == -EACCES) {
			e->text[0] = '\0';
			r = registry_get_bytes(registry, path, IMAGE_ACCEPT, CONFIG_MANIFEST_MAX, &bytes, &len, NULL, e);
			if (r == 0)
				*out = sha256_of(span_of(bytes, len));
		}
	}
	free(bytes);
	registry_free(registry);
	return r;
}

int check_main(int argc, char **argv)
{
	static struct options o;
	struct job_result result = { 0 };
	struct digest have;
	struct err e = { "" };
	int r = options_parse(argc, argv, &o);

	if (r)
		return r;
	signal(SIGPIPE, SIG_IGN);
	r = check(&o, &have, &e);
	/* A tag that vanished may come back: nothing is refused for good here. */
	result.code = r == 0 ? JOB_DONE : pull_outcome(r) == JOB_DAMAGED ? JOB_DAMAGED : JOB_RETRY;
	if (r == 0) {
		struct digest_text t = digest_text(&have);

		span_copy(span_str(t.text), result.digest, sizeof(result.digest));
		printf("%s\n", t.text);
	} else {
		fprintf(stderr, "coracle-fetch: %s: %s\n", o.text, e.text);
	}
	snprintf(result.text, sizeof(result.text), "%s", e.text);
	job_send(o.result_fd, &result);
	return r < 0;
}
