/* SPDX-License-Identifier: MIT */
/*
 * `coracle-bundle release pull`, the job that brings a release in: coracle-fetch pulls it under the trust that is in force, what it holds is taken out
 * of it, and then coracle-fetch pulls every image that its units pin, under the trust that it brings. Nothing is in use before all is there. Opens no
 * socket itself; what the other program tells is believed in its shape alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands.h"
#include "file.h"
#include "quadlet.h"
#include "release.h"

enum { ARGS_MAX = 48, LOCK_MS = 10000 };

struct release_pull {
	char fetch[4096];		/* the program */
	char **args;			/* as given */
	int count;
	const char *store_dir, *ref;
	char *store_path;		/* absolute */
	int result_fd;
	char aside[RELEASE_DIR_MAX + 16];	/* the release on its way */
	struct store *store;
	struct release_pins pins;
	struct job_result last;		/* of the program */
};

static int usage(void)
{
	fprintf(stderr, "usage: coracle-bundle release pull --store DIR [what coracle-fetch pull takes]... REF\n");
	return 2;
}

/* Options that concern the release alone, not the images in it. */
static bool is_of_release(const char *arg)
{
	return strcmp(arg, "--known") == 0 || strcmp(arg, "--floor") == 0 || strcmp(arg, "--trust") == 0 || strcmp(arg, "--preload") == 0;
}

/* Hands on progress; keeps the final message. */
static void listen_to(struct release_pull *p, int fd)
{
	struct job_result r;

	memset(&p->last, 0, sizeof(p->last));
	while (file_read_full(fd, &r, sizeof(r)) == (ssize_t)sizeof(r)) {
		if (r.magic != JOB_MAGIC)
			continue;
		r.digest[sizeof(r.digest) - 1] = r.text[sizeof(r.text) - 1] = r.signer[sizeof(r.signer) - 1] = '\0';
		if (r.code == JOB_PROGRESS)
			job_send(p->result_fd, &r);
		else
			p->last = r;
	}
}

/* coracle-fetch pull REF, with TRUST for --trust; of an image without what is said of the release. 0 with p->last, or a code of ours. */
static int fetch(struct release_pull *p, const char *ref, const char *trust, bool is_image, struct err *e)
{
	char *v[ARGS_MAX] = { "coracle-fetch", "pull", "--result-fd", "3" };
	int n = 4, ends[2], status = 0;
	struct digest d;
	pid_t pid;

	for (int i = 0; i < p->count; i++) {
		if (strcmp(p->args[i], "--result-fd") == 0 || (is_image && is_of_release(p->args[i])))
			i++;
		else if (n < ARGS_MAX - 4)
			v[n++] = p->args[i];
	}
	if (trust) {
		v[n++] = "--trust";
		v[n++] = (char *)trust;
	}
	v[n] = (char *)ref;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, errno, "release: pipe");
	pid = fork();
	if (pid == 0) {
		/* 3 is ours to give away: PID 1's own pipe stays behind close-on-exec. */
		int out = fcntl(ends[1], F_DUPFD, 4);

		dup2(2, 1);
		if (out < 0 || dup2(out, 3) < 0)
			_exit(127);
		close(out);
		execv(p->fetch, v);
		_exit(127);
	}
	close(ends[1]);
	if (pid > 0) {
		listen_to(p, ends[0]);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	close(ends[0]);
	if (pid < 0 || !p->last.code)
		return err_set(e, -ECONNABORTED, "coracle-fetch did not run to its end");
	if (p->last.code != JOB_DONE)
		return err_set(e, p->last.code == JOB_REFUSED ? -EKEYREJECTED : p->last.code == JOB_DAMAGED ? -EUCLEAN : -ECONNABORTED, "%s",
			p->last.text);
	return status == 0 && digest_parse(span_str(p->last.digest), &d) == 0 ? 0 : err_set(e, -ECONNABORTED, "no digest was named");
}

static int note_unit(void *to, const struct unit_file *u, struct span bytes, struct err *e)
{
	struct release_pull *p = to;

	if (p->pins.count == CONFIG_UNITS_MAX)
		return err_set(e, -EFBIG, "release: more than %d units", CONFIG_UNITS_MAX);
	span_copy(span_str(u->name), p->pins.at[p->pins.count++].unit, UNIT_NAME_MAX);
	return 0;
}

struct wanted {
	const char *unit;
	char ref[UNIT_IMAGE_MAX + 16];
};

static int find_image(void *to, const struct unit_file *u, struct span bytes, struct err *e)
{
	struct wanted *w = to;

	if (strcmp(u->name, w->unit) == 0)
		snprintf(w->ref, sizeof(w->ref), "docker://%s", u->image);
	return 0;
}

