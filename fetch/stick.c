/* SPDX-License-Identifier: MIT */
/* Which devices are sticks, and the life of the child that looks at one (stick_child.c). Input: sysfs; one text of bounded size from each child. */
#include "stick.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"
#include "file.h"
#include "stick_child.h"

#define BLOCK "/sys/class/block"

enum { DEVICES_MAX = 64, NAME_MAX_HERE = 32, STEADY_MS = 60000 };

struct device {
	char name[NAME_MAX_HERE];
	bool is_seen;			/* in this look */
	bool is_ours;			/* there before the data partition, or it itself */
	unsigned looks;			/* since it came */
	pid_t child;			/* 0: none */
	bool is_done, is_mounted;
	int pipe;			/* what the child finds, -1: none */
	uint64_t deadline_ms;
	size_t len;
	char text[STICK_TEXT_MAX];
};

static struct device devices[DEVICES_MAX];
static bool has_baseline;

static struct device *find(const char *name)
{
	struct device *place = NULL;

	for (int i = 0; i < DEVICES_MAX; i++) {
		if (!strcmp(devices[i].name, name))
			return &devices[i];
		if (!devices[i].name[0] && !place)
			place = &devices[i];
	}
	if (place && strlen(name) < sizeof(place->name)) {
		*place = (struct device){ .pipe = -1 };
		snprintf(place->name, sizeof(place->name), "%s", name);
		return place;
	}
	return NULL;
}

static bool is_virtual(const char *name)
{
	static const char *const kinds[] = { "loop", "ram", "zram", "dm-", "md", "nbd" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strncmp(name, kinds[i], strlen(kinds[i])))
			return true;
	return false;
}

/* The name of its disk, where it is a partition; its own else. IS_USB: by the way it hangs in sysfs. */
static bool place_of(const char *name, char disk[NAME_MAX_HERE], bool *is_usb)
{
	char path[320], link[1024], *last, *before;
	ssize_t n;

	snprintf(path, sizeof(path), BLOCK "/%.200s", name);
	n = readlink(path, link, sizeof(link) - 1);
	if (n <= 0)
		return false;
	link[n] = '\0';
	*is_usb = strstr(link, "/usb") != NULL;
	last = strrchr(link, '/');
	snprintf(path, sizeof(path), BLOCK "/%.200s/partition", name);
	if (access(path, F_OK) == 0 && last) {
		*last = '\0';
		before = strrchr(link, '/');
		last = before ? before : last;
	}
	return last && snprintf(disk, NAME_MAX_HERE, "%s", last + 1) < NAME_MAX_HERE;
}

/* The disk with the data partition is never a stick, on USB neither. */
static bool has_label(const char *name, const char *label)
{
	char path[320], want[64], *text, *at;
	size_t len;
	bool is_it;

	snprintf(path, sizeof(path), BLOCK "/%.200s/uevent", name);
	if (file_read(AT_FDCWD, path, 4096, &text, &len, NULL) < 0)
		return false;
	snprintf(want, sizeof(want), "PARTNAME=%s\n", label);
	at = strstr(text, want);
	is_it = at != NULL;
	free(text);
	return is_it;
}

static void see(const struct attend *a, bool is_baseline)
{
	char data_disk[NAME_MAX_HERE] = "", disk[NAME_MAX_HERE];
	DIR *dir = opendir(BLOCK);
	bool is_usb;

	for (struct dirent *d = dir ? readdir(dir) : NULL; d; d = readdir(dir)) {
		struct device *one;

		if (d->d_name[0] == '.' || is_virtual(d->d_name) || !place_of(d->d_name, disk, &is_usb))
			continue;
		if (has_label(d->d_name, a->data_label))
			snprintf(data_disk, sizeof(data_disk), "%s", disk);
		one = find(d->d_name);
		if (!one)
			continue;
		one->is_seen = true;
		one->looks++;
		if (is_baseline && !is_usb)
			one->is_ours = true;
	}
	if (dir)
		closedir(dir);
	for (int i = 0; i < DEVICES_MAX && data_disk[0]; i++)
		if (devices[i].is_seen && place_of(devices[i].name, disk, &is_usb) && !strcmp(disk, data_disk))
			devices[i].is_ours = true;
}

