/* SPDX-License-Identifier: MIT */
/* `coracle-bundle verify`: every image against its digests, every layer against the list recorded while it was unpacked. Changes nothing. */
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "commands.h"
#include "file.h"
#include "job.h"
#include "layer_check.h"
#include "quadlet.h"
#include "store.h"

enum { LOCK_MS = 10000 };

struct verify {
	struct store *store;
	unsigned images, layers;
	long wrong;
};

static int verify_image(void *to, const struct digest *d)
{
	struct verify *v = to;
	struct err e = { "" };

	v->images++;
	if (store_image_complete(v->store, d, &e) < 0) {
		printf("image %s: %s\n", digest_text(d).text, e.text);
		v->wrong++;
	}
	return 0;
}

static void close_lock(int lock)
{
	if (lock >= 0)
		close(lock);
}

static bool is_indexed(struct store *s, const struct digest *chain)
{
	char path[128];

	snprintf(path, sizeof(path), STORE_LAYERS "/%s", digest_text(chain).text + 7);
	return faccessat(store_fd(s), path, F_OK, 0) == 0;
}

static int verify_layer(void *to, const struct digest *chain)
{
	struct verify *v = to;
	struct store_layer l;
	struct err e = { "" };
	long wrong;
	/* So that gc does not take it away under our eyes; a disk that is read-only has no gc either. */
	int lock = store_lock(v->store, false, LOCK_MS, NULL), r;

	v->layers++;
	if (!is_indexed(v->store, chain)) {
		v->layers--;	/* it went since the index was read */
		close_lock(lock);
		return 0;
	}
	r = store_layer_read(v->store, chain, &l);
	if (r < 0) {
		close_lock(lock);
		printf("layer of chain %s: %s: pull its image again\n", digest_text(chain).text, r == -EKEYREJECTED ?
			"its index entry was not written under this board's key" : "its index entry or its directory is damaged");
		v->wrong++;
		return 0;
	}
	wrong = layer_check(v->store, &l, stdout, &e);
	close_lock(lock);
	if (wrong < 0)
		printf("layer %s: %s\n", l.name, e.text);
	v->wrong += wrong < 0 ? 1 : wrong;
	return 0;
}

static int verify(struct verify *v, const char *dir, struct err *e)
{
	int r = store_open(&v->store, dir, STORE_READ, e);

	if (r == 0)
		r = store_each(v->store, STORE_IMAGES, verify_image, v, e);
	if (r == 0)
		r = store_each(v->store, STORE_LAYERS, verify_layer, v, e);
	store_close(v->store);
	return r;
}

/* As a job of the board's: behind all that runs, for processor and disk. Where no pull has made the store yet there is nothing to find. */
static int verify_behind(int result_fd, const char *dir)
{
	struct job_result result = { .code = JOB_DONE };
	struct verify v = { .store = NULL };
	struct err e = { "" };
	int r;

	setpriority(PRIO_PROCESS, 0, 19);
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_CLASS_IDLE << IOPRIO_CLASS_SHIFT);
	r = verify(&v, dir, &e);
	if (r < 0 && r != -ENOENT) {
		result.code = r == -EUCLEAN ? JOB_DAMAGED : JOB_RETRY;
		snprintf(result.text, sizeof(result.text), "%s", e.text);
	} else {
		result.code = v.wrong ? JOB_DAMAGED : JOB_DONE;
		snprintf(result.text, sizeof(result.text), v.wrong ? "%u images, %u layers: %ld differences: pull the images again" :
			"%u images, %u layers: all as published", v.images, v.layers, v.wrong);
	}
	fflush(stdout);
	job_send(result_fd, &result);
	return result.code == JOB_DONE ? 0 : 1;
}

int cmd_verify(int argc, char **argv)
{
	struct verify v = { .store = NULL };
	struct err e = { "" };
	uint64_t fd;

	if (argc == 4 && strcmp(argv[1], "--result-fd") == 0 && quadlet_u64(argv[2], 1023, &fd))
		return verify_behind((int)fd, argv[3]);
	if (argc != 3 || strcmp(argv[1], "--store") != 0) {
		fprintf(stderr, "usage: coracle-bundle verify --store DIR\n");
		return 2;
	}
	if (verify(&v, argv[2], &e) < 0) {
		fprintf(stderr, "coracle-bundle verify: %s\n", e.text);
		return 1;
	}
	if (v.wrong) {
		fflush(stdout);
		fprintf(stderr, "coracle-bundle verify: %ld differences in %u images and %u layers: remove the image (gc) and pull it again\n",
			v.wrong, v.images, v.layers);
		return 1;
	}
	printf("%u images, %u layers: all as published\n", v.images, v.layers);
	return 0;
}
