/* SPDX-License-Identifier: MIT */
/*
 * `coracle update` and `coracle rollback`: ask PID 1, then follow what it publishes until the update has come to its end. What `status` shows of
 * updates; the history is a file of the data partition, which is read here, not by PID 1.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "text.h"
#include "unit.h"
#include "update.h"

enum { LOOK_US = 200000, HISTORY_MAX = 128 * 1024 };

static int drawn;	/* columns of a line that has no end yet */

static const struct status_unit *find(const struct status *s, const char *name)
{
	if (s && !strcmp(name, UNIT_RELEASE_NAME))
		return client_release();
	for (uint32_t i = 0; s && i < s->count; i++)
		if (!strcmp(s->unit[i].name, name))
			return &s->unit[i];
	return NULL;
}

/* "3.1M of 12.0M (25%), 1.2M/s" */
static void bytes_text(const struct status_update *x, char *out, size_t size)
{
	char done[16], total[16], rate[16];
	uint64_t ms = text_now_ms() - x->since_ms;

	text_bytes(x->bytes_done, done, sizeof(done));
	text_bytes(x->bytes_total, total, sizeof(total));
	text_bytes(ms ? x->bytes_done * 1000 / ms : 0, rate, sizeof(rate));
	snprintf(out, size, "%s of %s (%u%%), %s/s", done, total, (unsigned)(x->bytes_done * 100 / x->bytes_total), rate);
}

/* Takes away the line that is drawn in place. */
static void wipe(void)
{
	if (drawn > 0)
		printf("\r%*s\r", drawn, "");
	drawn = 0;
}

/* One line a state, and on a terminal the bytes of a download in place. */
static void show_progress(const struct status_unit *u, uint32_t *shown)
{
	const struct status_update *x = &u->update;
	char text[80];

	if (x->state == UPDATE_DOWNLOADING && x->bytes_total) {
		bytes_text(x, text, sizeof(text));
		if (client_is_screen()) {
			wipe();
			drawn = printf("%s: downloading %s", u->name, text);
		} else if (*shown != x->state + UPDATE_STATES) {
			printf("%s: downloading %s\n", u->name, text);
		}
		*shown = x->state + UPDATE_STATES;
	} else if (x->state != *shown && x->state != UPDATE_IDLE) {
		wipe();
		printf("%s: %s%s%s\n", u->name, update_state_name(x->state), x->digest[0] ? " " : "", x->digest);
		*shown = x->state;
	}
	fflush(stdout);
}

static int follow(const struct client_args *a, uint32_t before)
{
	uint32_t shown = UPDATE_STATES;

	for (;;) {
		const struct status_unit *u = find(client_status(a), a->name);
		const struct status_update *x = u ? &u->update : NULL;

		if (!u)
			return 1;
		if (x->ended != before) {
			wipe();
			printf("%s: %s%s%s\n", u->name, x->end == STATUS_UPDATE_NONE ? "nothing to do" :
				status_update_end_name(x->end), x->why[0] ? ": " : "", x->why);
			return x->end == STATUS_UPDATE_FAILED;
		}
		show_progress(u, &shown);
		if (x->state == UPDATE_STAGED && u->state == UNIT_INACTIVE && u != client_release()) {
			printf("%s: its next start is the trial\n", u->name);
			return 0;
		}
		usleep(LOOK_US);
	}
}

int client_update(const struct client_args *a, uint32_t command)
{
	const struct status_unit *u = find(client_status(a), a->name);
	uint32_t before = u ? u->update.ended : 0;
	struct control_request q = { .magic = CONTROL_MAGIC, .command = command };
	struct control_reply r;
	int ret;

	if (a->source && strlen(a->source) >= sizeof(q.text)) {
		fprintf(stderr, "coracle: %s: longer than %zu bytes\n", a->source, sizeof(q.text) - 1);
		return 1;
	}
	text_copy(q.name, sizeof(q.name), a->name);
	text_copy(q.text, sizeof(q.text), a->source ? a->source : "");
	ret = client_request(a, &q, &r, NULL);
	if (ret)
		return ret;
	if (a->is_quick) {
		printf("%s\n", r.text);
		return 0;
	}
	ret = follow(a, before);
	if (command == CONTROL_ROLLBACK || ret)
		return ret;
	u = find(client_status(a), a->name);
	return u && u->update.end == STATUS_UPDATE_ROLLED_BACK;
}

