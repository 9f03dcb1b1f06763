/* SPDX-License-Identifier: MIT */
/* Looks users up in the files of an image, whose author may have made links, FIFOs or huge files of them (CVE-2024-9676, CVE-2026-47262). */
#include "image_user.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

/* The first FIELDS fields of a line of passwd or group, split at colons; fewer are "". */
enum { FIELDS = 7 };

struct lookup {
	char *passwd, *group;	/* contents, "" where the image has none */
};

/* 0 a number, 1 a name, -EINVAL digits that are no id. 4294967295 is no id: setresuid takes it for "leave it". */
static int number(const char *s, uint32_t *out)
{
	uint64_t n = 0;

	if (!isdigit((unsigned char)s[0]))
		return 1;
	for (; isdigit((unsigned char)*s); s++) {
		n = n * 10 + (uint64_t)(*s - '0');
		if (n >= UINT32_MAX)
			return -EINVAL;
	}
	*out = (uint32_t)n;
	/* "1000abc" and "-1" are names that no system would make: as names they are just not found. */
	return *s ? 1 : 0;
}

static int load(int root, const char *path, char **out, struct err *e)
{
	size_t len;
	int fd = file_open_in_root(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	int r;

	*out = NULL;
	if (fd == -ENOENT || fd == -ENOTDIR) {
		*out = strdup("");
		return *out ? 0 : -ENOMEM;
	}
	if (fd < 0)
		return err_sys(e, -fd, "%s of the image", path);
	r = file_read_fd(fd, path, IMAGE_USER_FILE_MAX, out, &len, e);
	close(fd);
	return r;
}

/* Splits the line at *AT into FIELD (pointing into LINE, a copy) and moves to the next; 0 at the end. */
static int next(const char **at, char *line, size_t size, char *field[FIELDS])
{
	const char *end = strchrnul(*at, '\n');
	size_t len = (size_t)(end - *at);
	char *p = line;

	if (!**at)
		return 0;
	/* A line too long for us has a long list of members or a long gecos field: neither decides here. */
	if (len >= size)
		len = size - 1;
	memcpy(line, *at, len);
	line[len] = '\0';
	*at = *end ? end + 1 : end;
	for (int i = 0; i < FIELDS; i++) {
		field[i] = p;
		p += strcspn(p, ":");
		if (*p)
			*p++ = '\0';
	}
	return 1;
}

/* By NAME, or by UID where NAME is NULL. 0, or -ENOENT. */
static int find_user(const struct lookup *l, const char *name, uint32_t uid, struct image_user *out, char *own, size_t own_size)
{
	char line[4096], *f[FIELDS];
	const char *at = l->passwd;

	while (next(&at, line, sizeof(line), f)) {
		uint32_t id, gid;

		if (!f[0][0] || number(f[2], &id) != 0 || number(f[3], &gid) != 0)
			continue;
		if (name ? strcmp(f[0], name) != 0 : id != uid)
			continue;
		out->uid = id;
		out->gid = gid;
		if (f[5][0] == '/')
			span_copy(span_str(f[5]), out->home, sizeof(out->home));
		snprintf(own, own_size, "%s", f[0]);
		return 0;
	}
	return -ENOENT;
}

static int find_group(const struct lookup *l, const char *name, uint32_t *gid)
{
	char line[4096], *f[FIELDS];
	const char *at = l->group;

	while (next(&at, line, sizeof(line), f))
		if (strcmp(f[0], name) == 0 && number(f[2], gid) == 0)
			return 0;
	return -ENOENT;
}

static int add_group(struct image_user *u, uint32_t gid, struct err *e)
{
	for (uint32_t i = 0; i < u->groups_len; i++)
		if (u->groups[i] == gid)
			return 0;
	if (u->groups_len == IMAGE_USER_GROUPS_MAX)
		return err_set(e, -EFBIG, "the user is in more than %d groups", IMAGE_USER_GROUPS_MAX);
	u->groups[u->groups_len++] = gid;
	return 0;
}

/* Where field N of the line that ends at END begins, or NULL. */
static const char *field_at(const char *line, const char *end, int n)
{
	for (; n > 0 && line; n--) {
		line = memchr(line, ':', (size_t)(end - line));
		line = line ? line + 1 : NULL;
	}
	return line;
}

static bool has_member(const char *list, const char *end, const char *name)
{
	size_t len = strlen(name);

	while (list < end) {
		const char *comma = memchr(list, ',', (size_t)(end - list));
		const char *stop = comma ? comma : end;

		if ((size_t)(stop - list) == len && memcmp(list, name, len) == 0)
			return true;
		list = stop + 1;
	}
	return false;
}

/* The groups that NAME is a member of. Lists may be long: they are walked in place. */
static int add_memberships(const struct lookup *l, const char *name, struct image_user *u, struct err *e)
{
	const char *end;
	int r = 0;

	for (const char *line = l->group; *line && r == 0; line = *end ? end + 1 : end) {
		const char *id, *members;
		char digits[16];
		uint32_t gid;

		end = strchrnul(line, '\n');
		id = field_at(line, end, 2);
		members = field_at(line, end, 3);
		if (!members || !has_member(members, end, name))
			continue;
		if (span_copy(span_of(id, (size_t)(members - id - 1)), digits, sizeof(digits)) && number(digits, &gid) == 0)
			r = add_group(u, gid, e);
	}
	return r;
}

static int group_number(const struct lookup *l, const char *name, uint32_t *gid, struct err *e)
{
	int r = number(name, gid);

	if (r < 0)
		return err_set(e, -EINVAL, "group %.40s: is no id from 0 to 4294967294", name);
	if (r == 1 && find_group(l, name, gid) < 0)
		return err_set(e, -EINVAL, "group %.80s: not in the image's /etc/group", name);
	return 0;
}

static int find(const struct lookup *l, const char *user, const char *group, const struct unit_list *add, struct image_user *out,
	struct err *e)
{
	char own[256] = "";
	uint32_t uid = 0;
	int r = number(user[0] ? user : "0", &uid);

	if (r < 0)
		return err_set(e, -EINVAL, "user %.40s: is no id from 0 to 4294967294", user);
	out->uid = r == 0 ? uid : 0;
	/* A number need not be listed; its group is 0 then. */
	if (r == 1 && find_user(l, user, 0, out, own, sizeof(own)) < 0)
		return err_set(e, -EINVAL, "user %.80s: not in the image's /etc/passwd", user);
	if (r == 0)
		find_user(l, NULL, uid, out, own, sizeof(own));
	r = 0;
	if (group)
		r = group_number(l, group, &out->gid, e);
	else if (own[0])
		r = add_memberships(l, own, out, e);
	for (uint32_t i = 0; add && r == 0 && i < add->count; i++) {
		uint32_t gid = 0;

		r = group_number(l, add->at[i], &gid, e);
		if (r == 0)
			r = add_group(out, gid, e);
	}
	return r;
}

int image_user_find(int root, const char *user, const char *group, const struct unit_list *add, struct image_user *out, struct err *e)
{
	struct lookup l = { NULL, NULL };
	char name[256];
	const char *colon = strchr(user, ':');
	int r;

	*out = (struct image_user){ .home = "/" };
	if (!span_copy(span_of(user, colon ? (size_t)(colon - user) : strlen(user)), name, sizeof(name)))
		return err_set(e, -EINVAL, "user: the name is longer than %zu bytes", sizeof(name) - 1);
	/* "app:" is a user without a group. */
	if (!group && colon && colon[1])
		group = colon + 1;
	r = load(root, "etc/passwd", &l.passwd, e);
	if (r == 0)
		r = load(root, "etc/group", &l.group, e);
	if (r == 0)
		r = find(&l, name, group, add, out, e);
	free(l.passwd);
	free(l.group);
	return r;
}
