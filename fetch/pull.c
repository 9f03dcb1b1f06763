/* SPDX-License-Identifier: MIT */
/*
 * One pull, driven from the trusted process: reference -> policy -> bytes and their digest -> signature -> manifest -> config
 * -> layers, each fed to a jailed unpacker while its compressed bytes are hashed, visible only when size, digest and diff_id
 * agree -> image. A refusal or failure leaves the store as it was.
 */
#include "pull.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "find.h"
#include "image_scan.h"
#include "job.h"
#include "layers.h"
#include "options.h"
#include "rollout.h"
#include "sntp.h"

struct pull {
	struct options o;
	int bundle_exe;
	struct progress progress;
	struct store *store;
	struct registry *registry;
	struct ref ref, as;
	struct policy policy;
	struct find found;
	uint64_t version;	/* signed, 0: none */
	bool is_known;		/* one of --known: nothing was fetched */
};

/* RefuseSecrets=: the layers are in the store, the image is not yet. */
static int refuse_secrets(struct pull *p, struct err *e)
{
	static struct digest chain[CONFIG_LAYERS_MAX];
	const struct manifest *m = &p->found.manifest;

	for (size_t i = 0; i < m->layer_count; i++)
		chain[i] = store_chain(i ? &chain[i - 1] : NULL, &m->layer[i].diff_id);
	return image_scan_refuse(p->store, chain, (int)m->layer_count, span_of(p->found.config_json, p->found.config_len), e);
}

static int publish_image(struct pull *p, struct err *e)
{
	char admitted[3000];

	snprintf(admitted, sizeof(admitted), "ref=%s\ndigest=%s\nscope=%s\nkey=%s\npayload=%s\nversion=%llu\ntrust=%s\n", p->o.as ? p->o.as : p->o.text,
		digest_text(&p->found.admitted.digest).text, p->found.admitted.scope, p->found.admitted.signer, p->found.admitted.payload,
		(unsigned long long)p->version, policy_may_change_trust(&p->policy) ? "yes" : "no");
	return store_image_publish(p->store, &p->found.manifest_digest, span_of(p->found.manifest_json, p->found.manifest_len),
		span_of(p->found.config_json, p->found.config_len), span_str(admitted), e);
}

/* coracle-bundle lies beside this program. */
static int open_sibling(const char *name, struct err *e)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);
	char *slash;
	int fd;

	if (n <= 0)
		return err_sys(e, errno, "/proc/self/exe");
	path[n] = '\0';
	slash = strrchr(path, '/');
	snprintf(slash + 1, 60, "%s", name);
	fd = open(path, O_PATH | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "%s: the unpacker is not beside this program", path) : fd;
}

/* Before a layer is fetched: is there any need to, and is it no step back? */
static int consider(struct pull *p, struct err *e)
{
	for (int i = 0; i < p->o.known_count; i++)
		p->is_known |= digest_equal(&p->o.known[i], &p->found.manifest_digest);
	p->version = find_version(&p->found);
	if (p->is_known)
		return 0;
	if (p->version >= p->o.floor)
		return p->o.is_staged ? rollout_check(&p->found, p->o.as ? &p->as : &p->ref, e) : 0;
	if (!p->version)
		return err_set(e, -EKEYREJECTED, "it says no version (" VERIFY_VERSION ") and %llu was in use here: sign it with a version of at least "
			"that", (unsigned long long)p->o.floor);
	return err_set(e, -EKEYREJECTED, "its version %llu is older than %llu, which was in use here: refused as a downgrade",
		(unsigned long long)p->version, (unsigned long long)p->o.floor);
}