/* TIME UNIT OUTCOME DIGEST MS WHY, taken apart in place; false for a line that is not one. */
static bool split(char *line, char *word[6])
{
	for (int i = 0; i < 5; i++) {
		word[i] = line;
		line = strchr(line, ' ');
		if (!line)
			return false;
		*line++ = '\0';
	}
	word[5] = line;
	return true;
}

/* Calls SHOW for each line of state/updates that is of UNIT. */
static void each_line(const struct status *s, const char *unit, void (*show)(char **word, uint64_t took_ms, int number, int width), int width)
{
	static char text[HISTORY_MAX];
	char path[192], *line = text, *word[6];
	uint64_t ms;
	int number = 0;

	snprintf(path, sizeof(path), "%s/state/updates", s->data_dir);
	if (!s->is_data_there || text_file(path, text, sizeof(text)) <= 0)
		return;
	for (char *end; line; line = end) {
		end = strchr(line, '\n');
		if (end)
			*end++ = '\0';
		if (split(line, word) && !strcmp(word[1], unit) && text_u64(word[4], UINT64_MAX, &ms))
			show(word, ms, number++, width);
	}
}

static void show_line(char **w, uint64_t ms, int number, int width)
{
	char span[32];

	text_span(ms, span, sizeof(span));
	printf("%*s  %s %s in %s: %.19s", width, "", w[0], w[2], span, w[3]);
	printf("%s", w[5][0] ? ", " : "\n");
	if (w[5][0]) {
		client_print(w[5], strlen(w[5]));
		putchar('\n');
	}
}

static void json_line(char **w, uint64_t ms, int number, int width)
{
	static const char *const key[] = { "time", NULL, "outcome", "digest" };

	printf("%s{\"took_ms\":%llu,\"why\":", number ? "," : "", (unsigned long long)ms);
	json_text(w[5]);
	for (int i = 0; i < 4; i++)
		if (key[i]) {
			printf(",\"%s\":", key[i]);
			json_text(w[i]);
		}
	printf("}");
}

void client_update_lines(const struct status *s, const struct status_unit *u, int width, bool with_history)
{
	const struct status_update *x = &u->update;
	char text[80] = "";

	if (x->bytes_total && x->state == UPDATE_DOWNLOADING)
		bytes_text(x, text, sizeof(text));
	if (x->state != UPDATE_IDLE)
		printf("%*s  update %s %s %s%s%s\n", width, "", update_state_name(x->state), x->digest, text, x->why[0] ? ": " : "", x->why);
	else if (x->why[0])
		printf("%*s  last update %s: %s\n", width, "", status_update_end_name(x->end), x->why);
	if (!with_history)
		return;
	if (x->previous[0])
		printf("%*s  before it %s\n", width, "", x->previous);
	if (x->refused[0])
		printf("%*s  refused %s\n", width, "", x->refused);
	each_line(s, u->name, show_line, width);
}

static void json_pair(const char *key, const char *value)
{
	printf(",\"%s\":", key);
	json_text(value);
}

void client_update_json(const struct status *s, const struct status_unit *u)
{
	const struct status_update *x = &u->update;
	uint64_t now = text_now_ms();

	printf(",\"update\":{\"state\":");
	json_text(update_state_name(x->state));
	json_pair("digest", x->digest);
	json_pair("previous", x->previous);
	json_pair("refused", x->refused);
	json_pair("last", x->ended ? status_update_end_name(x->end) : "");
	json_pair("why", x->why);
	printf(",\"ended\":%u,\"tries\":%u,\"bytes_done\":%llu,\"bytes_total\":%llu,\"check_in_ms\":%llu,\"history\":[", x->ended, x->tries,
		(unsigned long long)x->bytes_done, (unsigned long long)x->bytes_total,
		(unsigned long long)(x->due_ms > now ? x->due_ms - now : 0));
	each_line(s, u->name, json_line, 0);
	printf("]}");
}
