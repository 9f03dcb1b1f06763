/* SPDX-License-Identifier: MIT */
/*
 * The client's command line, a part of coracle-bundle. Whoever may run it sees what PID 1 shows; whether
 * a change is allowed PID 1 decides. Texts of units and programs are made
 * printable before they reach a terminal. Never allocates.
 */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "console.h"
#include "text.h"

int client_complain(const struct client_args *a, int ret, const struct control_reply *r)
{
	if (ret < 0)
		fprintf(stderr, "coracle: %s: %s%s\n", a->socket, strerror(-ret), ret == -ENOENT ||
			ret == -ECONNREFUSED ? "; is coracle-init PID 1 here? --socket names another" : "");
	else if (r->code < 0)
		fprintf(stderr, "coracle: %s\n", r->text);
	return ret < 0 || r->code < 0;
}

int client_request(const struct client_args *a, const struct control_request *q, struct control_reply *r, int *fd)
{
	return client_complain(a, client_ask(a->socket, q, r, fd), r);
}

int client_command(const struct client_args *a, uint32_t command, const char *name, struct control_reply *r, int *fd)
{
	struct control_request q = { .magic = CONTROL_MAGIC, .command = command };

	text_copy(q.name, sizeof(q.name), name);
	return client_request(a, &q, r, fd);
}

static struct status_unit release;

const struct status_unit *client_release(void)
{
	return release.name[0] ? &release : NULL;
}

static void part_release(struct status *s)
{
	release.name[0] = '\0';
	for (uint32_t i = 0; i < s->count; i++)
		if (!strcmp(s->unit[i].name, UNIT_RELEASE_NAME)) {
			release = s->unit[i];
			s->unit[i].name[0] = '\0';
		}
}

const struct status *client_status(const struct client_args *a)
{
	static struct status copy;
	struct control_reply r;
	int fd, ret;

	if (client_command(a, CONTROL_STATUS, "", &r, &fd))
		return NULL;
	ret = fd < 0 ? -EBADMSG : status_copy(fd, &copy);
	if (fd >= 0)
		close(fd);
	if (ret == 0)
		part_release(&copy);
	if (ret < 0)
		fprintf(stderr, "coracle: status record: %s\n", ret == -EBADMSG ?
			"not one of this version: are coracle and PID 1 of one build?" : strerror(-ret));
	return ret < 0 ? NULL : &copy;
}

void json_text(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < ' ' || c > '~')
			printf("\\u%04x", c);	/* each byte as itself: PID 1 lets only ASCII through */
		else
			putchar(c);
	}
	putchar('"');
}

void client_print(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		putchar(s[i] == '\t' || ((unsigned char)s[i] >= ' ' && (unsigned char)s[i] <= '~') ? s[i] : '?');
}

static int show_version(const struct client_args *a)
{
	struct utsname u;

	uname(&u);
	if (a->is_json) {
		printf("{\"version\":");
		json_text(CORACLE_VERSION);
		printf(",\"kernel\":");
		json_text(u.release);
		printf(",\"machine\":");
		json_text(u.machine);
		printf("}\n");
	} else {
		printf("coracle %s, kernel %s, %s\n", CORACLE_VERSION, u.release, u.machine);
	}
	return 0;
}

/* What coracle-bundle does on the data partition: `images`, and `set` with its ASSIGNMENT. */
static int run_bundle(const struct client_args *a, const char *command, const char *assignment)
{
	const struct status *s = client_status(a);
	char path[192];

	if (!s)
		return 1;
	if (!s->is_data_there) {
		fprintf(stderr, "coracle: no data partition: %s\n", s->data);
		return 1;
	}
	snprintf(path, sizeof(path), "%s/coracle-bundle", s->bin_dir);
	fflush(stdout);
	execl(path, "coracle-bundle", command, "--store", s->data_dir, assignment, (char *)NULL);
	fprintf(stderr, "coracle: %s: %s\n", path, strerror(errno));
	return 1;
}

/* Entering a container is in coracle-init, which has all of starting one; nothing of this program comes along. */
static int exec_in_init(const struct client_args *a, char **argv)
{
	const struct status *s = client_status(a);
	char path[192];

	if (!s)
		return 1;
	snprintf(path, sizeof(path), "%s/coracle-init", s->bin_dir);
	argv[0] = "coracle";
	execv(path, argv);
	fprintf(stderr, "coracle: %s: %s\n", path, strerror(errno));
	return 1;
}

static int change(const struct client_args *a, uint32_t command)
{
	struct control_reply r;

	if (client_command(a, command, a->name ? a->name : "", &r, NULL))
		return 1;
	printf("%s\n", r.text);
	return 0;
}

static int complain(const char *what, const char *which)
{
	fprintf(stderr, "coracle: %s %s; `coracle help` lists the commands\n", what, which);
	return 2;
}