static bool has_partitions(const struct device *d)
{
	char disk[NAME_MAX_HERE];
	bool is_usb;

	for (int i = 0; i < DEVICES_MAX; i++)
		if (&devices[i] != d && devices[i].is_seen && place_of(devices[i].name, disk, &is_usb) && !strcmp(disk, d->name))
			return true;
	return false;
}

static void publish(void)
{
	static char text[DEVICES_MAX * STICK_TEXT_MAX];
	int dir = open(ATTEND_RUN, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t at = 0;

	text[0] = '\0';
	for (int i = 0; i < DEVICES_MAX; i++)
		if (devices[i].name[0] && devices[i].is_done)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s", devices[i].text);
	if (dir >= 0 && !at)
		unlinkat(dir, "offers", 0);
	else if (dir >= 0)
		file_replace(dir, "offers", span_of(text, at), 0644, NULL);
	if (dir >= 0)
		close(dir);
}

static void begin(const struct attend *a, struct device *d, uint64_t now_ms)
{
	int fds[2] = { -1, -1 };

	d->deadline_ms = now_ms + CONFIG_STICK_DEADLINE_S * 1000ULL;
	d->is_mounted = true;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return;
	d->child = fork();
	if (d->child == 0) {
		setpgid(0, 0);
		_exit(stick_child(a, d->name, fds[1]));
	}
	close(fds[1]);
	d->pipe = fds[0];
	if (d->child > 0) {
		setpgid(d->child, d->child);
		return;
	}
	fprintf(stderr, "stick %s: %s\n", d->name, strerror(errno));
	d->child = 0;
}

static void hear(struct device *d)
{
	ssize_t n;

	while (d->len < sizeof(d->text) - 1 && (n = read(d->pipe, d->text + d->len, sizeof(d->text) - 1 - d->len)) > 0)
		d->len += (size_t)n;
	d->text[d->len] = '\0';
}

static void finish(struct device *d, bool is_late)
{
	char *save = NULL, copy[STICK_TEXT_MAX];

	hear(d);
	close(d->pipe);
	d->pipe = -1;
	d->is_done = true;
	if (is_late)
		fprintf(stderr, "stick %s: given up after %d s\n", d->name, CONFIG_STICK_DEADLINE_S);
	memcpy(copy, d->text, sizeof(copy));
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		fprintf(stderr, "stick %s\n", line);
	publish();
}

static void watch(struct device *d, uint64_t now_ms)
{
	int status;

	hear(d);
	if (waitpid(d->child, &status, WNOHANG) == d->child) {
		d->child = 0;
		finish(d, false);
	} else if (now_ms >= d->deadline_ms && !d->is_done) {
		/* One that hangs in the kernel stays; nothing waits for it. */
		kill(-d->child, SIGKILL);
		finish(d, true);
	}
}

static void forget(struct device *d)
{
	char path[64];

	if (d->child > 0)
		kill(-d->child, SIGKILL);
	if (d->child > 0 && waitpid(d->child, NULL, WNOHANG) == 0)
		return;		/* not dead yet: looked at again */
	snprintf(path, sizeof(path), STICK_MEDIA "/%s", d->name);
	if (d->is_mounted) {
		umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
		rmdir(path);
	}
	if (d->pipe >= 0)
		close(d->pipe);
	d->name[0] = '\0';
	if (d->len)
		publish();
}

void stick_look(const struct attend *a, uint64_t now_ms)
{
	char state[160], disk[NAME_MAX_HERE];
	bool is_now, is_usb;

	snprintf(state, sizeof(state), "%s/state", a->data_dir);
	is_now = !has_baseline && (access(state, F_OK) == 0 || now_ms > STEADY_MS);
	for (int i = 0; i < DEVICES_MAX; i++)
		devices[i].is_seen = false;
	see(a, is_now);
	has_baseline |= is_now;
	for (int i = 0; i < DEVICES_MAX; i++) {
		struct device *d = &devices[i];

		if (!d->name[0])
			continue;
		if (!d->is_seen)
			forget(d);
		else if (d->child > 0)
			watch(d, now_ms);
		/* A disk at its second look: by then the kernel has found its partitions. */
		else if (has_baseline && !d->is_ours && !d->is_done && !d->is_mounted && d->looks > 1 &&
			 place_of(d->name, disk, &is_usb) && !has_partitions(d))
			begin(a, d, now_ms);
	}
}
