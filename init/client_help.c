/* SPDX-License-Identifier: MIT */
/* The words of the client: what `help` says of each, which of them change something, and what Tab can add. */
#include <stdio.h>
#include <string.h>

#include "client.h"

struct word {
	const char *name, *args, *what;
	bool changes, takes_unit;
	const char *more;
};

static const struct word words[] = {
	{ "status", "[NAME]", "what the board and its units are doing", false, true, "With a name: state, image, key, health, restarts and "
		"their reasons, cpu, memory, processes." },
	{ "ps", "[-n N]", "the processes of all units; N of each, not 10", false, false, NULL },
	{ "top", "", "cpu, memory and processes of the units, every 2 s", false, false, "Ctrl-C ends it. Not on a terminal: once. --plain: each table "
		"below the one before." },
	{ "logs", "NAME [-n N] [-f] [--since T] [--saved]", "what a unit printed", false, true,
		"-n N: the last lines. -f: goes on. --since T: 90s, 5m, 2h, 1d ago, or a time like 2026-11-24T10:00. --saved: from the disk, earlier "
		"runs too." },
	{ "log", "[-n N] [-f] [--since T] [--kernel]", "what PID 1 did; --kernel: with the kernel's own lines", false, false, NULL },
	{ "start", "NAME", "starts a unit, or tries it again now", true, true, "And what it Requires= and Wants=." },
	{ "stop", "NAME", "stops a unit", true, true, "And those that require it. StopSignal=, after TimeoutStopSec= SIGKILL." },
	{ "restart", "NAME", "stops and starts it", true, true, NULL },
	{ "update", "NAME|--release [REF] [--no-wait]", "looks for a new image and takes it on trial", true, true,
		"REF: oci-archive:FILE, or a release's docker://REG/REPO:TAG. Exit status 1: failed or rolled back." },
	{ "rollback", "NAME|--release", "goes back to the image from before, and refuses this one", true, true, NULL },
	{ "exec", "NAME -- COMMAND...", "runs a command in a unit's container", true, true, "As its program's user; where board.conf has exec=yes." },
	{ "images", "", "what lies in the store", false, false, NULL },
	{ "net", "", "links, addresses, routes, name servers, published ports", false, false, "And the units' networks, and who listens." },
	{ "events", "", "what changes, a line of JSON each, until Ctrl-C", false, false, NULL },
	{ "metrics", "", "all figures as OpenMetrics text", false, false, NULL },
	{ "version", "", "of coracle and of the kernel", false, false, NULL },
	{ "reexec", "", "the coracle-init on disk takes over; units go on", true, false, NULL },
	{ "reboot", "", "stops all units, writes the disk back, starts again", true, false, NULL },
	{ "poweroff", "", "the same, and switches off", true, false, NULL },
	{ "reset", "HOSTNAME", "erases everything on the data partition and reboots", true, false,
		"Images, volumes, logs, provisioned units and secrets are lost. The board's own name is the confirmation." },
	{ "set", "KEY=VALUE", "hostname, network or dns of this board", true, false,
		"From the next boot on. Commas for blanks: network=static,eth0,10.0.0.5/24,10.0.0.1" },
	{ "help", "[COMMAND]", "this", false, false, NULL },
};

enum { WORDS = sizeof(words) / sizeof(words[0]) };

static const struct word *find(const char *name)
{
	for (unsigned i = 0; i < WORDS; i++)
		if (!strcmp(words[i].name, name))
			return &words[i];
	return NULL;
}

static void show(const struct word *w, FILE *out)
{
	char head[64];

	snprintf(head, sizeof(head), "%s %s", w->name, w->args);
	fprintf(out, strlen(head) > 20 ? "  %s\n  %-20s  %s\n" : "  %-20s%s  %s\n", head, "", w->what);
}

int client_help(const char *name, FILE *out)
{
	const struct word *w = name ? find(name) : NULL;

	if (name && !w) {
		fprintf(stderr, "coracle: no such command: %s; `coracle help` lists the commands\n", name);
		return 2;
	}
	for (unsigned i = 0; i < WORDS; i++)
		if (!w || w == &words[i])
			show(&words[i], out);
	if (w && w->more)
		fprintf(out, "%s\n", w->more);
	if (!w)
		fputs("--json with whatever shows something\n--socket PATH: another board's control socket\n", out);
	return 0;
}

bool client_changes(const char *name)
{
	const struct word *w = find(name);

	return w && w->changes;
}

/* The names that may stand where the cursor is, each to EACH. */
static void candidates(const char *socket, const char *text, size_t before, void (*each)(const char *name, void *arg), void *arg)
{
	const struct client_args a = { .socket = socket };
	const struct word *w = NULL;
	const struct status *s;
	char first[32];
	size_t len;

	text += strspn(text, " ");
	len = strcspn(text, " ");
	if (!before) {
		for (unsigned i = 0; i < WORDS; i++)
			each(words[i].name, arg);
		return;
	}
	if (len < sizeof(first)) {
		snprintf(first, sizeof(first), "%.*s", (int)len, text);
		w = find(first);
	}
	if (w && !strcmp(w->name, "help"))
		for (unsigned i = 0; i < WORDS; i++)
			each(words[i].name, arg);
	s = w && w->takes_unit ? client_status(&a) : NULL;
	for (uint32_t i = 0; s && i < s->count; i++)
		if (s->unit[i].name[0])
			each(s->unit[i].name, arg);
}

struct match {
	const char *prefix;
	size_t len;
	unsigned count;
	char common[64];
	char *list;
	size_t list_size;
};

static void match(const char *name, void *arg)
{
	struct match *m = arg;
	size_t used = strlen(m->list), k = 0;

	if (strncmp(name, m->prefix, m->len) != 0)
		return;
	if (!m->count++)
		snprintf(m->common, sizeof(m->common), "%s", name);
	while (m->common[k] && m->common[k] == name[k])
		k++;
	m->common[k] = '\0';
	snprintf(m->list + used, m->list_size - used, "%s%s", used ? "  " : "", name);
}

unsigned client_complete(const char *socket, const char *text, size_t cursor, char *found, size_t size, char *list, size_t list_size)
{
	char prefix[64];
	struct match m = { .prefix = prefix, .list = list, .list_size = list_size };
	size_t start = cursor;

	found[0] = list[0] = '\0';
	while (start && text[start - 1] != ' ')
		start--;
	m.len = cursor - start;
	if (m.len >= sizeof(prefix))
		return 0;
	memcpy(prefix, text + start, m.len);
	prefix[m.len] = '\0';
	candidates(socket, text, start, match, &m);
	if (m.count)
		snprintf(found, size, "%s%s", m.common + m.len, m.count == 1 ? " " : "");
	return m.count;
}
