/* SPDX-License-Identifier: MIT */
/* Who listens (listen.h). The kernel's own tables; names of processes are shown escaped. */
#include "listen.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "span.h"

enum { TCP_LISTEN = 0x0a, UDP_UNCONNECTED = 0x07 };

/* Words of 32 bits in the machine's own order, each as eight hex digits; then :PORT. */
static bool take_address(const char *text, struct listener *l)
{
	size_t digits = strcspn(text, ":");
	char word[9] = "";
	uint32_t n;

	l->addr.len = digits == 8 ? 4 : digits == 32 ? 16 : 0;
	l->is_any = true;
	for (size_t i = 0; l->addr.len && i < digits; i += 8) {
		memcpy(word, text + i, 8);
		n = (uint32_t)strtoul(word, NULL, 16);
		memcpy(l->addr.b + i / 2, &n, 4);
		l->is_any &= n == 0;
	}
	l->port = (uint16_t)strtoul(text + digits + (text[digits] == ':'), NULL, 16);
	return l->addr.len && l->port;
}

/* sl local remote st tx:rx tr:when retrnsmt uid timeout inode */
static bool take_line(char *line, bool is_udp, struct listener *l)
{
	char *word[10], *save = NULL;
	int n = 0;

	for (char *w = strtok_r(line, " \n", &save); w && n < 10; w = strtok_r(NULL, " \n", &save))
		word[n++] = w;
	memset(l, 0, sizeof(*l));
	l->is_udp = is_udp;
	if (n < 10 || !take_address(word[1], l))
		return false;
	l->inode = strtoul(word[9], NULL, 10);
	return strtoul(word[3], NULL, 16) == (is_udp ? UDP_UNCONNECTED : TCP_LISTEN);
}

unsigned listen_read(struct listener *out, unsigned max)
{
	static const char *const names[] = { "tcp", "tcp6", "udp", "udp6" };
	unsigned count = 0;

	for (int i = 0; i < 4; i++) {
		char path[40], line[256];
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/net/%s", names[i]);
		f = fopen(path, "re");
		while (f && count < max && fgets(line, sizeof(line), f))
			count += take_line(line, i > 1, &out[count]);
		if (f)
			fclose(f);
	}
	return count;
}

const struct listener *listen_conflict(const struct listener *l, unsigned count, const struct plan_publish *x)
{
	for (unsigned i = 0; i < count; i++)
		if (l[i].is_udp == x->is_udp && l[i].port >= x->lo && l[i].port <= x->hi &&
		    (l[i].is_any || !x->addr.len || addr_equal(&l[i].addr, &x->addr)))
			return &l[i];
	return NULL;
}

static bool holds(const char *pid, const char *want)
{
	char path[64], target[64];
	bool is_found = false;
	struct dirent *d;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	fds = opendir(path);
	while (fds && !is_found && (d = readdir(fds))) {
		ssize_t n = readlinkat(dirfd(fds), d->d_name, target, sizeof(target) - 1);

		target[n < 0 ? 0 : n] = '\0';
		is_found = strcmp(target, want) == 0;
	}
	if (fds)
		closedir(fds);
	return is_found;
}

void listen_owner(unsigned long inode, char *out, unsigned size)
{
	char want[40], path[64], name[32] = "", shown[100];
	DIR *proc = opendir("/proc");
	struct dirent *d;
	FILE *f;

	snprintf(out, size, "another process");
	snprintf(want, sizeof(want), "socket:[%lu]", inode);
	while (proc && (d = readdir(proc))) {
		if (!isdigit((unsigned char)d->d_name[0]) || !holds(d->d_name, want))
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/comm", d->d_name);
		f = fopen(path, "re");
		if (f && fgets(name, sizeof(name), f))
			name[strcspn(name, "\n")] = '\0';
		if (f)
			fclose(f);
		span_escape(span_str(name), shown, sizeof(shown));
		snprintf(out, size, "%s (pid %.20s)", shown, d->d_name);
		break;
	}
	if (proc)
		closedir(proc);
}
