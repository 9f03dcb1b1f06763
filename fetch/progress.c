/* SPDX-License-Identifier: MIT */
/* Draws and prints. Texts may quote a peer: they come escaped, and are escaped for JSON again. */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "job.h"
#include "link.h"

enum { DRAW_MS = 200, LINE_MS = 5000, BAR = 24 };

/* What goes to a terminal that says so, is read as from a file: nothing is drawn over. */
static bool is_dumb(void)
{
	const char *term = getenv("TERM");

	return term && !strcmp(term, "dumb");
}

void progress_init(struct progress *p, int result_fd, bool is_json)
{
	*p = (struct progress){ .result_fd = result_fd, .is_terminal = isatty(2) && !is_dumb(), .is_json = is_json, .mark_ms = link_now_ms() };
}

/* A JSON string; what is not printable ASCII becomes \u00XX. */
static void put_text(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void event(const char *what, const char *const members[][2], size_t count)
{
	printf("{\"event\":\"%s\"", what);
	for (size_t i = 0; i < count; i++) {
		printf(",\"%s\":", members[i][0]);
		put_text(members[i][1]);
	}
	puts("}");
	fflush(stdout);
}

static void clear_bar(struct progress *p)
{
	if (p->drawn > 0)
		fprintf(stderr, "\r%*s\r", p->drawn, "");
	p->drawn = 0;
}

void progress_say(void *to, const char *line)
{
	struct progress *p = to;

	clear_bar(p);
	if (p->is_json)
		event("step", (const char *const[][2]){ { "text", line } }, 1);
	else
		fprintf(stderr, "%s\n", line);
	job_progress(p->result_fd, line, p->done, p->total);
}

static void draw(struct progress *p)
{
	unsigned part = p->total ? (unsigned)(p->done * BAR / p->total) : BAR;
	uint64_t left_s = p->rate ? (p->total - p->done) / p->rate : 0;
	char bar[BAR + 1];

	for (unsigned i = 0; i < BAR; i++)
		bar[i] = i < part ? '#' : '.';
	bar[BAR] = '\0';
	clear_bar(p);
	p->drawn = fprintf(stderr, "[%s] %3u%%  layer %zu of %zu  %.1f of %.1f MiB  %.1f MiB/s  %" PRIu64 ":%02u left", bar,
		p->total ? (unsigned)(p->done * 100 / p->total) : 100, p->layer, p->layers, (double)p->done / 1048576, (double)p->total / 1048576,
		(double)p->rate / 1048576, left_s / 60, (unsigned)(left_s % 60));
}

void progress_add(struct progress *p, size_t len, bool is_kept)
{
	int64_t now = link_now_ms();

	p->done += len;
	if (is_kept)
		p->mark += len;		/* says nothing about the link */
	if (now - p->shown_ms < DRAW_MS && p->done != p->total)
		return;
	if (now > p->mark_ms) {
		uint64_t rate = (p->done - p->mark) * 1000 / (uint64_t)(now - p->mark_ms);

		p->rate = p->rate ? (p->rate * 7 + rate) / 8 : rate;
		p->mark = p->done;
		p->mark_ms = now;
	}
	job_progress(p->result_fd, "layers", p->done, p->total);
	if (p->is_json) {
		printf("{\"event\":\"progress\",\"layer\":%zu,\"layers\":%zu,\"bytes\":%" PRIu64 ",\"total\":%" PRIu64 ",\"bytes_per_second\":%" PRIu64
			"}\n", p->layer, p->layers, p->done, p->total, p->rate);
		fflush(stdout);
	} else if (p->is_terminal) {
		draw(p);
	} else if (p->shown_ms && now - p->shown_ms < LINE_MS) {
		return;			/* a log gets a line every few seconds */
	} else if (p->shown_ms) {
		fprintf(stderr, "layer %zu of %zu: %" PRIu64 " of %" PRIu64 " KiB\n", p->layer, p->layers, p->done >> 10, p->total >> 10);
	}
	p->shown_ms = now;
}

void progress_done(struct progress *p, const char *digest, const char *signer)
{
	clear_bar(p);
	if (p->is_json)
		event("done", (const char *const[][2]){ { "digest", digest }, { "signer", signer } }, 2);
	else
		puts(digest);
	fflush(stdout);
}

void progress_failed(struct progress *p, const char *reference, const char *code, const char *text)
{
	clear_bar(p);
	if (p->is_json)
		event("failed", (const char *const[][2]){ { "code", code }, { "text", text } }, 2);
	fprintf(stderr, "coracle-fetch: %s: %s\n", reference, text);
}
