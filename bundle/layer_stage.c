/* SPDX-License-Identifier: MIT */
/*
 * The launcher's side of one layer: a jailed unpacker at the other end of a pipe, and after it said its
 * piece and is dead, the checks, the whiteouts (which need what the jail does not have), the list for `verify`, one sync, one
 * rename. Everything that comes out of the jail is believed in nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "file.h"
#include "layer_list.h"
#include "layer_stage_inner.h"

/* How long the unpacker may say nothing after its last byte of input; and how long it may take to end after its last word. */
enum { REPORT_DEADLINE_MS = 600000, END_DEADLINE_MS = 2000, PIPE_BYTES = 1 << 20 };

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int open_lowers(struct layer_stage *l, struct err *e)
{
	for (size_t i = 0; i < l->spec.lower_len; i++) {
		char name[STORE_SHORT_MAX], path[64];
		size_t from_top = l->spec.lower_len - 1 - i;

		if (store_layer_find(l->store, &l->spec.lower[from_top], name) < 0)
			return err_set(e, -EUCLEAN, "layer %d: layer %zu below it is not in the store", l->spec.index, from_top);
		snprintf(path, sizeof(path), "layers/%s", name);
		l->lower[i] = file_clone_tree(l->store->root, path, MOUNT_ATTR_RDONLY);
		if (l->lower[i] < 0)
			return err_sys(e, -l->lower[i], "layer %d: cannot open layers/%s", l->spec.index, name);
	}
	return 0;
}

static int start_inflater(struct layer_stage *l, int exe, int in, int out, int result, struct err *e)
{
	static const char *const kinds[] = { "plain", "gzip", "zstd" };
	struct jail_fd fds[] = { { in, STDIN_FILENO }, { out, STDOUT_FILENO }, { result, STDERR_FILENO } };
	char *argv[] = { (char *)"coracle-bundle", (char *)"inflate", (char *)kinds[l->spec.compression], NULL };
	struct jail_spec spec;

	inflate_jail_spec(&spec);
	return jail_start(&l->inflater, &spec, exe, argv, fds, sizeof(fds) / sizeof(*fds), e);
}

static int start_unpacker(struct layer_stage *l, int exe, int in, int out, struct err *e)
{
	struct jail_fd fds[UNPACK_LOWER_FD + CONFIG_LAYERS_MAX];
	struct jail_spec spec;
	char path[64], count[8];
	char *argv[] = { (char *)"coracle-bundle", (char *)"unpack", count, NULL };
	int tree, r;

	snprintf(path, sizeof(path), "tmp/%s/layer", l->staging.name);
	snprintf(count, sizeof(count), "%zu", l->spec.lower_len);
	tree = file_clone_tree(l->store->root, path, 0);
	if (tree < 0)
		return err_sys(e, -tree, "layer %d: cannot open the staging directory", l->spec.index);
	fds[0] = (struct jail_fd){ in, STDIN_FILENO };
	fds[1] = (struct jail_fd){ out, STDOUT_FILENO };
	fds[2] = (struct jail_fd){ l->digests, UNPACK_DIGEST_FD };
	fds[3] = (struct jail_fd){ l->marks, UNPACK_MARKS_FD };
	fds[4] = (struct jail_fd){ tree, UNPACK_STAGE_FD };
	for (size_t i = 0; i < l->spec.lower_len; i++)
		fds[UNPACK_LOWER_FD + i] = (struct jail_fd){ l->lower[i], UNPACK_LOWER_FD + (int)i };
	unpack_jail_spec(&spec);
	r = jail_start(&l->jail, &spec, exe, argv, fds, UNPACK_LOWER_FD + l->spec.lower_len, e);
	close(tree);
	for (size_t i = 0; i < l->spec.lower_len; i++)
		close_fd(&l->lower[i]);
	return r;
}

/* A file in the staging that has no name and dies with its descriptors. */
static int nameless(struct layer_stage *l, int flags, struct err *e)
{
	int fd = openat(l->staging.dir, "nameless", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | flags, 0600);

	if (fd >= 0 && unlinkat(l->staging.dir, "nameless", 0) == 0)
		return fd;
	err_sys(e, errno, "layer %d: cannot make a file in the staging", l->spec.index);
	close_fd(&fd);
	return -EIO;
}

