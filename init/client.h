/* SPDX-License-Identifier: MIT */
/* The client `coracle`: each command asks PID 1 over the control socket, or looks at the kernel itself, and shows the answer. */
#ifndef CORACLE_CLIENT_H
#define CORACLE_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "control.h"
#include "status.h"

struct client_args {
	bool is_json;
	const char *name;		/* unit, or NULL */
	uint64_t lines;			/* logs -n, 0: all */
	bool follows;			/* logs -f */
	const char *since;		/* logs --since, or NULL */
	bool is_saved;			/* logs --saved */
	bool is_kernel;			/* log --kernel */
	const char *source;		/* update: the archive, or a release's reference; or NULL */
	bool is_quick;			/* update, rollback: --no-wait */
	bool is_server;			/* metrics --listen */
	const char *socket;		/* control socket */
};

/* The whole program: `coracle-bundle client ...`, which `coracle` becomes. Exit status 0, 1 (one line on stderr) or 2 (usage). */
int client_main(int argc, char **argv);

/* One request, one reply; a descriptor that came along in *FD (-1: none; FD may be NULL; CONTROL_EXEC: two). 0 or -errno of the connection; waits 5 s
 * at most. The reply's texts end in NUL. */
int client_ask(const char *path, const struct control_request *q, struct control_reply *r, int *fd);

/* The same, and the connection stays: its descriptor. */
int client_open(const char *path, const struct control_request *q, struct control_reply *r, int *fd);

/* client_ask with the complaint written to stderr, also for a reply that says no. 0 or 1. */
int client_request(const struct client_args *a, const struct control_request *q, struct control_reply *r, int *fd);
int client_command(const struct client_args *a, uint32_t command, const char *name, struct control_reply *r, int *fd);

/* The entry of the board's release in the last copy, or NULL. It is not among the copy's units. */
const struct status_unit *client_release(void);

/* A copy of the status record in static storage, or NULL after a complaint. */
const struct status *client_status(const struct client_args *a);

/* One command each; exit status. */
int client_show_status(const struct client_args *a);
int client_show_ps(const struct client_args *a);
int client_show_logs(const struct client_args *a, bool is_own);
int client_update(const struct client_args *a, uint32_t command);
int client_show_net(const struct client_args *a);

int client_show_top(const struct client_args *a);
int client_show_kernel(const struct client_args *a);
int client_show_metrics(const struct client_args *a);
void client_print_metrics(const struct status *s);
int client_serve_metrics(const struct client_args *a);	/* to whoever connects to the listening socket on descriptor 0, for ever */
int client_show_events(const struct client_args *a);	/* until PID 1 ends, or whoever reads */

/* What went wrong with a question, on stderr: RET of client_ask, or what the reply says. 0 or 1. */
int client_complain(const struct client_args *a, int ret, const struct control_reply *r);

/* `status NAME`: the page of one unit. REASON: with what the client adds to it. */
void client_show_unit(const struct status_unit *u, const char *reason);

/* A number of the unit's cgroup: "memory.current", or "cpu.stat usage_usec"; false where there is none. */
bool client_cgroup(const struct status_unit *u, const char *key, uint64_t *out);

/* All commands, or the one of that name; 0, or 2 where there is none. */
int client_help(const char *name, FILE *out);

/* Does that command change something? */
bool client_changes(const char *name);

/* What Tab adds at CURSOR of the line TEXT: FOUND is common to all that fit (with a blank behind the only one), LIST names them. How many. */
unsigned client_complete(const char *socket, const char *text, size_t cursor, char *found, size_t size, char *list, size_t list_size);

/* "eth0 10.0.2.15/24 via 10.0.2.2" of the interface with the default route, or the first that has an address; false where none has. */
bool client_net_line(char *out, size_t size);

/* What is shown of a unit's update: lines behind its own, and a JSON member with a comma before it. With its history where WITH_HISTORY. */
void client_update_lines(const struct status *s, const struct status_unit *u, int width, bool with_history);
void client_update_json(const struct status *s, const struct status_unit *u);

/* Is stdout a terminal where what was drawn may be drawn over? Not with TERM=dumb, nor with --plain, which sets the variable. */
extern bool client_is_plain;
bool client_is_screen(void);

/* S as a JSON string on stdout. */
void json_text(const char *s);

/* LABEL and TEXT from column INDENT on (negative: the line is there already), on a terminal broken at blanks so that lines fit it. */
void client_wrap(int indent, const char *label, const char *text);
void client_wrap_health(int indent, const struct status_unit *u);
/* Archives on sticks: what the attendant offers (fetch/stick.h), a line each. */
#define CLIENT_OFFERS "/run/coracle/offers"
void client_show_offers(void);

/* Text on its way to a terminal: control characters and bytes above 0x7e as '?'. Up to LEN bytes. */
void client_print(const char *s, size_t len);

#endif
