/* SPDX-License-Identifier: MIT */
/*
 * The launcher's side of one layer: a jailed unpacker at the other end of a pipe, and after it said its
 * piece, the checks, the whiteouts (which need what the jail does not have), one sync, one rename. Everything that
 * comes out of the jail is believed in nothing: diff_id is compared, paths are opened beneath, without links.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "file.h"
#include "store_dir.h"
#include "unpack.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

enum { REPORT_DEADLINE_MS = 600000 };

struct layer_stage {
	struct store *store;
	struct layer_spec spec;
	struct staging staging;
	struct jail jail;
	int feed, result;
	int lower[CONFIG_LAYERS_MAX];
};

/* A detached mount of just that directory: ".." does not lead out of it. */
static int clone_tree(int root, const char *path, uint64_t extra)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | extra };
	int dir = file_open_beneath(root, path, O_PATH | O_DIRECTORY, 0);
	int fd;

	if (dir < 0)
		return dir;
	fd = (int)syscall(SYS_open_tree, dir, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	close(dir);
	if (fd >= 0 && syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0) {
		int errnum = errno;

		close(fd);
		return -errnum;
	}
	return fd;
}

static int open_lowers(struct layer_stage *l, struct err *e)
{
	for (size_t i = 0; i < l->spec.lower_len; i++) {
		char name[STORE_SHORT_MAX], path[64];
		size_t from_top = l->spec.lower_len - 1 - i;

		if (store_layer_find(l->store, &l->spec.lower[from_top], name) < 0)
			return err_set(e, -EUCLEAN, "layer %d: layer %zu below it is not in the store", l->spec.index, from_top);
		snprintf(path, sizeof(path), "layers/%s", name);
		l->lower[i] = clone_tree(l->store->root, path, MOUNT_ATTR_RDONLY);
		if (l->lower[i] < 0)
			return err_sys(e, -l->lower[i], "layer %d: cannot open layers/%s", l->spec.index, name);
	}
	return 0;
}

static int start_jail(struct layer_stage *l, int exe, int in, int out, struct err *e)
{
	static const char *const kinds[] = { "plain", "gzip", "zstd" };
	struct jail_fd fds[3 + CONFIG_LAYERS_MAX];
	struct jail_spec spec;
	char path[64], count[8];
	char *argv[] = { (char *)"coracle-bundle", (char *)"unpack", (char *)kinds[l->spec.compression], count, NULL };
	int tree, r;

	snprintf(path, sizeof(path), "tmp/%s/layer", l->staging.name);
	snprintf(count, sizeof(count), "%zu", l->spec.lower_len);
	tree = clone_tree(l->store->root, path, 0);
	if (tree < 0)
		return err_sys(e, -tree, "layer %d: cannot open the staging directory", l->spec.index);
	fds[0] = (struct jail_fd){ in, 0 };
	fds[1] = (struct jail_fd){ out, 1 };
	fds[2] = (struct jail_fd){ tree, UNPACK_STAGE_FD };
	for (size_t i = 0; i < l->spec.lower_len; i++)
		fds[3 + i] = (struct jail_fd){ l->lower[i], UNPACK_LOWER_FD + (int)i };
	unpack_jail_spec(&spec);
	r = jail_start(&l->jail, &spec, exe, argv, fds, 3 + l->spec.lower_len, e);
	close(tree);
	return r;
}