/* All images of the units; which of the store stands for which is written down. */
static int pull_images(struct release_pull *p, struct err *e)
{
	char trust[5000];
	int r = release_each(p->store, p->aside, note_unit, p, e);

	snprintf(trust, sizeof(trust), "%s/%s", p->store_path, p->aside);
	for (uint32_t i = 0; r == 0 && i < p->pins.count; i++) {
		struct wanted w = { .unit = p->pins.at[i].unit };

		r = release_each(p->store, p->aside, find_image, &w, e);
		if (r == 0) {
			r = fetch(p, w.ref, trust, true, e);
			if (r < 0)
				err_prefix(e, r, "release: unit %s", w.unit);
		}
		span_copy(span_str(p->last.digest), p->pins.at[i].digest, DIGEST_TEXT_LEN + 1);
	}
	return r < 0 ? r : release_pins_write(p->store, p->aside, &p->pins, e);
}

/* Into its place, once all of it is on the disk. */
static int publish(struct release_pull *p, const char *digest, struct err *e)
{
	char dir[RELEASE_DIR_MAX];
	int root = store_fd(p->store), parent, r = 0;

	release_dir(digest, dir);
	if (syncfs(root) < 0)
		return err_sys(e, errno, "sync");
	/* There already, from an earlier pull of the same bytes: that one may be in use. */
	if (renameat(root, p->aside, root, dir) < 0 && errno != EEXIST && errno != ENOTEMPTY)
		return err_sys(e, errno, "%s", dir);
	parent = file_open_beneath(root, RELEASE_FOLDER, O_RDONLY | O_DIRECTORY, 0);
	if (parent < 0 || fsync(parent) < 0)
		r = err_sys(e, parent < 0 ? -parent : errno, RELEASE_FOLDER);
	if (parent >= 0)
		close(parent);
	return r;
}

/* What was pulled holds names that the store gives, so the release is known by the digest of its manifest. */
static int take_in(struct release_pull *p, struct job_result *result, struct err *e)
{
	struct job_result own = p->last;
	struct digest digest;
	char dir[RELEASE_DIR_MAX];
	int r = digest_parse(span_str(own.digest), &digest);

	if (r == 0)
		r = store_open(&p->store, p->store_dir, STORE_WRITE, e);
	if (r < 0)
		return r;
	release_dir(own.digest, dir);
	snprintf(p->aside, sizeof(p->aside), "%s.%d", dir, (int)getpid());
	r = release_copy(p->store, &digest, p->aside, e);
	if (r == 0)
		r = pull_images(p, e);
	if (r == 0)
		r = publish(p, own.digest, e);
	file_remove_tree(store_fd(p->store), p->aside, NULL);
	own.bytes_done = own.bytes_total = 0;
	*result = own;
	return r;
}

static bool is_known(const struct release_pull *p)
{
	for (int i = 0; i + 1 < p->count; i++)
		if (strcmp(p->args[i], "--known") == 0 && strcmp(p->args[i + 1], p->last.digest) == 0)
			return true;
	return false;
}

static bool parse(struct release_pull *p, int argc, char **argv)
{
	uint64_t n;

	*p = (struct release_pull){ .result_fd = -1, .args = argv + 2, .count = argc - 3 };
	if (argc < 4 || strcmp(argv[1], "pull") != 0)
		return false;
	p->ref = argv[argc - 1];
	for (int i = 0; i + 1 < p->count; i++)
		if (strcmp(p->args[i], "--store") == 0)
			p->store_dir = p->args[i + 1];
		else if (strcmp(p->args[i], "--result-fd") == 0 && quadlet_u64(p->args[i + 1], 1023, &n))
			p->result_fd = (int)n;
	return p->store_dir;
}

static int find_program(struct release_pull *p, struct err *e)
{
	int r = file_sibling("coracle-fetch", p->fetch, sizeof(p->fetch));

	if (r < 0)
		return err_sys(e, -r, "/proc/self/exe");
	p->store_path = realpath(p->store_dir, NULL);
	return p->store_path ? 0 : err_sys(e, errno, "%s", p->store_dir);
}

int cmd_release(int argc, char **argv)
{
	static struct release_pull p;
	struct job_result result = { 0 };
	struct err e = { "" };
	int r;

	if (!parse(&p, argc, argv))
		return usage();
	umask(022);
	if (p.result_fd >= 0)
		fcntl(p.result_fd, F_SETFD, FD_CLOEXEC);
	r = find_program(&p, &e);
	if (r == 0)
		r = fetch(&p, p.ref, NULL, false, &e);
	result = p.last;
	if (r == 0 && !is_known(&p))
		r = take_in(&p, &result, &e);
	store_close(p.store);
	free(p.store_path);
	result.code = commands_outcome(r);
	snprintf(result.text, sizeof(result.text), "%s", e.text);
	job_send(p.result_fd, &result);
	if (r < 0)
		fprintf(stderr, "coracle-bundle: %s\n", e.text);
	else
		printf("%s\n", result.digest);
	return r < 0 ? 1 : 0;
}
