/* SPDX-License-Identifier: MIT */
/* Namespaces and sysctls (space.h). */
#include "space.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "file.h"

enum { OLD_MAX = 16 * 1024, VALUE_MAX = 32 };

static const char forward4[] = "net/ipv4/ip_forward", forward6[] = "net/ipv6/conf/all/forwarding";

int space_replace(const char *dir, const char *name, struct span data, struct err *e)
{
	int r, fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, errno, "%s", dir);
	r = file_replace(fd, name, data, 0644, e);
	close(fd);
	return r;
}

static int own(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int space_new(int *home)
{
	int fd;

	*home = own();
	if (*home < 0)
		return *home;
	if (unshare(CLONE_NEWNET) < 0) {
		fd = -errno;
		close(*home);
		*home = -1;
		return fd;
	}
	fd = own();
	if (fd < 0)
		space_leave(*home);
	return fd;
}

int space_leave(int home)
{
	int r = setns(home, CLONE_NEWNET) < 0 ? -errno : 0;

	close(home);
	return r;
}

static void path_of(const char *run, const char *unit, char out[256])
{
	snprintf(out, 256, "%.150s/ns/%.80s", run, unit);
}

int space_join(int fd, int *home)
{
	int r = 0;

	*home = own();
	if (*home < 0 || setns(fd, CLONE_NEWNET) < 0) {
		r = *home < 0 ? *home : -errno;
		if (*home >= 0)
			close(*home);
		*home = -1;
	}
	return r;
}

int space_enter(const char *run, const char *unit, int *home)
{
	char path[256];
	int fd, r;

	path_of(run, unit, path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = space_join(fd, home);
	close(fd);
	return r;
}

int space_name(const char *run, const char *unit, int fd, struct err *e)
{
	char path[256], source[40];
	int place;

	path_of(run, unit, path);
	place = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0444);
	if (place < 0)
		return err_sys(e, errno, "%s", path);
	close(place);
	snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
	return mount(source, path, NULL, MS_BIND, NULL) < 0 ? err_sys(e, errno, "%s: mount", path) : 0;
}

void space_forget(const char *run, const char *unit)
{
	char path[256];

	path_of(run, unit, path);
	while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		;
	unlink(path);
}

static int get(const char *path, char value[VALUE_MAX])
{
	char full[320];
	ssize_t n;
	int fd;

	snprintf(full, sizeof(full), "/proc/sys/%.280s", path);
	fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, value, VALUE_MAX - 1);
	close(fd);
	value[n < 0 ? 0 : n] = '\0';
	value[strcspn(value, "\n")] = '\0';
	return n < 0 ? -EIO : 0;
}

int space_sysctl(const char *path, const char *value)
{
	char full[320];
	int fd, r = 0;

	snprintf(full, sizeof(full), "/proc/sys/%.280s", path);
	fd = open(full, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		r = -errno;
	close(fd);
	return r;
}

struct old {
	char text[OLD_MAX];
	size_t len, done;
	const char *run;
};

static void old_read(struct old *o, const char *run)
{
	char path[256], *text = NULL;
	size_t len = 0;

	memset(o, 0, sizeof(*o));
	o->run = run;
	snprintf(path, sizeof(path), "%.200s/old", run);
	if (file_read(AT_FDCWD, path, OLD_MAX - 1, &text, &len, NULL) == 0)
		memcpy(o->text, text, len);
	o->len = len;
	free(text);
}

static bool old_has(const struct old *o, const char *path, const char *value)
{
	char line[320];
	const char *at;

	snprintf(line, sizeof(line), "%.250s %s\n", path, value);
	at = strstr(o->text, line);
	return at && (at == o->text || at[-1] == '\n');
}

/* Remembered before it is changed: a kill in between restores what is there anyway. */
static int change(struct old *o, const char *path, const char *value, struct err *e)
{
	char now[VALUE_MAX];
	int n, r = get(path, now);

	if (r < 0 || strcmp(now, value) == 0)
		return r == -ENOENT ? 0 : r < 0 ? err_sys(e, -r, "/proc/sys/%s", path) : 0;
	if (!strstr(o->text, path)) {
		n = snprintf(o->text + o->len, OLD_MAX - o->len, "%s %s\n", path, now);
		if (n < 0 || (size_t)n >= OLD_MAX - o->len)
			return err_set(e, -EFBIG, "%s/old: full", o->run);
		o->len += (size_t)n;
		r = space_replace(o->run, "old", span_of(o->text, o->len), e);
		if (r < 0)
			return r;
	}
	r = space_sysctl(path, value);
	return r < 0 ? err_sys(e, -r, "/proc/sys/%s=%s", path, value) : 0;
}

/* A router hears no advertisements unless it is told to: the uplink would lose its address and route. */
static int keep_advertisements(struct old *o, struct err *e)
{
	DIR *d = opendir("/proc/sys/net/ipv6/conf");
	struct dirent *entry;
	int r = 0;

	while (d && r == 0 && (entry = readdir(d))) {
		char path[320], now[VALUE_MAX];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "net/ipv6/conf/%.40s/accept_ra", entry->d_name);
		if (get(path, now) == 0 && strcmp(now, "1") == 0)
			r = change(o, path, "2", e);
	}
	if (d)
		closedir(d);
	return r;
}

int space_route(const char *run, bool wants6, bool *was_off4, bool *was_off6, struct err *e)
{
	static struct old o;
	int r;

	old_read(&o, run);
	r = change(&o, forward4, "1", e);
	if (r == 0 && wants6)
		r = keep_advertisements(&o, e);
	if (r == 0 && wants6)
		r = change(&o, forward6, "1", e);
	*was_off4 = old_has(&o, forward4, "0");
	*was_off6 = old_has(&o, forward6, "0");
	return r;
}

void space_unroute(const char *run)
{
	static struct old o;
	char path[256], *save = NULL;

	old_read(&o, run);
	for (char *line = strtok_r(o.text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *blank = strchr(line, ' ');

		if (!blank || strncmp(line, "net/", 4) != 0 || strstr(line, ".."))
			continue;
		*blank = '\0';
		space_sysctl(line, blank + 1);
	}
	snprintf(path, sizeof(path), "%.200s/old", run);
	unlink(path);
}