int layer_stage_begin(struct layer_stage **out, struct store *s, int bundle_exe_fd, const struct layer_spec *spec, struct err *e)
{
	struct layer_stage *l = calloc(1, sizeof(*l));
	int in[2] = { -1, -1 }, result[2] = { -1, -1 }, r;

	*out = NULL;
	if (!l)
		return err_sys(e, ENOMEM, "layer %d", spec->index);
	l->store = s;
	l->spec = *spec;
	l->feed = l->result = -1;
	l->staging.dir = -1;
	memset(l->lower, -1, sizeof(l->lower));
	if (spec->lower_len >= CONFIG_LAYERS_MAX) {
		r = err_set(e, -EFBIG, "layer %d: more than %d layers", spec->index, CONFIG_LAYERS_MAX);
		goto fail;
	}
	r = staging_begin(s, &l->staging, e);
	if (r < 0)
		goto fail;
	if (mkdirat(l->staging.dir, "layer", 0755) < 0 || pipe2(in, O_CLOEXEC) < 0 || pipe2(result, O_CLOEXEC) < 0) {
		r = err_sys(e, errno, "layer %d: cannot prepare the staging directory", spec->index);
		goto fail;
	}
	fcntl(in[1], F_SETPIPE_SZ, 1 << 20);	/* overlaps network and disk; a smaller pipe does as well */
	r = open_lowers(l, e);
	if (r == 0)
		r = start_jail(l, bundle_exe_fd, in[0], result[1], e);
	if (r < 0)
		goto fail;
	close(in[0]);
	close(result[1]);
	l->feed = in[1];
	l->result = result[0];
	*out = l;
	return 0;
fail:
	for (int i = 0; i < 2; i++) {
		if (in[i] >= 0)
			close(in[i]);
		if (result[i] >= 0)
			close(result[i]);
	}
	layer_stage_abort(l);
	return r;
}

int layer_stage_feed(struct layer_stage *l, const void *at, size_t len, struct err *e)
{
	void (*old)(int) = signal(SIGPIPE, SIG_IGN);
	int r = file_write_all(l->feed, at, len);

	signal(SIGPIPE, old);
	return r < 0 && r != -EPIPE ? err_sys(e, -r, "layer %d: feeding the unpacker", l->spec.index) : r;
}

