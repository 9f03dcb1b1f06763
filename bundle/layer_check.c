/* SPDX-License-Identifier: MIT */
/* Opens what `verify` and whoever is about to use a layer compare. Nothing of it is believed but the index entry, and that under a key alone. */
#include "layer_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "layer_list.h"
#include "seal.h"
#include "sha256.h"
#include "store_dir.h"

#define SEEN_DIR "/run/coracle/verified"

static int check_list(int list, const struct store_layer *l, const char *path, struct err *e)
{
	static uint8_t block[16384];
	struct digest have;
	struct sha256 h;
	ssize_t n;

	if (!l->has_list)
		return 0;
	sha256_begin(&h);
	while ((n = file_read_full(list, block, sizeof(block))) > 0)
		sha256_add(&h, block, (size_t)n);
	have = sha256_end(&h);
	if (n < 0 || lseek(list, 0, SEEK_SET) < 0)
		return err_sys(e, EIO, "%s", path);
	return digest_equal(&have, &l->list) ? 0 : err_set(e, -EUCLEAN, "%s: its list is damaged: not what was written at its unpacking", path);
}

long layer_check(struct store *s, const struct store_layer *l, FILE *out, struct err *e)
{
	char path[64], prefix[64];
	long wrong;
	int layer, list;

	snprintf(path, sizeof(path), "layers/%s", l->name);
	snprintf(prefix, sizeof(prefix), "layer %s: ", l->name);
	layer = file_open_beneath(s->root, path, O_RDONLY | O_DIRECTORY, 0);
	if (layer < 0)
		return err_sys(e, -layer, "%s", path);
	snprintf(path, sizeof(path), "layers/list/%s", l->name);
	list = file_open_beneath(s->root, path, O_RDONLY | O_NONBLOCK, 0);
	wrong = list < 0 ? err_sys(e, -list, "%s", path) : check_list(list, l, path, e);
	if (wrong == 0)
		wrong = layer_list_verify(layer, list, out, prefix, e);
	if (list >= 0)
		close(list);
	close(layer);
	return wrong;
}

/* What was found sound in this boot stays so: the power did not go, and nobody but us writes here. */
static void seen_path(const struct store_layer *l, char out[128])
{
	snprintf(out, 128, SEEN_DIR "/%s.%.32s", l->name, digest_text(&l->list).text + 7);
}

static void remember(const char *path)
{
	int fd;

	mkdir("/run/coracle", 0755);
	mkdir(SEEN_DIR, 0700);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
}

static int look(struct store *s, const struct store_layer *l, struct err *e)
{
	char *said = NULL, seen[128];
	size_t size = 0;
	FILE *out;
	long wrong;

	seen_path(l, seen);
	if (access(seen, F_OK) == 0)
		return 0;
	out = open_memstream(&said, &size);
	if (!out)
		return err_sys(e, ENOMEM, "layer %s", l->name);
	wrong = layer_check(s, l, out, e);
	if (fclose(out) != 0 && wrong == 0)
		wrong = err_sys(e, ENOMEM, "layer %s", l->name);
	if (wrong > 0)
		err_set(e, -EUCLEAN, "%.*s (%ld differences)", (int)strcspn(said, "\n"), said, wrong);
	else if (wrong == 0)
		remember(seen);
	free(said);
	return wrong > 0 ? -EUCLEAN : (int)wrong;
}

int layer_check_use(struct store *s, const struct digest *chain, char out[STORE_SHORT_MAX], struct err *e)
{
	char path[128], hex[DIGEST_HEX_LEN + 1];
	struct store_layer l;
	int r = store_layer_read(s, chain, &l);

	snprintf(path, sizeof(path), STORE_LAYERS "/%s", store_hex(chain, hex));
	if (r == -EKEYREJECTED)
		r = err_set(e, -EUCLEAN, "%s: not written under this board's key", path);
	else if (r == 0 && s->seal.is_there)
		r = look(s, &l, e);
	if (r == -EUCLEAN && e && e->text[0]) {
		unlinkat(s->root, path, 0);
		return err_prefix(e, r, "changed since it was unpacked, refused, to be pulled again");
	}
	if (r == 0)
		memcpy(out, l.name, sizeof(l.name));
	return r < 0 ? err_set(e, -ENOENT, "is not in the store: pull the image again") : 0;
}
