/* SPDX-License-Identifier: MIT */
/*
 * One stick, hostile to the last block: the kernel's vfat and ext4 read it and nothing else does. Its names are used where they are letters and digits; its
 * archives are read by coracle-fetch inspect, whose jails they cannot leave; units come from `coracle status`.
 */
#include "stick_child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yyjson.h>

#include "config.h"
#include "file.h"
#include "stick.h"

enum { ANSWER_MAX = 262144, ARCHIVE_NAME_MAX = 100 };

static int out_fd;

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	file_write_all(out_fd, line, (size_t)n);
}

bool stick_is_archive(const char *name)
{
	size_t len = strlen(name);

	return len > 4 && len <= ARCHIVE_NAME_MAX && name[0] != '.' && name[0] != '-' && !strcmp(name + len - 4, ".tar") &&
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-") == len;
}

/* What ARGV prints, at most ANSWER_MAX bytes; NULL where it prints nothing. The caller frees. Its exit status does not count: a refusal is an answer. */
static char *answer_of(const char *program, char *const argv[])
{
	char *text = malloc(ANSWER_MAX + 1), path[PATH_MAX];
	ssize_t n;
	int fds[2];
	pid_t pid;

	if (!text || file_sibling(program, path, sizeof(path)) < 0 || pipe2(fds, O_CLOEXEC) < 0) {
		free(text);
		return NULL;
	}
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 0);
		dup2(fds[1], 1);
		dup2(null, 2);
		execv(path, argv);
		_exit(127);
	}
	close(fds[1]);
	n = pid < 0 ? 0 : file_read_full(fds[0], text, ANSWER_MAX);
	close(fds[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	if (n <= 0) {
		free(text);
		return NULL;
	}
	text[n] = '\0';
	return text;
}

/* A board's root is read-only, so the first stick brings a tmpfs for all. */
static int make_place(const char *place)
{
	if (mkdir(place, 0755) == 0 || errno == EEXIST)
		return 0;
	if (mount("tmpfs", STICK_MEDIA, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64k,mode=755") < 0)
		return -errno;
	return mkdir(place, 0755) < 0 ? -errno : 0;
}

/* vfat, or ext4: without replaying its journal, and its superblock does not say what an error leads to (a panic, if it liked). */
static int mount_it(const char *device, const char *place)
{
	static const struct { const char *type, *options; } way[] = { { "vfat", NULL }, { "ext4", "noload,errors=continue" } };
	int r = -EINVAL;

	for (size_t i = 0; i < sizeof(way) / sizeof(*way); i++) {
		if (mount(device, place, way[i].type, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOSYMFOLLOW, way[i].options) == 0)
			return (int)i;
		if (errno != EINVAL && errno != ENODEV)
			r = -errno;
	}
	return r;
}

/* One archive as an update of one unit: true where the unit's policy lets it in. */
static bool offer(const struct attend *a, const char *name, const char *file, yyjson_val *unit)
{
	const char *image = yyjson_get_str(yyjson_obj_get(unit, "image")), *runs = yyjson_get_str(yyjson_obj_get(unit, "digest"));
	const char *who = yyjson_get_str(yyjson_obj_get(unit, "name"));
	char ref[300], policy[256], *text;
	char *argv[] = { "coracle-fetch", "inspect", "--json", "--policy", policy, "--as", (char *)image, ref, NULL };
	yyjson_doc *doc;
	yyjson_val *root;
	bool is_in;

	if (!image || !who)
		return false;
	snprintf(ref, sizeof(ref), "oci-archive:" STICK_MEDIA "/%s/%s", name, file);
	snprintf(policy, sizeof(policy), "%s/policy.json", a->etc);
	text = answer_of("coracle-fetch", argv);
	doc = text ? yyjson_read(text, strlen(text), 0) : NULL;
	root = yyjson_doc_get_root(doc);
	is_in = yyjson_get_bool(yyjson_obj_get(root, "let_in"));
	if (is_in && runs && yyjson_equals_str(yyjson_obj_get(root, "manifest"), runs))
		say("%s: %s is what %s runs", name, file, who);
	else if (is_in)
		say("%s: %s, version %llu, %.19s, signed by %.60s: coracle update %s %s", name, file,
			(unsigned long long)yyjson_get_uint(yyjson_obj_get(root, "version")), yyjson_get_str(yyjson_obj_get(root, "manifest")),
			yyjson_get_str(yyjson_obj_get(root, "signer")), who, ref);
	yyjson_doc_free(doc);
	free(text);
	return is_in;
}

static void look_at(const struct attend *a, const char *name, const char *file, yyjson_val *units)
{
	yyjson_val *unit;
	size_t at, max;
	bool is_any = false;

	yyjson_arr_foreach(units, at, max, unit)
		is_any |= offer(a, name, file, unit);
	if (!is_any)
		say("%s: %s: for none of this board's units: not signed by a key of their policy, for another image, or no OCI archive", name, file);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

int stick_child(const struct attend *a, const char *name, int out)
{
	static char files[CONFIG_STICK_ARCHIVES_MAX][ARCHIVE_NAME_MAX + 1];
	char device[64], place[64], *text;
	char *argv[] = { "coracle", "status", "--json", NULL };
	unsigned count = 0, more = 0;
	yyjson_doc *doc;
	struct stat st;
	DIR *dir;
	int r;

	out_fd = out;
	signal(SIGTERM, SIG_DFL);
	snprintf(device, sizeof(device), "/dev/%.32s", name);
	snprintf(place, sizeof(place), STICK_MEDIA "/%.32s", name);
	r = make_place(place);
	if (r < 0) {
		say("%s: %s: %s", name, place, strerror(-r));
		return 1;
	}
	r = mount_it(device, place);
	if (r < 0) {
		say("%s: neither a sound vfat nor ext4: %s", name, r == -EUCLEAN ? "damaged" : strerror(-r));
		rmdir(place);
		return 1;
	}
	dir = opendir(place);
	for (struct dirent *d = dir ? readdir(dir) : NULL; d; d = readdir(dir)) {
		if (!stick_is_archive(d->d_name) || fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		if (count < CONFIG_STICK_ARCHIVES_MAX)
			snprintf(files[count++], sizeof(files[0]), "%s", d->d_name);
		else
			more++;
	}
	if (dir)
		closedir(dir);
	qsort(files, count, sizeof(files[0]), by_name);
	text = answer_of("coracle", argv);
	doc = text ? yyjson_read(text, strlen(text), 0) : NULL;
	for (unsigned i = 0; i < count; i++)
		look_at(a, name, files[i], yyjson_obj_get(yyjson_doc_get_root(doc), "units"));
	if (!count)
		say("%s: mounted at %s, no archive (*.tar) in its top directory", name, place);
	if (more)
		say("%s: %u more archives were not looked at", name, more);
	yyjson_doc_free(doc);
	free(text);
	return 0;
}
