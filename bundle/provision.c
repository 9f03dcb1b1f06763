/* SPDX-License-Identifier: MIT */
/*
 * The files of a technician, who can be wrong in any way: each is read whole, bounded, checked by the parser of its kind and then replaces the one in
 * config/ by rename, so that what was there stays until the new one is durable. Only then the source is overwritten and removed. A cut between
 * the two means that the next boot does it again. Names become paths only out of a short alphabet; links are not followed.
 */
#include "provision.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yyjson.h>

#include "board_conf.h"
#include "file.h"
#include "net_files.h"
#include "quadlet.h"
#include "seal.h"
#include "unit_file.h"

enum { FILE_MAX = 1 << 20, SECRET_MAX = 65536, FILES_MAX = 256, NAME_ROOM = 128 };

struct file {
	const char *from;	/* beneath the partition */
	const char *to;		/* beneath the data partition */
	struct span text;
};

static void complain(struct provision *p, const char *text)
{
	fprintf(stderr, "provision: %s\n", text);
	if (p->errors++ == 0)
		err_set(&p->error, 0, "provision: %s", text);
}

/* TEXT without comments, blanks and empty lines; false where it does not fit. */
static bool plain_lines(const char *text, char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
		size_t n;

		text += strspn(text, " \t\r");
		n = strcspn(text, "\n");
		while (n && strchr(" \t\r", text[n - 1]))
			n--;
		if (!n || *text == '#')
			continue;
		if (len + n + 2 > size)
			return false;
		memcpy(out + len, text, n);
		len += n;
		out[len++] = '\n';
		out[len] = '\0';
	}
	return true;
}

static int check_conf(const struct file *f, struct err *e)
{
	static struct board_conf conf;
	char plain[JOB_TEXT_MAX], *text = strndup((const char *)f->text.at, f->text.len);

	if (!text)
		return -ENOMEM;
	if (strlen(text) != f->text.len)
		err_set(e, 0, "%s: holds a NUL", f->from);
	board_conf_parse(&conf, "");
	board_conf_own(&conf, text);
	if (conf.errors)
		err_set(e, 0, "%s", conf.error[0]);
	else if (!plain_lines(text, plain, sizeof(plain)))
		err_set(e, 0, "%s: longer than %zu characters without its comments", f->from, sizeof(plain) - 1);
	free(text);
	return e->text[0] ? -EINVAL : 0;
}

static bool ends_in(const char *name, const char *ends)
{
	size_t len = strlen(name);

	for (; *ends; ends += strcspn(ends, " ") + 1) {
		size_t n = strcspn(ends, " ");

		if (ends[0] == '.' ? len > n && !strncasecmp(name + len - n, ends, n) : len == n && !strncasecmp(name, ends, n))
			return true;
	}
	return false;
}

/* Also that it carries the code of the store's key, where the board has one: what would be refused afterwards does not replace what runs. */
static int check_unit(const struct file *f, struct err *e)
{
	struct unit_file *u = NULL;
	struct seal seal;
	int r = 0;

	if (f->text.len > QUADLET_FILE_MAX)
		return err_set(e, -EFBIG, "%s: larger than %d bytes", f->from, QUADLET_FILE_MAX);
	r = seal_load(&seal, e);
	if (r == 0)
		r = seal_check(&seal, "unit", unit_file_name(f->from), f->text);
	seal_wipe(&seal);
	if (r == -EKEYREJECTED)
		return err_set(e, r, "%s: not written under this board's key. Where the key is: coracle-bundle seal %s", f->from, unit_file_name(f->from));
	if (r == 0)
		r = ends_in(f->from, ".network ") ? net_files_try(f->text, f->from, e) : unit_file_new(&u, f->text, f->from, NULL, e);
	unit_file_free(u);
	return r;
}

static int check_json(const struct file *f, struct err *e)
{
	yyjson_read_err bad;
	yyjson_doc *doc = yyjson_read_opts((char *)f->text.at, f->text.len, 0, NULL, &bad);
	unsigned line = 1;
	int r = 0;

	if (!doc) {
		for (size_t i = 0; i < bad.pos && i < f->text.len; i++)
			line += f->text.at[i] == '\n';
		return err_set(e, -EBADMSG, "%s:%u: no JSON: %s", f->from, line, bad.msg);
	}
	if (!yyjson_is_obj(yyjson_obj_get(yyjson_doc_get_root(doc), "auths")))
		r = err_set(e, -EBADMSG, "%s:1: no credentials: want {\"auths\": {...}} (containers-auth.json)", f->from);
	yyjson_doc_free(doc);
	return r;
}

static int check_pem(const struct file *f, struct err *e)
{
	static const char begin[] = "-----BEGIN ", end[] = "\n-----END ";
	const char *at = memmem(f->text.at, f->text.len, begin, sizeof(begin) - 1);

	if (!at || !memmem(at, f->text.len - (size_t)(at - (const char *)f->text.at), end, sizeof(end) - 1))
		return err_set(e, -EBADMSG, "%s:1: no PEM: want -----BEGIN ...----- to -----END ...-----", f->from);
	return 0;
}

