/* SPDX-License-Identifier: MIT */
/* The published status record: a sequence lock over a sealed memfd. Never allocates but the mapping. */
#include "status.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct status *status_map(int fd)
{
	struct status *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (s == MAP_FAILED)
		return NULL;
	return s->magic == STATUS_MAGIC && s->format == STATUS_FORMAT && s->size == sizeof(*s) ? s : NULL;
}

struct status *status_make(int *out, int *read_fd)
{
	int fd = memfd_create("coracle-status", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct status *s;
	char path[40];

	if (fd < 0)
		return NULL;
	s = MAP_FAILED;
	if (ftruncate(fd, sizeof(*s)) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*read_fd = s == MAP_FAILED ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	*out = fd;
	if (*read_fd < 0)
		return NULL;
	s->magic = STATUS_MAGIC;
	s->format = STATUS_FORMAT;
	s->size = sizeof(*s);
	return s;
}

const char *status_update_end_name(unsigned end)
{
	static const char *const name[] = { "not needed", "committed", "rolled back", "failed" };

	return end < sizeof(name) / sizeof(name[0]) ? name[end] : "unknown";
}

void status_begin(struct status *s)
{
	__atomic_store_n(&s->sequence, s->sequence + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

void status_end(struct status *s)
{
	__atomic_store_n(&s->sequence, s->sequence + 1, __ATOMIC_RELEASE);
}

#define END(text) ((text)[sizeof(text) - 1] = '\0')

static void end_texts(struct status *s)
{
	END(s->hostname);
	END(s->reset_cause);
	END(s->version);
	END(s->data);
	END(s->data_dir);
	END(s->network);
	END(s->units_error);
	END(s->ready);
	END(s->bin_dir);
	for (uint32_t i = 0; i < s->count; i++) {
		END(s->unit[i].name);
		END(s->unit[i].image);
		END(s->unit[i].digest);
		END(s->unit[i].signer);
		END(s->unit[i].version);
		END(s->unit[i].reason);
		END(s->unit[i].note);
		END(s->unit[i].cgroup);
		END(s->unit[i].said);
		END(s->unit[i].update.digest);
		END(s->unit[i].update.previous);
		END(s->unit[i].update.refused);
		END(s->unit[i].update.why);
		END(s->unit[i].health_text);
		for (int k = 0; k < STATUS_ENDS; k++)
			END(s->unit[i].end[k].text);
	}
}

int status_copy(int fd, struct status *out)
{
	const struct status *s;
	struct stat st;
	int ret = -EAGAIN;

	if (fstat(fd, &st) < 0 || st.st_size != sizeof(*s))
		return -EBADMSG;
	s = mmap(NULL, sizeof(*s), PROT_READ, MAP_SHARED, fd, 0);
	if (s == MAP_FAILED)
		return -EBADMSG;
	for (int tries = 0; tries < 1000 && ret == -EAGAIN; tries++) {
		uint32_t before = __atomic_load_n(&s->sequence, __ATOMIC_ACQUIRE);

		if (before & 1) {
			sched_yield();
			continue;
		}
		memcpy(out, s, sizeof(*out));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&s->sequence, __ATOMIC_RELAXED) == before)
			ret = 0;
	}
	munmap((void *)s, sizeof(*s));
	if (ret == 0 && (out->magic != STATUS_MAGIC || out->format != STATUS_FORMAT ||
	    out->size != sizeof(*out) || out->count > CONFIG_UNITS_MAX))
		return -EBADMSG;
	if (ret == 0)
		end_texts(out);
	return ret;
}