static int prepare(struct layer_stage *l, struct err *e)
{
	int r = staging_begin(l->store, &l->staging, e);

	if (r < 0)
		return r;
	if (mkdirat(l->staging.dir, "layer", 0755) < 0)
		return err_sys(e, errno, "layer %d: cannot make the staging directory", l->spec.index);
	l->digests = nameless(l, O_APPEND, e);
	l->marks = l->digests < 0 ? l->digests : nameless(l, 0, e);
	return l->marks < 0 ? l->marks : 0;
}

/* Both jails, with a pipe between them. */
static int start_jails(struct layer_stage *l, int exe, struct err *e)
{
	enum { FEED, PLAIN, INFLATED, RESULT, PIPES };
	int p[PIPES][2], r = 0;

	memset(p, -1, sizeof(p));
	for (int i = 0; r == 0 && i < PIPES; i++)
		if (pipe2(p[i], O_CLOEXEC) < 0)
			r = err_sys(e, errno, "layer %d: pipes", l->spec.index);
	if (r == 0) {	/* overlap network, decompression and disk; smaller pipes do as well */
		fcntl(p[FEED][1], F_SETPIPE_SZ, PIPE_BYTES);
		fcntl(p[PLAIN][1], F_SETPIPE_SZ, PIPE_BYTES);
		r = start_inflater(l, exe, p[FEED][0], p[PLAIN][1], p[INFLATED][1], e);
	}
	if (r == 0)
		r = start_unpacker(l, exe, p[PLAIN][0], p[RESULT][1], e);
	close_fd(&p[FEED][0]);
	close_fd(&p[PLAIN][0]);
	close_fd(&p[PLAIN][1]);
	close_fd(&p[INFLATED][1]);
	close_fd(&p[RESULT][1]);
	l->feed = p[FEED][1];
	l->inflated = p[INFLATED][0];
	l->result = p[RESULT][0];
	return r;
}

int layer_stage_begin(struct layer_stage **out, struct store *s, int bundle_exe_fd, const struct layer_spec *spec, struct err *e)
{
	struct layer_stage *l = calloc(1, sizeof(*l));
	int r;

	*out = NULL;
	if (!l)
		return err_sys(e, ENOMEM, "layer %d", spec->index);
	l->store = s;
	l->spec = *spec;
	l->feed = l->inflated = l->result = l->digests = l->marks = l->staging.dir = -1;
	memset(l->lower, -1, sizeof(l->lower));
	if (spec->lower_len >= CONFIG_LAYERS_MAX)
		r = err_set(e, -EFBIG, "layer %d: an image of more than %d layers is refused", spec->index, CONFIG_LAYERS_MAX);
	else
		r = prepare(l, e);
	for (size_t i = 0; r == 0 && i <= spec->lower_len; i++)
		r = store_hold(s, i < spec->lower_len ? &spec->lower[i] : &spec->chain, e);
	if (r == 0)
		r = open_lowers(l, e);
	if (r == 0)
		r = start_jails(l, bundle_exe_fd, e);
	if (r < 0) {
		layer_stage_abort(l);
		return r;
	}
	*out = l;
	return 0;
}

int layer_stage_feed(struct layer_stage *l, const void *at, size_t len, struct err *e)
{
	int r = file_write_all(l->feed, at, len);

	return r < 0 && r != -EPIPE ? err_sys(e, -r, "layer %d: feeding the unpacker", l->spec.index) : r;
}

/* Reads LEN bytes of a jail's report, never waiting for ever. */
static int read_report(int fd, void *at, size_t len)
{
	size_t have = 0;

	while (have < len) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;
		int r = poll(&p, 1, REPORT_DEADLINE_MS);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return -ETIMEDOUT;
		n = read(fd, (char *)at + have, len - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EPROTO;
		have += (size_t)n;
	}
	return 0;
}