static int check_secret(const struct file *f, struct err *e)
{
	return f->text.len <= SECRET_MAX ? 0 : err_set(e, -EFBIG, "%s: larger than %d bytes, which no Secret= takes", f->from, SECRET_MAX);
}

/* What may lie where: a folder, the ends of names in it, the check. "" as folder: the top. */
static const struct kind {
	const char *folder, *ends;	/* ends: each followed by a blank */
	int (*check)(const struct file *f, struct err *e);
} kinds[] = {
	{ "", "board.conf ", check_conf },
	{ "", "auth.json ", check_json },
	{ "units", ".container .network ", check_unit },
	{ "keys", ".pub .pem ", check_pem },
	{ "certs.d/", ".crt .cert .key ", check_pem },	/* one folder a host below it */
	{ "secrets", "", check_secret },
};

static bool is_plain(const char *name, const char *also)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr(also, name[i]))
			return false;
	return len > 0 && len < NAME_ROOM && name[0] != '.';
}

/* Overwritten where it lies, then removed: the FAT would keep the bytes of a file that is only removed. */
static void wipe(struct provision *p, int dir, const char *name, const char *shown)
{
	static const uint8_t zero[4096];
	char text[ERR_TEXT_MAX];
	struct stat st;
	int fd = file_open_beneath(dir, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK, 0), r = fd < 0 ? fd : fstat(fd, &st) < 0 ? -errno : 0;

	for (off_t at = 0; r == 0 && at < st.st_size; at += (off_t)sizeof(zero))
		r = file_write_all(fd, zero, st.st_size - at < (off_t)sizeof(zero) ? (size_t)(st.st_size - at) : sizeof(zero));
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (fd >= 0)
		close(fd);
	if (r == 0 && unlinkat(dir, name, 0) < 0)
		r = -errno;
	if (r == 0)
		return;
	snprintf(text, sizeof(text), "%s: taken, but not wiped from where it lay: %s; take it away by hand", shown, strerror(-r));
	complain(p, text);
}

static int put(struct provision *p, const struct file *f, struct err *e)
{
	char folder[NAME_ROOM * 3], *had = NULL;
	size_t len = 0;
	int r = 0;

	snprintf(folder, sizeof(folder), "%s", f->to);
	*strrchr(folder, '/') = '\0';
	if (file_read(p->data, f->to, FILE_MAX, &had, &len, NULL) == 0 && span_equal(span_of(had, len), f->text)) {
		free(had);
		return 0;	/* an earlier boot came as far as this */
	}
	free(had);
	r = file_make_dirs(p->data, folder, 0700, e);
	return r < 0 ? r : file_replace(p->data, f->to, f->text, 0600, e);
}

static void take_file(struct provision *p, const struct kind *k, int dir, int wipe_dir, const char *name, const char *folder)
{
	char shown[NAME_ROOM * 3], to[NAME_ROOM * 3], *text = NULL, *plus;
	struct file f = { .from = shown, .to = to };
	struct err e = { "" };
	size_t len = 0;
	int r;

	snprintf(shown, sizeof(shown), "%s%s%s", folder, *folder ? "/" : "", name);
	snprintf(to, sizeof(to), "config/%s", shown);
	/* HOST+PORT: a FAT takes no colon in names. */
	plus = k->check == check_pem ? strchr(to, '+') : NULL;
	if (plus)
		*plus = ':';
	r = file_read(dir, name, FILE_MAX, &text, &len, &e);
	if (r < 0)
		err_prefix(&e, r, "%s", shown);
	f.text = span_of(text, len);
	if (r == 0)
		r = k->check(&f, &e);
	if (r == 0)
		r = put(p, &f, &e);
	if (r == 0) {
		fprintf(stderr, "provision: %s taken\n", shown);
		p->taken++;
		if (wipe_dir >= 0)
			wipe(p, wipe_dir, name, shown);
	} else {
		complain(p, e.text[0] ? e.text : strerror(-r));
	}
	if (text)
		explicit_bzero(text, len);
	free(text);
}

/* A copy of a folder's descriptor as a list; NULL where it cannot be read. */
static DIR *list_of(int dir, const char *path)
{
	int fd = file_open_beneath(dir, path, O_RDONLY | O_DIRECTORY, 0);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !d)
		close(fd);
	return d;
}

/* What computers leave on every FAT they meet, and what we put there. */
static bool is_noise(const char *name)
{
	static const char *const names[] = { "README.TXT", "autoboot.txt", "System Volume Information", "$RECYCLE.BIN", "LOST.DIR" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return name[0] == '.';
}

static const struct kind *kind_of(const char *folder, const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		const struct kind *k = &kinds[i];
		size_t len = strlen(k->folder);
		bool is_deep = len && k->folder[len - 1] == '/';

		if ((is_deep ? strncasecmp(folder, k->folder, len) : strcasecmp(folder, k->folder)) == 0 && (!*k->ends || ends_in(name, k->ends)))
			return k;
	}
	return NULL;
}

