/* SPDX-License-Identifier: MIT */
/* hosts and resolv.conf (names.h). Names were checked by the plan's reader; the board's own resolv.conf may say anything, of which addresses are taken. */
#include "names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

enum { TEXT_SIZE = 128 * 1024, RESOLV_MAX = 64 * 1024 };

static const char *const board_resolv[] = { "/run/coracle/resolv.conf", "/etc/resolv.conf" };

struct text {
	char *at;
	size_t len;
};

static void put(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->at + t->len, TEXT_SIZE - t->len, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < TEXT_SIZE - t->len)
		t->len += (size_t)n;
}

static bool is_same(int fd, const struct text *t)
{
	char part[4096];
	size_t at = 0;
	ssize_t n;

	while ((n = pread(fd, part, sizeof(part), (off_t)at)) > 0) {
		if ((size_t)n > t->len - at || memcmp(part, t->at + at, (size_t)n) != 0)
			return false;
		at += (size_t)n;
	}
	return n == 0 && at == t->len;
}

/* In place, in one write: what was longer before is blank lines until it is cut off. */
static int write_file(const char *run, const char *unit, const char *name, struct text *t, struct err *e)
{
	char path[320];
	struct stat st;
	size_t len = t->len;
	int fd, r = 0;

	snprintf(path, sizeof(path), "%.150s/files/%s", run, unit);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return err_sys(e, errno, "%s", path);
	snprintf(path, sizeof(path), "%.150s/files/%s/%s", run, unit, name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return err_sys(e, errno, "%s", path);
	if (is_same(fd, t)) {
		close(fd);
		return 0;
	}
	if (fstat(fd, &st) == 0 && st.st_size > (off_t)len && st.st_size < TEXT_SIZE) {
		memset(t->at + len, '\n', (size_t)st.st_size - len);
		t->len = (size_t)st.st_size;
	}
	if (pwrite(fd, t->at, t->len, 0) != (ssize_t)t->len || ftruncate(fd, (off_t)len) < 0)
		r = err_sys(e, errno, "%s", path);
	close(fd);
	return r;
}

static void put_names(struct text *t, const struct addr *a, const struct plan_unit *u)
{
	char text[ADDR_TEXT_MAX];

	if (!a->len)
		return;
	put(t, "%s\t%s", addr_text(a, text), u->name);
	for (unsigned i = 0; i < u->aliases; i++)
		put(t, " %s", u->alias[i]);
	put(t, "\n");
}

/* The first network that both are in; NULL: none. As OTHER joins it. */
static const struct plan_join *shared(const struct plan_unit *u, const struct plan_unit *other)
{
	for (unsigned i = 0; i < u->joins; i++)
		for (unsigned k = 0; k < other->joins; k++)
			if (u->join[i].network == other->join[k].network && !other->join[k].refused[0])
				return &other->join[k];
	return NULL;
}

static void hosts(const struct plan *p, const struct plan_unit *u, struct text *t)
{
	char text[ADDR_TEXT_MAX];

	put(t, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
	for (unsigned i = 0; i < u->hosts; i++)
		put(t, "%s\t%s\n", addr_text(&u->host[i].addr, text), u->host[i].name);
	for (unsigned i = 0; i < p->units; i++) {
		const struct plan_join *j = shared(u, &p->unit[i]);

		if (!j)
			continue;
		put_names(t, &j->ip4, &p->unit[i]);
		put_names(t, &j->ip6, &p->unit[i]);
	}
}

static bool is_loopback(const struct addr *a)
{
	return (a->len == 4 && a->b[0] == 127) || (a->len == 16 && (a->b[0] == 0xfe || (a->b[0] == 0 && a->b[15] == 1)));
}

/* What the board asks, as far as a unit can ask it too. */
static void board_servers(struct text *t)
{
	char *text = NULL, *save = NULL;
	unsigned count = 0;
	size_t len;

	for (unsigned i = 0; i < 2 && !text; i++)
		if (file_read(AT_FDCWD, board_resolv[i], RESOLV_MAX, &text, &len, NULL) < 0)
			text = NULL;
	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line && count < NET_DNS_MAX; line = strtok_r(NULL, "\n", &save)) {
		char shown[ADDR_TEXT_MAX], *words = NULL, *word = strtok_r(line, " \t", &words), *value = strtok_r(NULL, " \t", &words);
		struct addr a;

		if (!value || strcmp(word, "nameserver") != 0 || !addr_parse(value, &a) || is_loopback(&a))
			continue;
		put(t, "nameserver %s\n", addr_text(&a, shown));
		count++;
	}
	free(text);
}

static void servers(struct text *t, const struct addr *a, unsigned count)
{
	char shown[ADDR_TEXT_MAX];

	for (unsigned i = 0; i < count; i++)
		put(t, "nameserver %s\n", addr_text(&a[i], shown));
}

static void resolv(const struct plan *p, const struct plan_unit *u, struct text *t)
{
	const struct plan_network *with = NULL;
	bool is_internal = true;

	for (unsigned i = 0; i < u->joins; i++) {
		const struct plan_network *n = &p->network[u->join[i].network];

		is_internal &= n->is_internal;
		if (!with && n->dns_len)
			with = n;
	}
	if (u->dns_len)
		servers(t, u->dns, u->dns_len);
	else if (with && !u->has_no_dns)
		servers(t, with->dns, with->dns_len);
	else if (!is_internal && !u->has_no_dns)
		board_servers(t);
	for (unsigned i = 0; i < u->searches; i++)
		put(t, "%s%s%s", i ? " " : "search ", u->search[i], i + 1 == u->searches ? "\n" : "");
	for (unsigned i = 0; i < u->options; i++)
		put(t, "%s%s%s", i ? " " : "options ", u->option[i], i + 1 == u->options ? "\n" : "");
}

int names_write(const char *run, const struct plan *p, const struct plan_unit *u, struct err *e)
{
	struct text t = { malloc(TEXT_SIZE), 0 };
	int r;

	if (!t.at)
		return err_sys(e, ENOMEM, "hosts of %s", u->name);
	hosts(p, u, &t);
	r = write_file(run, u->name, "hosts", &t, e);
	t.len = 0;
	resolv(p, u, &t);
	if (r == 0)
		r = write_file(run, u->name, "resolv.conf", &t, e);
	free(t.at);
	return r;
}

void names_remove(const char *run, const char *unit)
{
	static const char *const names[] = { "/hosts", "/resolv.conf", "" };
	char path[320];

	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%.150s/files/%s%s", run, unit, names[i]);
		remove(path);
	}
}