/* Reads LEN bytes of the jail's report, never waiting for ever. */
static int read_report(struct layer_stage *l, void *at, size_t len)
{
	size_t have = 0;

	while (have < len) {
		struct pollfd p = { .fd = l->result, .events = POLLIN };
		ssize_t n;

		if (poll(&p, 1, REPORT_DEADLINE_MS) <= 0)
			return -ETIMEDOUT;
		n = read(l->result, (char *)at + have, len - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EPROTO;
		have += (size_t)n;
	}
	return 0;
}

/* Whiteout device or opaque mark at a path that the jail named; the path may hold no link and not leave the staging. */
static int apply_mark(int layer, char kind, const char *path)
{
	char parent[UNPACK_PATH_MAX];
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	int dir, r = 0;

	if (kind == 'o') {
		dir = file_open_beneath(layer, path[0] ? path : ".", O_RDONLY | O_DIRECTORY, 0);
		if (dir < 0)
			return dir;
		if (fsetxattr(dir, "trusted.overlay.opaque", "y", 1, 0) < 0)
			r = -errno;
		close(dir);
		return r;
	}
	if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EPROTO;
	if (!span_copy(span_of(path, slash ? (size_t)(slash - path) : 0), parent, sizeof(parent)))
		return -EPROTO;
	dir = file_open_beneath(layer, parent[0] ? parent : ".", O_RDONLY | O_DIRECTORY, 0);
	if (dir < 0)
		return dir;
	if (mknodat(dir, name, S_IFCHR | 0600, makedev(0, 0)) < 0)
		r = -errno;
	close(dir);
	return r;
}

/* The times of a directory that gets a whiteout must survive it. */
static int apply_marks(struct layer_stage *l, uint32_t count, struct err *e)
{
	char path[UNPACK_PATH_MAX];
	int layer, r = 0;

	if (count > UNPACK_MARKS_MAX)
		return -EPROTO;
	layer = openat(l->staging.dir, "layer", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (layer < 0)
		return -errno;
	for (uint32_t i = 0; r == 0 && i < count; i++) {
		char kind, parent[UNPACK_PATH_MAX];
		const char *slash;
		struct stat st;
		uint16_t len;
		int dir;

		r = read_report(l, &len, sizeof(len));
		if (r == 0)
			r = len < sizeof(path) ? read_report(l, &kind, 1) : -EPROTO;
		if (r == 0 && len)
			r = read_report(l, path, len);
		if (r < 0)
			break;
		path[len] = '\0';
		slash = strrchr(path, '/');
		span_copy(span_of(path, slash ? (size_t)(slash - path) : 0), parent, sizeof(parent));
		dir = file_open_beneath(layer, parent[0] ? parent : ".", O_RDONLY | O_DIRECTORY, 0);
		if (dir < 0 || fstat(dir, &st) < 0)
			r = -EPROTO;
		if (r == 0)
			r = apply_mark(layer, kind, path);
		if (r == 0) {
			struct timespec times[2] = { st.st_atim, st.st_mtim };

			futimens(dir, times);
		}
		if (dir >= 0)
			close(dir);
	}
	close(layer);
	return r < 0 ? err_sys(e, -r, "layer %d: applying its whiteouts", l->spec.index) : 0;
}

static int take_result(struct layer_stage *l, struct err *e)
{
	struct unpack_result res;
	char shown[400];
	int r = read_report(l, &res, sizeof(res));

	if (r < 0 || res.magic != UNPACK_MAGIC) {
		int status = jail_wait(&l->jail, 1000);

		return err_set(e, -ECONNABORTED, "layer %d: the unpacker died (%s %d): trying again may help", l->spec.index,
			status > 128 ? "signal" : "status", status > 128 ? status - 128 : status);
	}
	if (res.code) {
		res.text[sizeof(res.text) - 1] = '\0';
		span_escape(span_str(res.text), shown, sizeof(shown));
		return err_set(e, res.code < 0 && res.code > -4096 ? res.code : -EPROTO, "layer %d: %s", l->spec.index, shown);
	}
	if (!digest_equal(&res.diff_id, &l->spec.diff_id))
		return err_set(e, -EBADMSG, "layer %d: its uncompressed bytes are %s, the image config says %s: refused",
			l->spec.index, digest_text(&res.diff_id).text, digest_text(&l->spec.diff_id).text);
	return apply_marks(l, res.mark_count, e);
}

/* The next free short name; a rename that meets an existing directory tries the one behind it. */
static int publish(struct layer_stage *l, struct err *e)
{
	char from[64], to[64], name[STORE_SHORT_MAX], index[128], hex[DIGEST_HEX_LEN + 1];
	int lock, layers = -1, r = -EEXIST;

	lock = store_lock(l->store, false, 10000, e);
	if (lock < 0)
		return lock;
	if (store_layer_find(l->store, &l->spec.chain, name) == 0) {
		close(lock);	/* another pull was faster: its bytes are the same */
		return 0;
	}
	snprintf(from, sizeof(from), "tmp/%s/layer", l->staging.name);
	for (unsigned n = 1; n < 0xffffff && r == -EEXIST; n++) {
		snprintf(name, sizeof(name), "%04x", n);
		snprintf(to, sizeof(to), "layers/%s", name);
		r = syscall(SYS_renameat2, l->store->root, from, l->store->root, to, 1 /* RENAME_NOREPLACE */) < 0 ? -errno : 0;
	}
	if (r == 0)
		layers = file_open_beneath(l->store->root, "layers", O_RDONLY | O_DIRECTORY, 0);
	if (r == 0 && (layers < 0 || fsync(layers) < 0))
		r = -EIO;
	if (r == 0) {
		snprintf(index, sizeof(index), "layers/index/%s", store_hex(&l->spec.chain, hex));
		r = file_replace(l->store->root, index, span_str(name), 0644, e);
	}
	if (layers >= 0)
		close(layers);
	close(lock);
	return r < 0 ? err_sys(e, -r, "layer %d: cannot publish", l->spec.index) : 0;
}

int layer_stage_publish(struct layer_stage *l, struct err *e)
{
	int r;

	close(l->feed);
	l->feed = -1;
	r = take_result(l, e);
	if (r == 0)
		jail_wait(&l->jail, 10000);
	if (r == 0 && syncfs(l->staging.dir) < 0)
		r = err_sys(e, errno, "layer %d: sync", l->spec.index);
	if (r == 0)
		r = publish(l, e);
	layer_stage_abort(l);
	return r;
}

void layer_stage_abort(struct layer_stage *l)
{
	if (!l)
		return;
	jail_kill(&l->jail);
	if (l->feed >= 0)
		close(l->feed);
	if (l->result >= 0)
		close(l->result);
	for (int i = 0; i < CONFIG_LAYERS_MAX; i++)
		if (l->lower[i] >= 0)
			close(l->lower[i]);
	staging_end(l->store, &l->staging);
	free(l);
}