/* Whether NAME in FOLDER ("" the top) is one of ours to go into. */
static bool is_folder(const char *folder, const char *name)
{
	if (strcasecmp(folder, "certs.d") == 0)
		return is_plain(name, "._-+");
	for (size_t i = 0; !*folder && i < sizeof(kinds) / sizeof(*kinds); i++)
		if (*kinds[i].folder && strncasecmp(name, kinds[i].folder, strcspn(kinds[i].folder, "/")) == 0 &&
		    strlen(name) == strcspn(kinds[i].folder, "/"))
			return true;
	return false;
}

static int open_below(int dir, const char *name)
{
	return dir < 0 ? -1 : file_open_beneath(dir, name, O_RDONLY | O_DIRECTORY, 0);
}

/* Walks FOLDER; P NULL: only says whether there is something to look at. */
static bool walk(struct provision *p, int from, int wipe_dir, const char *folder, unsigned *left)
{
	char text[NAME_ROOM * 4], below[NAME_ROOM * 2];
	DIR *d = list_of(from, ".");
	struct dirent *entry;
	bool has_work = false;

	while (d && (entry = readdir(d)) && *left && (p || !has_work)) {
		const char *name = entry->d_name;
		const struct kind *k = kind_of(folder, name);
		struct stat st;
		bool is_dir;

		if (is_noise(name) || fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		is_dir = S_ISDIR(st.st_mode);
		if (is_dir && is_folder(folder, name)) {
			int next = open_below(from, name), next_wipe = open_below(wipe_dir, name);

			snprintf(below, sizeof(below), "%.*s%s%.*s", NAME_ROOM / 2, folder, *folder ? "/" : "", NAME_ROOM, name);
			for (char *s = below; !*folder && *s; s++)
				*s = (char)tolower((unsigned char)*s);
			has_work |= next >= 0 && walk(p, next, next_wipe, below, left);
			if (next >= 0)
				close(next);
			if (next_wipe >= 0)
				close(next_wipe);
			continue;
		}
		has_work = true;
		--*left;
		if (!p)
			break;
		if (!is_dir && S_ISREG(st.st_mode) && k && is_plain(name, "._-@")) {
			take_file(p, k, from, wipe_dir, name, folder);
			continue;
		}
		span_escape(span_str(name), below, sizeof(below));
		snprintf(text, sizeof(text), "%s%s%.150s: nothing that is known here; left where it is (board.conf, auth.json, units/*.container, units/*.network, "
			"keys/*.pub, certs.d/HOST+PORT/*.crt, secrets/*)", folder, *folder ? "/" : "", below);
		complain(p, text);
	}
	if (d)
		closedir(d);
	return has_work;
}

bool provision_has_work(int from)
{
	unsigned left = FILES_MAX;

	return walk(NULL, from, -1, "", &left);
}

void provision_take(struct provision *p, int from, int wipe_dir)
{
	unsigned left = FILES_MAX;
	int top = p->data;

	/* Also where an earlier version made it readable. */
	if (mkdirat(top, "config", 0700) < 0 && errno == EEXIST)
		fchmodat(top, "config", 0700, 0);
	walk(p, from, wipe_dir, "", &left);
	if (!left)
		complain(p, "more than 256 files: the others are left where they are");
	if (wipe_dir >= 0)
		syncfs(wipe_dir);
}

void provision_conf(int data, char out[JOB_TEXT_MAX])
{
	char *text = NULL;
	size_t len;

	out[0] = '\0';
	if (file_read(data, "config/board.conf", FILE_MAX, &text, &len, NULL) == 0 && !plain_lines(text, out, JOB_TEXT_MAX))
		out[0] = '\0';
	free(text);
}

int provision_set(struct provision *p, const char *assignment, struct err *e)
{
	char now[JOB_TEXT_MAX], text[2 * JOB_TEXT_MAX] = "", line[JOB_TEXT_MAX / 2], key[32];
	struct file f = { .from = "board.conf", .to = "config/board.conf" };
	const char *eq = strchr(assignment, '=');
	int r;

	if (!eq || !span_copy(span_of(assignment, (size_t)(eq - assignment)), key, sizeof(key)) || strlen(assignment) >= sizeof(line))
		return err_set(e, -EINVAL, "%.60s: want KEY=VALUE, KEY being hostname, network or dns", assignment);
	provision_conf(p->data, now);
	for (const char *s = now; *s; s += strcspn(s, "\n") + 1)
		if (strncmp(s, key, strlen(key)) != 0 || s[strlen(key) + strspn(s + strlen(key), " \t")] != '=')
			strncat(text, s, strcspn(s, "\n") + 1);
	snprintf(line, sizeof(line), "%s", assignment);
	for (char *s = line; *s; s++)
		*s = *s == ',' ? ' ' : *s;
	if (eq[1])
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s\n", line);
	f.text = span_str(text);
	r = check_conf(&f, e);
	return r < 0 ? r : put(p, &f, e);
}