static int pull(struct pull *p, struct err *e)
{
	int r = options_load(&p->o, &p->ref, &p->policy, e);
	struct err late = { "" };
	char line[100];

	if (r == 0 && p->o.as)
		r = ref_parse(p->o.as, &p->as, e);
	if (r == 0 && policy_rejects(&p->policy))
		r = err_set(e, -EKEYREJECTED, "the policy %s rejects it (scope %s): add a scope for it", p->o.policy_file, p->policy.scope);
	if (r < 0)
		return r;
	r = p->bundle_exe = open_sibling("coracle-bundle", e);
	if (r >= 0)
		r = store_open(&p->store, p->o.store_dir, STORE_WRITE, e);
	if (r < 0)
		return r;
	p->o.access.store_fd = store_fd(p->store);
	p->o.access.say = progress_say;
	p->o.access.say_to = &p->progress;
	if (p->ref.transport == REF_DOCKER)
		sntp_wait(progress_say, &p->progress);
	r = registry_new(&p->registry, &p->o.access, &p->ref, e);
	if (r < 0)
		return r;
	p->found = (struct find){
		.registry = p->registry, .exe = p->o.access.exe, .ref = &p->ref, .policy = &p->policy, .platform = &p->o.platform,
		.as = p->o.as ? &p->as : NULL,
	};
	r = find_image(&p->found, e);
	if (r < 0)
		return r;
	/* That the time cannot be kept is no reason to pull nothing. */
	if (p->ref.transport == REF_DOCKER && registry_confirms_time(p->registry) && clock_save(store_fd(p->store), &late) < 0)
		fprintf(stderr, "coracle-fetch: the time is not kept: %s\n", late.text);
	r = consider(p, e);
	if (r < 0 || p->is_known || p->o.is_dry)
		return r;
	snprintf(line, sizeof(line), "signature checked, %zu layers", p->found.manifest.layer_count);
	progress_say(&p->progress, line);
	r = layers_get(&(struct layers){ p->store, p->bundle_exe, p->registry, &p->found.manifest, &p->progress, p->o.no_partial }, e);
	if (r == 0 && p->o.refuses_secrets)
		r = refuse_secrets(p, e);
	return r < 0 ? r : publish_image(p, e);
}

/* What PID 1 should do about it: a link heals, a refusal does not. */
enum job_code pull_outcome(int code)
{
	switch (code) {
	case 0:
		return JOB_DONE;
	case -EKEYREJECTED:
	case -EBADMSG:
	case -EPROTO:
	case -EFBIG:
	case -ENOTSUP:
	case -EINVAL:
	case -ENOENT:
	case -EACCES:
		return JOB_REFUSED;
	case -EUCLEAN:
		return JOB_DAMAGED;
	case -EALREADY:
		return JOB_LATER;
	default:
		return JOB_RETRY;
	}
}

static int finish(struct pull *p, int code, const struct err *e)
{
	static const char *const words[] = { [JOB_RETRY] = "retry", [JOB_REFUSED] = "refused", [JOB_DAMAGED] = "damaged", [JOB_LATER] = "later" };
	struct job_result res = { .code = pull_outcome(code), .bytes_done = p->progress.done, .bytes_total = p->progress.total };

	res.wants_room = code == -ENOSPC || code == -EDQUOT;
	if (code == 0) {
		struct digest_text t = digest_text(&p->found.manifest_digest);

		memcpy(res.digest, t.text, sizeof(t.text));
		progress_done(&p->progress, t.text, p->found.admitted.signer);
	} else {
		progress_failed(&p->progress, p->o.text, words[res.code], e->text);
	}
	snprintf(res.signer, sizeof(res.signer), "%s", p->found.admitted.signer);
	snprintf(res.text, sizeof(res.text), "%s", e->text);
	job_send(p->o.result_fd, &res);
	return code ? 1 : 0;
}

static void leave(struct pull *p)
{
	registry_free(p->registry);
	store_close(p->store);
	find_free(&p->found);
	if (p->bundle_exe >= 0)
		close(p->bundle_exe);
	p->registry = NULL;
	p->store = NULL;
	p->bundle_exe = -1;
}

/* An archive that came with the disk, admitted as from anywhere under the policy of its path. It is used once: gone when the store holds
 * what was in it, under another name when it was refused, so that no later pull goes back to it. */
static int pull_preload(struct pull *p)
{
	const char *asked = p->o.text, *file = p->o.preload;
	char text[4200], aside[4200];
	struct err e = { "" };
	int r;

	snprintf(text, sizeof(text), "oci-archive:%s", file);
	p->o.text = text;
	r = pull(p, &e);
	p->o.text = asked;
	if (r == 0) {
		if (unlink(file) < 0)
			fprintf(stderr, "coracle-fetch: %s: not removed: %s\n", file, strerror(errno));
		return 0;
	}
	leave(p);
	snprintf(aside, sizeof(aside), "%s.refused", file);
	fprintf(stderr, "coracle-fetch: %s: %s%s; %s is asked\n", file, e.text,
		pull_outcome(r) == JOB_REFUSED && rename(file, aside) == 0 ? ": kept as .refused" : "", asked);
	return r;
}

int pull_main(int argc, char **argv)
{
	static struct pull p;
	struct err e = { "" };
	int r = options_parse(argc, argv, &p.o);

	if (r)
		return r;
	signal(SIGPIPE, SIG_IGN);
	progress_init(&p.progress, p.o.result_fd, p.o.is_json);
	p.bundle_exe = -1;
	if (!p.o.preload || access(p.o.preload, R_OK) < 0 || pull_preload(&p) < 0)
		r = pull(&p, &e);
	r = finish(&p, r, &e);
	leave(&p);
	return r;
}