/* Options and the name, wherever they stand. 0 or 2. */
static int take_args(struct client_args *a, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *s = argv[i];

		if (!strcmp(s, "--json"))
			a->is_json = true;
		else if (!strcmp(s, "-f"))
			a->follows = true;
		else if (!strcmp(s, "--kernel"))
			a->is_kernel = true;
		else if (!strcmp(s, "--plain"))
			client_is_plain = true;
		else if (!strcmp(s, "--saved"))
			a->is_saved = true;
		else if (!strcmp(s, "--since") && i + 1 < argc)
			a->since = argv[++i];
		else if (!strcmp(s, "--listen"))
			a->is_server = true;
		else if (!strcmp(s, "--release") && !a->name)
			a->name = UNIT_RELEASE_NAME;
		else if (!strcmp(s, "--no-wait"))
			a->is_quick = true;
		else if (!strcmp(s, "--socket") && i + 1 < argc)
			a->socket = argv[++i];
		else if (!strcmp(s, "-n") && i + 1 < argc && text_u64(argv[i + 1], UINT32_MAX, &a->lines))
			i++;
		else if (s[0] == '-')
			return complain("no such option, or no value for it:", s);
		else if (a->name && !a->source && strchr(s, ':'))
			a->source = s;
		else if (a->name)
			return complain("one name too many:", s);
		else
			a->name = s;
	}
	return 0;
}

static int run(const char *command, const struct client_args *a)
{
	static const struct { const char *name; uint32_t command; } change_unit[] = {
		{ "start", CONTROL_START }, { "stop", CONTROL_STOP }, { "restart", CONTROL_RESTART },
	};

	for (unsigned i = 0; i < 3; i++)
		if (!strcmp(command, change_unit[i].name))
			return a->name ? change(a, change_unit[i].command) :
				complain("needs the name of a unit:", command);
	if (!strcmp(command, "update") || !strcmp(command, "rollback"))
		return a->name ? client_update(a, command[0] == 'u' ? CONTROL_UPDATE : CONTROL_ROLLBACK) :
			complain("needs the name of a unit:", command);
	if (a->source)
		return complain("takes no archive:", command);
	if (!strcmp(command, "logs"))
		return a->name ? client_show_logs(a, false) : complain("needs the name of a unit:", command);
	if (!strcmp(command, "status"))
		return client_show_status(a);
	if (!strcmp(command, "console"))
		return console_main(a->socket, a->name);
	if (!strcmp(command, "reset"))
		return a->name ? change(a, CONTROL_RESET) : complain("needs the board's name, as it erases everything:", command);
	if (!strcmp(command, "set"))
		return a->name ? run_bundle(a, "provision", a->name) : complain("needs KEY=VALUE:", command);
	if (a->name)
		return complain("takes no name:", command);
	if (!strcmp(command, "top"))
		return client_show_top(a);
	if (!strcmp(command, "metrics"))
		return client_show_metrics(a);
	if (!strcmp(command, "events"))
		return client_show_events(a);
	if (!strcmp(command, "ps"))
		return client_show_ps(a);
	if (!strcmp(command, "log") && a->is_kernel && a->since)
		return complain("the kernel's times are since its start, there is no --since:", "log --kernel");
	if (!strcmp(command, "log"))
		return a->is_kernel ? client_show_kernel(a) : client_show_logs(a, true);
	if (!strcmp(command, "net"))
		return client_show_net(a);
	if (!strcmp(command, "images"))
		return run_bundle(a, "ls", a->is_json ? "--json" : NULL);
	if (!strcmp(command, "version"))
		return show_version(a);
	if (!strcmp(command, "reexec"))
		return change(a, CONTROL_REEXEC);
	if (!strcmp(command, "reboot"))
		return change(a, CONTROL_REBOOT);
	if (!strcmp(command, "poweroff"))
		return change(a, CONTROL_POWEROFF);
	return complain("no such command:", command);
}

int client_main(int argc, char **argv)
{
	const char *env = getenv("CORACLE_SOCKET");
	struct client_args a = { .socket = env ? env : CONTROL_PATH };
	int first = 1, ret;

	if (argc > 2 && !strcmp(argv[1], "--socket")) {
		a.socket = argv[2];
		first = 3;
	}
	if (argc <= first) {
		client_help(NULL, stderr);
		return 2;
	}
	if (!strcmp(argv[first], "help") || !strcmp(argv[first], "--help"))
		return client_help(argc > first + 1 ? argv[first + 1] : NULL, stdout);
	if (!strcmp(argv[first], "exec"))
		return exec_in_init(&a, argv);
	ret = take_args(&a, argc - first, argv + first);
	if (ret == 0)
		ret = run(argv[first], &a);
	if (fflush(stdout) != 0 && ret == 0)
		ret = 1;
	return ret;
}