static int jail_died(struct layer_stage *l, struct jail *j, struct err *e)
{
	int status = jail_wait(j, END_DEADLINE_MS);

	return err_set(e, -ECONNABORTED, "layer %d: the unpacker ended without a word (%s %d): out of memory, or a fault; trying again may help",
		l->spec.index, status > 128 ? "signal" : "status", status > 128 ? status - 128 : status);
}

/* How the decompressor came to the end that the unpacker met, which says WHAT became of that. */
static int take_inflated(struct layer_stage *l, const char *what, struct err *e)
{
	struct inflate_result in;
	char shown[sizeof(in.text)];

	if (read_report(l->inflated, &in, sizeof(in)) < 0 || in.magic != UNPACK_MAGIC)
		return jail_died(l, &l->inflater, e);
	jail_wait(&l->inflater, END_DEADLINE_MS);
	if (in.code) {
		in.text[sizeof(in.text) - 1] = '\0';
		span_escape(span_str(in.text), shown, sizeof(shown));
		return err_set(e, in.code < 0 && in.code > -4096 ? in.code : -EPROTO, "layer %d: %s%s%s", l->spec.index, shown, what[0] ? "; " : "", what);
	}
	if (!what[0] && !digest_equal(&in.diff_id, &l->spec.diff_id))
		return err_set(e, -EBADMSG, "layer %d: its uncompressed bytes are %s, the image config says %s: refused",
			l->spec.index, digest_text(&in.diff_id).text, digest_text(&l->spec.diff_id).text);
	return 0;
}

/* The jail's verdict. Afterwards nothing of it runs any more. */
static int take_result(struct layer_stage *l, struct unpack_result *res, struct err *e)
{
	char shown[sizeof(res->text)];
	int r = read_report(l->result, res, sizeof(*res));

	if (r < 0 || res->magic != UNPACK_MAGIC)
		return jail_died(l, &l->jail, e);
	if (res->code) {
		res->text[sizeof(res->text) - 1] = '\0';
		span_escape(span_str(res->text), shown, sizeof(shown));
		r = res->is_input_end ? take_inflated(l, shown, e) : 0;
		if (r < 0)
			return r;
		return err_set(e, res->code < 0 && res->code > -4096 ? res->code : -EPROTO, "layer %d: %s", l->spec.index, shown);
	}
	jail_wait(&l->jail, END_DEADLINE_MS);
	return take_inflated(l, "", e);
}

/* Whiteouts into the staged layer, and its list beside it. */
static int complete(struct layer_stage *l, uint64_t *bytes, struct err *e)
{
	int layer = openat(l->staging.dir, "layer", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), list = -1, r;

	if (layer < 0)
		return err_sys(e, errno, "layer %d: staging", l->spec.index);
	r = layer_marks_apply(layer, l->marks, e);
	if (r == 0) {
		list = openat(l->staging.dir, "list", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		r = list < 0 ? -errno : layer_list_write(layer, l->digests, list, bytes, e);
	}
	close_fd(&list);
	close(layer);
	close_fd(&l->digests);	/* before the sync: they have no name, and need not be written */
	close_fd(&l->marks);
	if (r == 0 && syncfs(l->staging.dir) < 0)
		r = -errno;
	if (r < 0) {
		err_sys(e, -r, "cannot be completed");
		return err_prefix(e, r, "layer %d", l->spec.index);
	}
	return 0;
}

int layer_stage_publish(struct layer_stage *l, struct err *e)
{
	struct unpack_result res;
	uint64_t bytes = 0;
	int r;

	close_fd(&l->feed);
	r = take_result(l, &res, e);
	if (r == 0)
		r = complete(l, &bytes, e);
	if (r == 0)
		r = store_layer_publish(l->store, &l->staging, &l->spec, res.entries, bytes, e);
	layer_stage_abort(l);
	return r;
}

void layer_stage_abort(struct layer_stage *l)
{
	if (!l)
		return;
	jail_kill(&l->inflater);
	jail_kill(&l->jail);
	close_fd(&l->feed);
	close_fd(&l->inflated);
	close_fd(&l->result);
	close_fd(&l->digests);
	close_fd(&l->marks);
	for (int i = 0; i < CONFIG_LAYERS_MAX; i++)
		close_fd(&l->lower[i]);
	staging_end(l->store, &l->staging);
	free(l);
}
